"""Tables of defences and attacks: which codes get through, and what the stolen images are worth."""

import math
from collections.abc import Callable
from typing import NamedTuple

import pandas as pd

from lwlrd_jax.analysis.bootstrap import UNKNOWN
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
from lwlrd_jax.report.naming import short_name, winner, winning_members

_ORDER = ("vanilla", "high_lr", "super_ft_long", "super_ft_short", "reversed", "lwlrd")
_MOST_DECAYS = 4
_DOWNSTREAM = "downstream_auc"


class Cell(NamedTuple):
  """A cell: a defence and an attack."""

  verdict: str  # in a word or two; empty if there is none
  figures: str  # what it rests on
  kind: str  # its class on the page: `leaks`, `stopped`, `damaged`, `unknown`, `useful`, `unusable` or empty


class Grid(NamedTuple):
  """What the page prints."""

  attacks: list[str]
  rows: list[tuple[str, bool, list[Cell]]]  # name of a defence, whether it is the winner, and a cell an attack
  omitted: int  # schedules that are not shown


def codes(verdict: Verdict) -> Grid | None:
  """What gets through; None without an attack."""
  return _grid(verdict, verdict.attacks, lambda row: _code_cell(row, verdict), Cell("", "not run", "unknown"))


def worth(verdict: Verdict) -> Grid | None:
  """What a fresh classifier learns from what the attacker gets; None if it was not measured with any attack."""
  known = set(verdict.averaged.attack[verdict.averaged[_DOWNSTREAM].notna()])
  attacks = [attack for attack in verdict.attacks if attack in known]
  found = _grid(verdict, attacks, lambda row: _worth_cell(row, verdict), Cell("", "", ""))
  return found and found._replace(rows=[row for row in found.rows if any(cell.figures for cell in row[2])])


def worth_controls(verdict: Verdict) -> list[tuple[str, str]]:
  """Name and AUC of what does not depend on the attack."""
  return [
    (f"{formats.NAMES[name]} (control)", bounded(row, _DOWNSTREAM))
    for name in DOWNSTREAM_CONTROLS
    if (row := _downstream_control(name, verdict)) is not None
  ]


def _grid(verdict: Verdict, attacks: list[str], cell_of: Callable[[pd.Series], Cell], missing: Cell) -> Grid | None:
  if not attacks:
    return None
  averaged, shown, winners = verdict.averaged, _main_schedules(verdict), winning_members(verdict)

  def cells(rows: pd.DataFrame) -> list[Cell]:
    by_attack = {row.attack: row for _, row in rows.iterrows()}
    return [cell_of(by_attack[attack]) if attack in by_attack else missing for attack in attacks]

  untreated = averaged[averaged.defense == "untreated"]
  rows = [("untreated", False, cells(untreated))] if len(untreated) else []
  for _, schedule in shown.iterrows():
    members = set(schedule.members)
    of_schedule = averaged[averaged.members.map(members.issuperset)]
    rows.append((short_name(schedule, verdict.schedules), members == winners, cells(of_schedule)))
  return Grid(attacks, rows, len(verdict.schedules) - len(shown))


def _code_cell(row: pd.Series, verdict: Verdict) -> Cell:
  if row.status != "ok":
    return Cell(row.status.split(":")[0], "", "unknown")
  found = [f"BER {row.ber:.3f}"] if math.isfinite(row.ber) else []
  found += [f"re-id {formats.percent(row.reid)}\u00a0%"] if math.isfinite(row.reid) else []
  figures = ", ".join(found)
  if not math.isfinite(row.reid) or math.isnan(row.ssim) or math.isnan(verdict.floors.ssim):
    return Cell("undecided", figures, "unknown")
  if row.stops:
    # Where the attack failed without a defence, no defence has stopped it.
    if row.attack in verdict.failed_attacks:
      return Cell("never worked", figures, "unknown")
    if row.ber < DESTROYED_BER:
      return Cell("stopped, not destroyed", figures, "damaged")
    return Cell("stopped", figures, "stopped")
  if row.reid <= verdict.floors.limit(row.attack):
    figures += f", SSIM {formats.score(row.ssim)}"
  return Cell("leaks", figures, "leaks")


def _worth_cell(row: pd.Series, verdict: Verdict) -> Cell:
  if math.isnan(row[_DOWNSTREAM]):
    return Cell("", "", "")
  floor, originals = (_downstream_control(name, verdict) for name in ("mean_image", "originals"))
  # How much better than on copies of the mean image, paired over the test images.
  gap, gain = (
    UNKNOWN if floor is None or other is None else verdict.difference(_DOWNSTREAM, other, floor)
    for other in (row, originals)
  )
  auc, use = bounded(row, _DOWNSTREAM), usefulness(row[f"{_DOWNSTREAM}_low"], gap, gain)
  if use not in {USEFUL, WORSE}:
    return Cell(use, auc, use if use == UNUSABLE else "")
  size = formats.within(formats.score, abs(gap.value), *sorted((abs(gap.low), abs(gap.high))))
  return Cell(f"{size} {'better' if use == USEFUL else 'worse'}", auc, use if use == USEFUL else "")


def _downstream_control(name: str, verdict: Verdict) -> pd.Series | None:
  row = verdict.control(name, "none")
  return row if row is not None and math.isfinite(row[_DOWNSTREAM]) else None


def _main_schedules(verdict: Verdict) -> pd.DataFrame:
  """A readable selection: each baseline once, LWLRD at few decays, all with each of their finishers."""
  schedules, leading, best = verdict.schedules, verdict.leading_lwlrd(), winner(verdict)
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
    keep = _decays(rows, verdict) if defense == "lwlrd" else [rows.iloc[0].decay]
    picked.append(rows[rows.decay.isin(keep)].sort_values("decay", kind="stable"))
  found = pd.concat(picked) if picked else schedules
  if best is None or (found.members == best.members).any():
    return found
  return pd.concat([found, schedules[schedules.members == best.members]])


def _decays(rows: pd.DataFrame, verdict: Verdict) -> list[float]:
  """All decays if they are few; else the ends, and those that come closest to stopping everything."""
  decays = sorted(rows.decay.unique())
  if len(decays) <= _MOST_DECAYS + 1:
    return decays
  stopped = number_stopped(rows, verdict.working_attacks).where(rows.judged, -1)
  ranked = rows.assign(stopped=stopped).sort_values(["stopped", "lost"], ascending=[False, True], kind="stable")
  leading = verdict.leading_lwlrd()
  first = [] if leading is None else [leading.decay]
  return list(dict.fromkeys([decays[0], decays[-1], *first, *ranked.decay]))[:_MOST_DECAYS]
