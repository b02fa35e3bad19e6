"""Tables of defences and attacks: which codes get through, and what the stolen images are worth."""

import dataclasses
import math
from collections.abc import Callable

import pandas as pd

from lwlrd_jax.analysis.bootstrap import UNKNOWN, Interval
from lwlrd_jax.analysis.verdict import (
  COMMON,
  DESTROYED_BER,
  DOWNSTREAM_CONTROLS,
  TUNING,
  Verdict,
  alike,
  number_stopped,
)
from lwlrd_jax.report import formats
from lwlrd_jax.report.distinguish import UNUSABLE, USEFUL, WORSE, bounded, usefulness
from lwlrd_jax.report.naming import short_name

_ORDER = ("vanilla", "high_lr", "super_ft_long", "super_ft_short", "reversed", "lwlrd")
_MOST_DECAYS = 4
_DOWNSTREAM = "downstream_auc"


@dataclasses.dataclass(frozen=True)
class Cell:
  """What is said of a defence and an attack.

  Attributes:
    verdict: In a word or two; empty if there is none.
    figures: What it rests on.
    kind: Its class on the page: `leaks`, `stopped`, `damaged`, `unknown`, `useful`, `unusable` or empty.
  """

  verdict: str
  figures: str
  kind: str


@dataclasses.dataclass(frozen=True)
class Grid:
  """What the page prints.

  Attributes:
    attacks: Columns.
    rows: Name of a defence, whether it is the winner, and a cell an attack.
    omitted: Number of schedules that are not shown.
  """

  attacks: list[str]
  rows: list[tuple[str, bool, list[Cell]]]
  omitted: int


def codes(verdict: Verdict) -> Grid | None:
  """What gets through; None without an attack."""
  return _grid(verdict, verdict.attacks, lambda row: _code_cell(row, verdict), Cell("", "not run", "unknown"))


def worth(verdict: Verdict) -> Grid | None:
  """What a fresh classifier learns from what the attacker gets; None if it was not measured with any attack."""
  known = verdict.averaged[verdict.averaged[_DOWNSTREAM].notna()]
  attacks = [attack for attack in verdict.attacks if (known.attack == attack).any()]
  found = _grid(verdict, attacks, lambda row: _worth_cell(row, verdict), Cell("", "", ""))
  if found is None:
    return None
  return dataclasses.replace(found, rows=[row for row in found.rows if any(cell.figures for cell in row[2])])


def worth_controls(verdict: Verdict) -> list[tuple[str, str]]:
  """Name and AUC of what does not depend on the attack."""
  return [
    (f"{formats.NAMES[name]} (control)", bounded(row, _DOWNSTREAM, formats.score))
    for name in DOWNSTREAM_CONTROLS
    if (row := _downstream_control(name, verdict)) is not None
  ]


def hidden(verdict: Verdict) -> list[tuple[str, str, str, str, str]]:
  """What attacks hid: name; size, and its share of the carrier's room; AUC and PSNR before and after; bit errors."""
  rows = verdict.averaged[(verdict.averaged.defense == "untreated") & verdict.averaged.payload_bytes.notna()]
  return [
    (
      row.attack,
      f"{formats.megabytes(row.payload_bytes)} MB, {formats.percent(row.carrier_share)} % of the room",
      f"{formats.score(row.host_auc)} → {formats.score(row.auc)}",
      f"{formats.decimal(row.codec_psnr)} → {formats.decimal(row.psnr)} dB",
      formats.score(row.ber),
    )
    for _, row in rows.iterrows()
  ]


def _grid(verdict: Verdict, attacks: list[str], cell_of: Callable[[pd.Series], Cell], missing: Cell) -> Grid | None:
  if not attacks:
    return None
  averaged, shown = verdict.averaged, main_schedules(verdict)

  def cells(rows: pd.DataFrame) -> list[Cell]:
    by_attack = {row.attack: row for _, row in rows.iterrows()}
    return [cell_of(by_attack[attack]) if attack in by_attack else missing for attack in attacks]

  untreated = averaged[averaged.defense == "untreated"]
  rows = [("untreated", False, cells(untreated))] if len(untreated) else []
  winner = set(verdict.chosen.members) if verdict.case == "winner" and verdict.chosen is not None else None
  for _, schedule in shown.iterrows():
    members = set(schedule.members)
    of_schedule = averaged[[members.issuperset(some) for some in averaged.members]]
    rows.append((short_name(schedule, verdict.schedules), members == winner, cells(of_schedule)))
  return Grid(attacks, rows, len(verdict.schedules) - len(shown))


def _code_cell(row: pd.Series, verdict: Verdict) -> Cell:
  if row.status != "ok":
    return Cell(row.status.split(":")[0], "", "unknown")
  told = [f"BER {row.ber:.3f}"] if math.isfinite(row.ber) else []
  told += [f"re-id {formats.percent(row.reid)}\u00a0%"] if math.isfinite(row.reid) else []
  if not math.isfinite(row.reid) or math.isnan(row.ssim) or math.isnan(verdict.floors.ssim):
    return Cell("undecided", ", ".join(told), "unknown")
  if row.stops:
    # Where the attack failed without a defence, no defence has stopped it.
    if row.attack in verdict.failed_attacks:
      return Cell("never worked", ", ".join(told), "unknown")
    if row.ber < DESTROYED_BER:
      return Cell("stopped, not destroyed", ", ".join(told), "damaged")
    return Cell("stopped", ", ".join(told), "stopped")
  if row.reid <= verdict.floors.limit(row.attack):
    told.append(f"SSIM {formats.score(row.ssim)}")
  return Cell("leaks", ", ".join(told), "leaks")


def _worth_cell(row: pd.Series, verdict: Verdict) -> Cell:
  if math.isnan(row[_DOWNSTREAM]):
    return Cell("", "", "")
  originals = _downstream_control("originals", verdict)
  gap, gain = _gain(row, verdict), UNKNOWN if originals is None else _gain(originals, verdict)
  auc, use = bounded(row, _DOWNSTREAM, formats.score), usefulness(row[f"{_DOWNSTREAM}_low"], gap, gain)
  if use not in {USEFUL, WORSE}:
    return Cell(use, auc, use if use == UNUSABLE else "")
  size = formats.within(formats.score, abs(gap.value), *sorted((abs(gap.low), abs(gap.high))))
  return Cell(f"{size} {'better' if use == USEFUL else 'worse'}", auc, use if use == USEFUL else "")


def _downstream_control(name: str, verdict: Verdict) -> pd.Series | None:
  row = verdict.control(name, "none")
  return row if row is not None and math.isfinite(row[_DOWNSTREAM]) else None


def _gain(row: pd.Series, verdict: Verdict) -> Interval:
  """How much better than on copies of the mean image, paired over the test images."""
  floor = _downstream_control("mean_image", verdict)
  return UNKNOWN if floor is None else verdict.difference(_DOWNSTREAM, row, floor)


def main_schedules(verdict: Verdict) -> pd.DataFrame:
  """A readable selection: each baseline once, LWLRD at few decays, all with each of their finishers."""
  schedules = verdict.schedules
  leading = verdict.leading_lwlrd()
  picked = []
  for defense in dict.fromkeys([*_ORDER, *schedules.defense]):
    rows = schedules[schedules.defense == defense]
    if rows.empty:
      continue
    if leading is not None:
      # Like with like: at the rates of the LWLRD schedules that are shown.
      columns = [name for name in TUNING if name not in {"defense", "decay"}] if defense == "lwlrd" else COMMON
      same = rows[alike(rows, leading, columns)]
      rows = same if len(same) else rows[alike(rows, rows.iloc[0], columns)]
    settings = rows.drop_duplicates(TUNING)
    keep = _decays(settings, rows, verdict) if defense == "lwlrd" else settings.iloc[:1].decay.tolist()
    chosen = rows[rows.decay.isin(keep)] if rows.decay.notna().any() else rows
    picked.append(chosen.sort_values(["decay"], kind="stable"))
  found = pd.concat(picked) if picked else schedules
  winner = verdict.chosen if verdict.case == "winner" else None
  if winner is not None and not (found.members == winner.members).any():
    found = pd.concat([found, schedules[schedules.members == winner.members]])
  return found


def _decays(settings: pd.DataFrame, rows: pd.DataFrame, verdict: Verdict) -> list[float]:
  """All decays if they are few; else the ends, and those that come closest to stopping everything."""
  decays = sorted(settings.decay.unique())
  if len(decays) <= _MOST_DECAYS + 1:
    return decays
  stopped = number_stopped(rows, verdict.working_attacks).where(rows.judged, -1)
  ranked = rows.assign(stopped=stopped).sort_values(["stopped", verdict.criterion], ascending=False, kind="stable")
  leading = verdict.leading_lwlrd()
  first = [] if leading is None else [leading.decay]
  return list(dict.fromkeys([decays[0], decays[-1], *first, *ranked.decay]))[:_MOST_DECAYS]
