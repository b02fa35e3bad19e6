"""Claim (iv): LWLRD beats high-LR fine-tuning and Super-Fine-Tuning."""

import dataclasses
from collections.abc import Sequence

import pandas as pd

from lwlrd_jax.analysis.bootstrap import Interval
from lwlrd_jax.report import formats
from lwlrd_jax.report.distinguish import OPEN
from paper import cells
from paper.finding import NOT_MEASURED, Section, names, overall
from paper.markdown import plain, table
from paper.sections.utility import MARGIN
from paper.source import ALONE, Source, group_name, with_group

# Families, those of the claim first.
_FAMILIES = {
  "high-LR": ("high_lr",),
  "Super-FT": ("super_ft_long", "super_ft_short"),
  "vanilla": ("vanilla",),
  "reversed": ("reversed",),
}
_CLAIMED = ("high-LR", "Super-FT")
_WINS, _SAME, _LOSES, _MIXED = "wins", "not distinguishable", "loses", "mixed"
# Attacks that a reason has room for by name.
_NAMED = 3
_FORMS = (formats.percent, formats.score)
_HEADERS = ["schedule", "attacks stopped", "worst re-id, %", "lets through", "worst AUC difference to untreated"]
_HEADERS += ["collapsed models"]
_DUEL_HEADERS = [
  "steps",
  "LWLRD",
  "rival",
  "stopped",
  "AUC difference",
  "difference in worst re-id, points",
  "result for LWLRD",
]

_RULE = (
  "A duel, in the second table of each run, sets the best LWLRD schedule against the best of a rival family, with the "
  "same finishing steps. *Best*: stops most attacks, then has the highest AUC on the validation split, the lowest over "
  "attacks; *(of N)* is how many were tried. Privacy: who measurably stops attacks that the other does not; if that is "
  "equal and some get through, the lower worst re-identification. Utility: AUC on the test split, mean over attacks, "
  f"each infection and image against itself; differences up to {MARGIN} count for nothing. Ahead in one and behind in "
  f"the other is *mixed*. Whoever is ahead in privacy, but may have more than {MARGIN} less AUC, has not won: {OPEN}."
)


@dataclasses.dataclass(frozen=True, eq=False)
class _Duel:
  """The second table of each run has the best LWLRD schedule against the best of a family, with the same steps."""

  family: str
  group: tuple[str, str]
  cells: list[str]
  result: str
  reason: str


def section(sources: Sequence[Source]) -> Section:
  """The claim, judged on duels with the two families it names, one for each run and pair of steps."""
  statement, blocks = [], []
  counted: list[tuple[str, _Duel]] = []
  for source in sources:
    if not source.working:
      statement.append(f"{plain(source.name)}: {NOT_MEASURED} ({source.why_nothing_works}).")
      continue
    duels = [duel for group in source.groups for family in _FAMILIES if (duel := _duel(source, family, group))]
    statement.append(f"{plain(source.name)}: {_sentence(source, duels)}")
    counted += [(source.name, duel) for duel in duels if duel.family in _CLAIMED and duel.result]
    blocks += [f"### {plain(source.name)}: all schedules", _table(source)]
    if duels:
      blocks.append(table(_DUEL_HEADERS, [duel.cells for duel in duels]))
  results = [duel.result for _, duel in counted]
  won, unknown = results.count(_WINS), results.count(OPEN)
  return Section(
    "(iv)",
    "LWLRD beats high-LR fine-tuning and Super-Fine-Tuning",
    overall(won, 0, len(results) - won - unknown, unknown),
    _by_steps(counted, [_WINS]) if won else "",
    _by_steps(counted, [_SAME, _MIXED, OPEN, _LOSES]),
    statement,
    [_RULE, *blocks] if counted else blocks,
  )


def _by_steps(counted: Sequence[tuple[str, _Duel]], words: Sequence[str]) -> str:
  """How many duels have each of some results, without and with steps before or after."""
  parts = []
  for where, alone in (("without finishing steps", True), ("with", False)):
    results = [duel.result for _, duel in counted if (duel.group == ALONE) == alone]
    told = [f"{word} {number}" for word in words if (number := results.count(word))]
    parts += [f"{where}: {', '.join(told)}, of {len(results)} duels"] * bool(told)
  return "; ".join(parts)


def _duel(source: Source, family: str, group: tuple[str, str]) -> _Duel | None:
  """None where LWLRD itself was not run or not judged."""
  mine, others = source.family(["lwlrd"], group), source.family(_FAMILIES[family], group)
  ours, theirs = source.best(mine), source.best(others)
  if ours is None:
    return None
  lead = [group_name(group), _of(source, ours, mine)]
  if theirs is None:
    why = NOT_MEASURED if (others.status == "ok").all() else "not ok"
    return _Duel(family, group, [*lead, f"{family}: {why}", "", "", "", NOT_MEASURED], "", "")
  only = _only(source, ours, theirs), _only(source, theirs, ours)
  auc = source.auc_difference(ours, theirs)
  leaks = source.difference("reid", _worst(source, ours), _worst(source, theirs))
  stopped = source.stops(ours), source.stops(theirs)
  all_stopped = min(stopped) == len(source.working)
  result, reason = _judge(only, all_stopped, auc, leaks)
  told = [*lead, _of(source, theirs, others), f"{stopped[0]} to {stopped[1]}", cells.gap(auc)]
  told += [cells.gap(leaks, formats.percent), f"{result or NOT_MEASURED}{f' ({reason})' if reason else ''}"]
  return _Duel(family, group, told, result, reason)


def _of(source: Source, schedule: pd.Series, among: pd.DataFrame) -> str:
  return f"{source.short(schedule)} (of {len(among)})"


def _only(source: Source, schedule: pd.Series, other: pd.Series) -> list[str]:
  """Attacks that a schedule stops and another does not, and of which it measurably leaves less."""
  found = []
  for attack in source.working:
    mine, theirs = source.row(schedule, attack), source.row(other, attack)
    if source.stopped(mine) and source.stopped(theirs) is False:
      gaps = (source.difference(figure, mine, theirs) for figure in ("reid", "ssim"))
      if cells.LOWER in {cells.side(gap, form) for gap, form in zip(gaps, _FORMS, strict=True)}:
        found.append(attack)
  return found


def _worst(source: Source, schedule: pd.Series) -> pd.Series | None:
  """The averaged row of the attack that a schedule leaves most to."""
  return source.row(schedule, schedule.reid_attack)


def _judge(only: tuple[list[str], list[str]], all_stopped: bool, auc: Interval, leaks: Interval) -> tuple[str, str]:
  """Who is ahead in privacy and in utility, see `_RULE`.

  Args:
    only: Attacks that LWLRD alone stops, and the rival alone.
    all_stopped: Whether both stop all.
    auc: LWLRD's less the rival's.
    leaks: Likewise of the worst re-identification.

  Returns:
    The result for LWLRD, empty where intervals are not known, and the reason.
  """
  if not auc.known or not (leaks.known or all_stopped):
    return "", ""
  side = cells.side(auc) if abs(auc.value) > MARGIN else cells.SAME
  useful = {cells.HIGHER: 1, cells.LOWER: -1}.get(side, 0)
  more = len(only[0]) - len(only[1])
  if more:
    tight = 1 if more > 0 else -1
    words = [f"only LWLRD stops {_some(only[0])}"] * bool(only[0])
    words += [f"only the rival stops {_some(only[1])}"] * bool(only[1])
  else:
    tight = 0 if all_stopped else {cells.LOWER: 1, cells.HIGHER: -1}.get(cells.side(leaks, formats.percent), 0)
    words = [{1: "leaks less", -1: "leaks more"}.get(tight, "")] * bool(tight)
  kept = min(tight * auc.low, tight * auc.high) >= -MARGIN
  if not useful and not kept:
    return OPEN, ", ".join([*words, f"AUC may be {'lower' if tight > 0 else 'higher'} by more than {MARGIN}"])
  reasons = [{1: "higher AUC", -1: "lower AUC"}.get(useful, ""), *words]
  return _result(useful, tight), ", ".join(word for word in reasons if word)


def _result(useful: int, tight: int) -> str:
  return _MIXED if useful * tight < 0 else {1: _WINS, -1: _LOSES}.get(useful or tight, _SAME)


def _some(attacks: list[str]) -> str:
  return names(attacks) if len(attacks) <= _NAMED else f"{len(attacks)} attacks"


def _sentence(source: Source, duels: list[_Duel]) -> str:
  if not duels:
    return f"{NOT_MEASURED} (no LWLRD schedule could be judged)."
  parts = []
  for family in _FAMILIES:
    mine = [duel for duel in duels if duel.family == family]
    told = [
      ("" if duel.group == ALONE else f"{with_group(duel.group)} ")
      + (duel.result or NOT_MEASURED)
      + (f" ({duel.reason})" if duel.reason else "")
      for duel in mine
    ]
    if any(duel.result for duel in mine):
      parts.append(f"Against {family}: {'; '.join(told)}.")
    else:
      parts.append(f"Against {family}: {NOT_MEASURED}.")
  return " ".join([*parts, *_chosen(source)])


def _chosen(source: Source) -> list[str]:
  """The best of all schedules, whosever it is."""
  chosen = source.verdict.chosen
  if chosen is None:
    return []
  stopped = f"it stops {source.stops(chosen)} of {len(source.working)} working attacks"
  return [f"Best of all schedules by the same rule: {source.short(chosen)}; {stopped}."]


def _table(source: Source) -> str:
  rows = []
  for group in source.groups:
    families = [source.family(names, group) for names in _FAMILIES.values()]
    shown = source.shown
    for schedules in (shown[(shown.prepare == group[0]) & (shown.finish == group[1])], *families):
      rows += [_row(source, schedule) for _, schedule in schedules.iterrows()]
  return table(_HEADERS, rows)


def _row(source: Source, schedule: pd.Series) -> list[str]:
  name = source.short(schedule)
  if not schedule.judged:
    why = NOT_MEASURED if schedule.status == "ok" else f"not judged: {plain(schedule.status)}"
    return [name, why, "", "", "", ""]
  worst = formats.within(formats.percent, schedule.reid, schedule.reid_low, schedule.reid_high)
  through = [
    f"{attack} {cells.brief(source, row)}"
    for attack in source.working
    if (row := source.row(schedule, attack)) is not None and not source.stopped(row)
  ]
  stopped = f"{source.stops(schedule)} of {len(source.working)}"
  lowest = cells.worst_auc(source, schedule)
  cost = NOT_MEASURED if lowest is None else f"{cells.gap(lowest[1])} ({lowest[0]})"
  rows = [row for attack in source.verdict.attacks if (row := source.row(schedule, attack)) is not None]
  collapsed = f"{sum(map(source.collapsed, rows))} of {sum(len(source.members(row)) for row in rows)}"
  return [name, stopped, f"{worst} ({schedule.reid_attack})", ", ".join(through) or "none", cost, collapsed]
