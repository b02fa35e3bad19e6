"""Cells that several tables have."""

import math
from collections.abc import Callable

import pandas as pd

from lwlrd_jax.report import formats
from lwlrd_jax.report.bootstrap import Interval
from lwlrd_jax.report.claims.finding import NOT_MEASURED
from lwlrd_jax.report.claims.markdown import BREAK, bold
from lwlrd_jax.report.claims.source import Source
from lwlrd_jax.report.distinguish import bounded

# After a figure that some infections are missing from.
PARTLY = "†"
LOWER, SAME, HIGHER = "lower", "not distinguishable", "higher"


def reid(source: Source, row: pd.Series | None) -> str:
  """Re-identification in percent with its interval; bold where the attack is stopped.

  Where it is SSIM alone that keeps an attack from counting as stopped, that is told too.
  """
  if row is None or not math.isfinite(row.reid):
    return missing(row)
  text = bounded(row, "reid", formats.percent)
  if source.stopped(row):
    return bold(text)
  if row.status != "ok":
    text += f" {PARTLY}"
  if source.has_floor and row.reid <= source.verdict.floors.limit(row.attack) and math.isfinite(row.ssim):
    text += f"{BREAK}SSIM {formats.score(row.ssim)}"
  return text


def missing(row: pd.Series | None) -> str:
  """Why there is no figure."""
  return NOT_MEASURED if row is None or row.status == "ok" else "not ok"


def gap(found: Interval, form: Callable[[float], str] = formats.score) -> str:
  """A difference with its interval."""
  return formats.within(form, *found) or NOT_MEASURED


def side(found: Interval) -> str:
  """On which side of zero a difference lies; empty where its interval is not known."""
  if not found.known:
    return ""
  return SAME if found.has_zero else LOWER if found.value < 0 else HIGHER
