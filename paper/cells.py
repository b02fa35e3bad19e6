"""Cells that several tables have."""

import math
from collections.abc import Callable

import pandas as pd

from lwlrd_jax.analysis.bootstrap import Interval
from lwlrd_jax.report import formats
from lwlrd_jax.report.distinguish import bounded, indistinct
from paper.finding import NOT_MEASURED
from paper.markdown import BREAK, bold
from paper.source import Source

# After a figure that some infections are missing from.
PARTLY = "†"
# After a figure that counts as stopped, though its interval reaches above the limit.
UNSURE = "(?)"
LOWER, SAME, HIGHER = "lower", "not distinguishable", "higher"


def reid(source: Source, row: pd.Series | None) -> str:
  """Re-identification in percent with its interval; bold where the attack is stopped.

  Where that is not why an attack counts as not stopped, it is told why.
  """
  if row is None or not math.isfinite(row.reid):
    return missing(row)
  text = bounded(row, "reid")
  if source.stopped(row):
    return bold(text) + (f" {UNSURE}" if source.unsure(row) else "")
  if row.status != "ok":
    text += f" {PARTLY}"
  limit = source.verdict.floors.limit(row.attack)
  if source.has_floor and row.reid <= limit and math.isfinite(row.ssim):
    return f"{text}{BREAK}{brief(source, row)}"
  # Rounded, a figure just above the limit looks as if it were none.
  return f"{text} (above)" if formats.percent(row.reid) == formats.percent(limit) else text


def brief(source: Source, row: pd.Series) -> str:
  """Why an attack gets through: re-identification in percent without its interval.

  Where that is at most the limit on average, it is that of an infection that is above it, or else SSIM likewise.
  """
  limit = source.verdict.floors.limit(row.attack)
  if row.reid > limit:
    return formats.percent(row.reid)
  if row.reid_worst > limit:
    return f"{formats.percent(row.reid_worst)} in one infection"
  most = source.verdict.floors.ssim_limit
  ssim, where = (row.ssim, "") if row.ssim > most else (row.ssim_worst, " in one infection")
  above = " (above)" if formats.score(ssim) == formats.score(most) else ""
  return f"SSIM {formats.score(ssim)}{above}{where}"


def worst_auc(source: Source, schedule: pd.Series, other: pd.Series | None = None) -> tuple[str, Interval] | None:
  """The attack under which a schedule costs most AUC, and the difference; None if unknown.

  Args:
    source: The run.
    schedule: One of its schedules.
    other: Another, to which the difference is. Default: the untreated model.
  """
  gaps = {
    attack: source.difference(
      "auc", source.row(schedule, attack), source.untreated(attack) if other is None else source.row(other, attack)
    )
    for attack in source.verdict.attacks
  }
  known = {attack: found for attack, found in gaps.items() if math.isfinite(found.value)}
  return min(known.items(), key=lambda item: item[1].value) if known else None


def missing(row: pd.Series | None) -> str:
  """Why there is no figure."""
  return NOT_MEASURED if row is None or row.status == "ok" else "not ok"


def gap(found: Interval, form: Callable[[float], str] = formats.score) -> str:
  """A difference with its interval."""
  return formats.within(form, *found) or NOT_MEASURED


def side(found: Interval, form: Callable[[float], str] = formats.score) -> str:
  """On which side of zero a difference lies; empty where its interval is not known."""
  if not found.known:
    return ""
  return SAME if indistinct(found, form) else LOWER if found.value < 0 else HIGHER
