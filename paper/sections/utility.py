"""Claim (iii): utility is kept."""

import dataclasses
import math
from collections.abc import Sequence

import pandas as pd

from lwlrd_jax.analysis.bootstrap import Interval
from lwlrd_jax.report import formats
from lwlrd_jax.report.distinguish import OPEN, bounded
from paper import cells
from paper.finding import NOT_MEASURED, Section, overall, share
from paper.markdown import BREAK, bold, plain, table
from paper.source import ALONE, COLLAPSED, Source, with_group

# What may be lost without calling utility lost: the default of --max-auc-drop.
MARGIN = 0.01
KEPT, LOWER = "kept", "lower"
# Cases that a sentence has room for.
_NAMED = 3
_WORDS = {KEPT: f"kept to within {MARGIN}", LOWER: "lower", OPEN: OPEN}
_RULE = (
  f"AUC is *kept* where all of the interval is above {formats.score(-MARGIN)}. Some infections cost AUC, which any "
  "fine-tuning brings back: beside the untreated model stands one that was never infected. A model has *collapsed* if "
  f"its AUC exceeds 0.5 by less than {formats.rate(COLLAPSED)} of what the untreated model's does."
)


@dataclasses.dataclass(frozen=True, eq=False)
class _Case:
  """An attack and a schedule: differences to the untreated model."""

  where: str
  auc: Interval
  balanced: float
  stops: bool
  alone: bool = True

  @property
  def side(self) -> str:
    """What can be said of AUC; empty without an interval.

    That two figures cannot be told apart does not say that they are equal: kept is what lies within the margin with all
    of its interval.
    """
    if not self.auc.known:
      return ""
    if self.auc.low >= -MARGIN:
      return KEPT
    return LOWER if cells.side(self.auc) == cells.LOWER else OPEN


def section(sources: Sequence[Source]) -> Section:
  """The claim, judged where the schedules shown under claim (ii) stop an attack: elsewhere a cost buys nothing."""
  statement, blocks = [], []
  judged: list[_Case] = []
  for source in sources:
    cases, rows = _measure(source)
    statement.append(f"{plain(source.name)}: {' '.join([_sentence(cases), *_leaders(source)])}")
    judged += [case for case in _relevant(cases) if case.side]
    if rows:
      headers = [
        "attack",
        "never infected",
        "untreated",
        *(source.short(schedule) for _, schedule in source.shown.iterrows()),
      ]
      blocks += [f"### {plain(source.name)}: AUC, difference to untreated; bold: kept", table(headers, rows)]
  kept, lower, unknown = (sum(case.side == side for case in judged) for side in (KEPT, LOWER, OPEN))
  otherwise = [
    f"{_WORDS[side]}: {_by_steps(judged, side)}" for side in (LOWER, OPEN) if any(c.side == side for c in judged)
  ]
  lowest = min((case.auc.value for case in judged), default=0.0)
  otherwise += [f"largest drop {formats.score(-lowest)}"] * bool(otherwise and lowest < 0)
  return Section(
    "(iii)",
    "Utility is kept",
    overall(kept, 0, lower, unknown),
    f"AUC {_WORDS[KEPT]}: {_by_steps(judged, KEPT)}" if kept else "",
    "; ".join(otherwise),
    statement,
    [_RULE, *blocks] if blocks else [],
  )


def _by_steps(judged: list[_Case], side: str) -> str:
  """How many cases are so, without and with steps before or after."""
  parts = []
  for words, alone in (("without finishing steps", True), ("with", False)):
    cases = [case.side for case in judged if case.alone == alone]
    parts += [f"{words} {share(cases.count(side), len(cases), 'case')}"] * (side in cases)
  return ", ".join(parts)


def _relevant(cases: list[_Case]) -> list[_Case]:
  return [case for case in cases if case.stops]


def _measure(source: Source) -> tuple[list[_Case], list[list[str]]]:
  cases, rows = [], []
  for attack in source.verdict.attacks if not source.shown.empty else []:
    untreated, clean = source.untreated(attack), source.verdict.control("clean", attack)
    row = [attack, cells.missing(clean) if clean is None else bounded(clean, "auc")]
    row.append(cells.missing(untreated) if untreated is None else bounded(untreated, "auc"))
    for _, schedule in source.shown.iterrows():
      treated = source.row(schedule, attack)
      case = _case(source, attack, schedule, treated, untreated)
      row.append(cells.missing(treated) if case is None or treated is None else _cell(source, case, treated))
      cases += [] if case is None else [case]
    rows.append(row)
  return cases, rows


def _case(
  source: Source, attack: str, schedule: pd.Series, treated: pd.Series | None, untreated: pd.Series | None
) -> _Case | None:
  auc = source.difference("auc", treated, untreated)
  if treated is None or untreated is None or not math.isfinite(auc.value):
    return None
  balanced = float(treated.balanced_accuracy - untreated.balanced_accuracy)
  stops = attack in source.working and source.stopped(treated) is True
  alone = (schedule.prepare, schedule.finish) == ALONE
  return _Case(f"{attack}, {source.short(schedule)}", auc, balanced, stops, alone)


def _cell(source: Source, case: _Case, treated: pd.Series) -> str:
  text = cells.gap(case.auc)
  text = bold(text) if case.side == KEPT else text
  if treated.status != "ok":
    text += f" {cells.PARTLY}"
  if math.isfinite(case.balanced):
    text += f"{BREAK}balanced {formats.score(case.balanced)}"
  collapsed = source.collapsed(treated)
  if collapsed:
    text += f"{BREAK}collapsed: {collapsed} of {len(source.members(treated))}"
  return text + f"{BREAK}(stops it)" * case.stops


def _sentence(cases: list[_Case]) -> str:
  if not cases:
    return f"{NOT_MEASURED}."
  relevant = _relevant(cases)
  if not relevant:
    return f"{NOT_MEASURED} (no schedule shown stops an attack)."
  known = [case for case in relevant if case.side]
  if not known:
    return f"{NOT_MEASURED} (the run has no figures by image, so no intervals)."
  told = [
    f"{words} in {number}" for side, words in _WORDS.items() if (number := sum(case.side == side for case in known))
  ]
  text = (
    f"Where an attack is stopped, AUC is {formats.listed(told)} of {len(known)} "
    f"{'case' if len(known) == 1 else 'cases'}."
  )
  lower = [case for case in known if case.side == LOWER]
  if lower:
    text += f" It is lower in {formats.listed([f'{case.where} ({cells.gap(case.auc)})' for case in lower[:_NAMED]])}"
    text += "." if len(lower) <= _NAMED else f", and {len(lower) - _NAMED} more."
  lowest = min(known, key=lambda case: case.auc.value)
  if lowest.auc.value < 0 and lowest not in lower[:_NAMED]:
    text += f" The mean falls most in {lowest.where}: {cells.gap(lowest.auc)}."
  balanced = [case for case in known if math.isfinite(case.balanced)]
  if balanced:
    worst = min(balanced, key=lambda case: case.balanced)
    if worst.balanced < 0:
      text += f" Balanced accuracy falls by up to {formats.score(-worst.balanced)} ({worst.where})."
  return text


def _leaders(source: Source) -> list[str]:
  """What the best schedule of each steps costs at worst, over attacks: a sentence each."""
  told = []
  for group in source.groups if source.working else []:
    schedule = source.best(source.family(["lwlrd"], group))
    worst = None if schedule is None else cells.worst_auc(source, schedule)
    if schedule is None or worst is None or not worst[1].known:
      continue
    text = (
      f"The best LWLRD schedule {with_group(group)}, {source.short(schedule)}, changes AUC by {cells.gap(worst[1])} "
    )
    text += f"at worst ({worst[0]})"
    vanilla = source.best(source.family(["vanilla"], group))
    # An infection costs AUC that any fine-tuning brings back.
    beside = None if vanilla is None else cells.worst_auc(source, schedule, vanilla)
    if beside is not None and beside[1].known:
      text += f"; against vanilla fine-tuning with the same finishing steps by {cells.gap(beside[1])} ({beside[0]})"
    told.append(f"{text}.")
  return told
