"""What the stolen images are worth: what a fresh classifier learns from what the attacker gets."""

import dataclasses
import math

import pandas as pd

from lwlrd_jax.analysis.bootstrap import UNKNOWN, Interval
from lwlrd_jax.analysis.verdict import DOWNSTREAM_CONTROLS, Verdict
from lwlrd_jax.report import formats
from lwlrd_jax.report.distinguish import bounded
from lwlrd_jax.report.naming import short_name
from lwlrd_jax.report.sections.codes import main_schedules
from lwlrd_jax.report.sections.usefulness import UNUSABLE, USEFUL, WORSE, usefulness

_FIGURE = "downstream_auc"


@dataclasses.dataclass(frozen=True)
class Cell:
  """What a classifier reaches.

  Attributes:
    auc: With its interval; empty if it was not measured.
    verdict: Against copies of the mean image; empty if that cannot be said.
    kind: `useful`, `unusable` or empty.
  """

  auc: str
  verdict: str
  kind: str


@dataclasses.dataclass(frozen=True)
class Worth:
  """What the page prints.

  Attributes:
    attacks: Columns.
    controls: Name and AUC of what does not depend on the attack.
    rows: Name of a defence, whether it is the winner, and a cell an attack.
  """

  attacks: list[str]
  controls: list[tuple[str, str]]
  rows: list[tuple[str, bool, list[Cell]]]


def worth(verdict: Verdict) -> Worth | None:
  """The table; None if it was not measured with any attack."""
  averaged = verdict.averaged
  known = averaged[averaged[_FIGURE].notna()]
  attacks = [attack for attack in verdict.attacks if (known.attack == attack).any()]
  if not attacks:
    return None
  winners = set(verdict.chosen.members) if verdict.case == "winner" and verdict.chosen is not None else set()
  schedules = [("untreated", False, averaged[averaged.defense == "untreated"])]
  for _, schedule in main_schedules(verdict).iterrows():
    members = set(schedule.members)
    is_winner = members == winners
    rows = averaged[[members.issuperset(some) for some in averaged.members]]
    schedules.append((short_name(schedule, verdict.schedules), is_winner, rows))
  table = [(name, best, [_cell(rows, attack, verdict) for attack in attacks]) for name, best, rows in schedules]
  controls = [
    (f"{formats.NAMES[name]} (control)", bounded(row, _FIGURE, formats.score))
    for name in DOWNSTREAM_CONTROLS
    if (row := _control(name, verdict)) is not None
  ]
  shown = [(name, best, cells) for name, best, cells in table if any(cell.auc for cell in cells)]
  return Worth(attacks, controls, shown)


def _control(name: str, verdict: Verdict) -> pd.Series | None:
  row = verdict.control(name, "none")
  return row if row is not None and math.isfinite(row[_FIGURE]) else None


def _gap(row: pd.Series, verdict: Verdict) -> Interval | None:
  """How much better than on copies of the mean image, paired over the test images; None if that is not known."""
  floor = _control("mean_image", verdict)
  if floor is None:
    return None
  found = verdict.difference(_FIGURE, row, floor)
  return found if found.known else None


def _use(row: pd.Series, verdict: Verdict) -> str:
  originals = _control("originals", verdict)
  worth = None if originals is None else _gap(originals, verdict)
  return usefulness(row[f"{_FIGURE}_low"], _gap(row, verdict) or UNKNOWN, worth or UNKNOWN)


def _cell(rows: pd.DataFrame, attack: str, verdict: Verdict) -> Cell:
  rows = rows[(rows.attack == attack) & rows[_FIGURE].notna()]
  if rows.empty:
    return Cell("", "", "")
  row = rows.iloc[0]
  auc, gap, use = bounded(row, _FIGURE, formats.score), _gap(row, verdict), _use(row, verdict)
  if gap is None or not use:
    return Cell(auc, "", "")
  kind = use if use in {USEFUL, UNUSABLE} else ""
  if use in {USEFUL, WORSE}:
    size = formats.within(formats.score, abs(gap.value), *sorted((abs(gap.low), abs(gap.high))))
    return Cell(auc, f"{size} {'better' if use == USEFUL else 'worse'}", kind)
  return Cell(auc, use, kind)
