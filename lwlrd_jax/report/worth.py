"""What the stolen images are worth: what a fresh classifier learns from what the thief gets."""

import dataclasses
import math

import pandas as pd

from lwlrd_jax.report import formats
from lwlrd_jax.report.bootstrap import UNKNOWN, Interval
from lwlrd_jax.report.codes import main_schedules
from lwlrd_jax.report.distinguish import OPEN, apart, bounded
from lwlrd_jax.report.naming import long_name, short_name, subject
from lwlrd_jax.report.summary import DOWNSTREAM_CONTROLS, Verdict
from lwlrd_jax.report.usefulness import UNUSABLE, USEFUL, WORSE, usefulness

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
    text: What the table shows, in sentences.
  """

  attacks: list[str]
  controls: list[tuple[str, str]]
  rows: list[tuple[str, bool, list[Cell]]]
  text: list[str]


def worth(verdict: Verdict) -> Worth | None:
  """The table and its sentences; None if it was not measured with any attack."""
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
  return Worth(attacks, controls, shown, [formats.unbroken(sentence) for sentence in _text(attacks, verdict)])


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


def _text(attacks: list[str], verdict: Verdict) -> list[str]:
  told = [
    f"{bounded(row, _FIGURE, formats.score)} on {words}"
    for name, words in (
      ("originals", "the true originals"),
      ("mean_image", "copies of the mean image"),
      ("noise_images", "noise"),
    )
    if (row := _control(name, verdict)) is not None
  ]
  sentences = [f"A fresh classifier reaches a test AUC of {formats.listed(told)}."] if told else []
  if _control("mean_image", verdict) is None:
    return [*sentences, "Whether stolen images are usable cannot be said, because the mean-image control is missing."]
  averaged = verdict.averaged
  sentences += _judgement("Without a defence,", averaged[averaged.defense == "untreated"], attacks, verdict)
  if verdict.chosen is not None:
    members = set(verdict.chosen.members)
    rows = averaged[[members.issuperset(some) for some in averaged.members]]
    name = subject(long_name(verdict.chosen, verdict.schedules)).rstrip(",")
    sentences += _judgement(f"After {name},", rows, attacks, verdict)
  return sentences


def _judgement(when: str, rows: pd.DataFrame, attacks: list[str], verdict: Verdict) -> list[str]:
  """Which attacks' images are usable, and by how much; nothing if it is not known."""
  gaps = {}
  for attack in attacks:
    of_attack = rows[(rows.attack == attack) & rows[_FIGURE].notna()]
    gap = None if of_attack.empty else _gap(of_attack.iloc[0], verdict)
    if gap is not None:
      gaps[attack] = gap
  uses = {attack: _use(rows[rows.attack == attack].iloc[0], verdict) for attack in gaps}
  useless = [attack for attack, use in uses.items() if use == UNUSABLE]
  differing = [attack for attack, use in uses.items() if use in {USEFUL, WORSE}]
  unknown = [attack for attack, use in uses.items() if use == OPEN]
  several = len(verdict.attacks) > 1
  parts = [
    f"what {attack} gives is {apart(gaps[attack], 'the mean image', formats.score, 'worse than', 'better than')}"
    for attack in differing
  ]
  if useless:
    whose = (
      f"what {formats.listed(useless)} {'gives' if len(useless) == 1 else 'give'}" if several else "what the thief gets"
    )
    parts.append(f"{whose} is unusable: not distinguishable from the mean image")
  if unknown:
    parts.append(f"whether what {formats.listed(unknown)} gives is of use is {OPEN}")
  return [f"{when} {formats.listed(parts)}."] if parts else []
