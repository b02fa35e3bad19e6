"""Claim (ii): LWLRD stops the attacks."""

import dataclasses
import math
from collections.abc import Sequence

import pandas as pd

from lwlrd_jax.report import formats
from lwlrd_jax.report.distinguish import OPEN, bounded
from paper import cells
from paper.finding import DEPENDS, HOLDS, Section, counted, names, overall, share
from paper.markdown import plain, table
from paper.source import ALONE, COUNTERPARTS, Source, group_name, with_group

_EVERY = "every schedule"


@dataclasses.dataclass(frozen=True)
class _Outcome:
  """What stops which working attack of a run.

  Attributes:
    by: Words for the schedules that stop each attack that is stopped at all, for each pair of steps.
    unsure: Those of these attacks whose interval reaches above the limit under each such schedule, likewise.
    whole: Which schedules stop all of them at once, in words, for each pair of steps that has any.
  """

  by: dict[tuple[str, str], dict[str, str]]
  unsure: dict[tuple[str, str], list[str]]
  whole: dict[tuple[str, str], str]


def section(sources: Sequence[Source]) -> Section:
  """The claim, judged on every working attack of every run, over all LWLRD schedules of the run."""
  statement, blocks = [], []
  alone: list[tuple[str, str]] = []
  with_steps: list[tuple[str, str]] = []
  never: list[tuple[str, str]] = []
  unsure: list[tuple[str, str]] = []
  one_for_all, best, vanilla = True, 0, 0
  for source in sources:
    if source.lwlrd.empty or not source.working:
      why = source.why_nothing_works if not source.working else "no LWLRD schedule was run"
      statement.append(f"{plain(source.name)}: not measured ({why}).")
    else:
      found = _outcome(source)
      one_for_all &= ALONE in found.whole
      for attack in source.working:
        case = (source.name, attack)
        by = [group for group, attacks in found.by.items() if attack in attacks]
        surely = [group for group in by if attack not in found.unsure[group]]
        (alone if ALONE in surely else with_steps if surely else unsure if by else never).append(case)
      best += _most_with_steps(_best_of(source, "lwlrd"))
      vanilla += _most_with_steps(_best_of(source, "vanilla"))
      statement.append(_sentence(source, found))
    if not source.lwlrd.empty:
      blocks += [f"### {plain(source.name)}: re-identified, %; bold: stopped", *_clean(source), _table(source)]
  total = len(alone) + len(with_steps) + len(never) + len(unsure)
  verdict = overall(len(alone), len(with_steps), len(never), len(unsure))
  parts = [f"for sure only with finishing steps: {counted(with_steps, total)}"] * bool(with_steps)
  parts += [f"never: {counted(never, total)}"] * bool(never)
  parts += [f"stopped, but {OPEN} {cells.UNSURE}: {counted(unsure, total)}"] * bool(unsure)
  parts += [
    f"with those not known well enough, the best schedules with finishing steps stop {best} of these {total}, and "
    f"vanilla fine-tuning {vanilla}"
  ] * bool(with_steps)
  if verdict == HOLDS and not one_for_all:
    verdict = DEPENDS
    parts.append("no one schedule stops every attack of each run")
  return Section(
    "(ii)",
    "LWLRD stops the attacks",
    verdict,
    f"LWLRD without finishing steps, for sure: {share(len(alone), total, 'working attack')}" if alone else "",
    "; ".join(parts),
    statement,
    blocks,
  )


def _outcome(source: Source) -> _Outcome:
  by: dict[tuple[str, str], dict[str, str]] = {}
  unsure: dict[tuple[str, str], list[str]] = {}
  whole: dict[tuple[str, str], str] = {}
  for group in source.groups:
    schedules = _in_order(source, group)
    if schedules.empty:
      continue
    by[group], unsure[group] = {}, []
    for attack in source.working:
      stopping = schedules[_stops(source, schedules, attack)]
      if len(stopping):
        every = len(stopping) == len(schedules)
        by[group][attack] = _EVERY if every and len(schedules) > 1 else source.told(stopping)
        rows = [source.row(schedule, attack) for _, schedule in stopping.iterrows()]
        unsure[group] += [attack] * all(row is not None and source.unsure(row) for row in rows)
    leader = source.best(schedules)
    if leader is not None and source.stops(leader) == len(source.working):
      judged = schedules[schedules.judged]
      number = sum(source.stops(schedule) == len(source.working) for _, schedule in judged.iterrows())
      split = " on the validation split" * (source.verdict.split == "validation")
      best = f", {source.short(leader)} loses least utility{split}" * (number > 1)
      whole[group] = f"{source.short(leader)} stops" if number == 1 else f"{number} schedules stop"
      whole[group] += f" all at once{best}"
  return _Outcome(by, unsure, whole)


def _in_order(source: Source, group: tuple[str, str]) -> pd.DataFrame:
  rows = source.lwlrd
  return rows[(rows.prepare == group[0]) & (rows.finish == group[1])]


def _stops(source: Source, schedules: pd.DataFrame, attack: str) -> list[bool]:
  return [source.stopped(source.row(schedule, attack)) is True for _, schedule in schedules.iterrows()]


def _sentence(source: Source, found: _Outcome) -> str:
  parts = []
  for group, by in found.by.items():
    alike: dict[str, list[str]] = {}
    for attack, words in by.items():
      alike.setdefault(words, []).append(f"{attack} {cells.UNSURE}" if attack in found.unsure[group] else attack)
    told = "; ".join(f"{names(attacks)} ({words})" for words, attacks in alike.items())
    number = share(len(by), len(source.working), "working attack") if by else "no working attack"
    whole = f"; {found.whole[group]}" if group in found.whole and len(source.working) > 1 else ""
    parts.append(f"LWLRD {with_group(group)} stops {number}{f': {told}' if told else ''}{whole}.")
  stopped = {attack for by in found.by.values() for attack in by}
  survivors = [attack for attack in source.working if attack not in stopped]
  adaptive = [attack for attack in survivors if attack in COUNTERPARTS]
  common = [attack for attack in survivors if attack not in COUNTERPARTS]
  if survivors:
    parts.append(
      f"Every LWLRD schedule is survived by: plain attackers {names(common)}; adaptive attackers {names(adaptive)}."
    )
  return " ".join([f"{plain(source.name)}:", *parts, *_beside(source)])


def _beside(source: Source) -> list[str]:
  """What vanilla fine-tuning stops with the same steps: what is not LWLRD's merit."""
  told = [f"{number} {with_group(group)}" for group, number in _best_of(source, "vanilla").items()]
  return (
    [f"For comparison, vanilla fine-tuning stops {formats.listed(told)}, of {len(source.working)}."] if told else []
  )


def _best_of(source: Source, defense: str) -> dict[tuple[str, str], int]:
  """How many working attacks the best schedule of a defence stops with each pair of steps, unsure ones too."""
  found = {group: source.best(source.family([defense], group)) for group in source.groups}
  return {group: source.stops(schedule) for group, schedule in found.items() if schedule is not None}


def _most_with_steps(stopped: dict[tuple[str, str], int]) -> int:
  return max((number for group, number in stopped.items() if group != ALONE), default=0)


def _clean(source: Source) -> list[str]:
  """What is re-identified in a model that has seen no attack: measured chance."""
  row = source.verdict.control("clean", "none")
  if row is None or not math.isfinite(row.reid) or not source.verdict.attacks:
    return []
  found = bounded(row, "reid")
  return [f"In a model never infected, read as {source.verdict.attacks[0]} is: {found}."]


def _table(source: Source) -> str:
  shown = [schedule for _, schedule in source.shown.iterrows()]
  left_out = len(source.lwlrd) > len(shown)
  groups = [group for group in source.groups if len(_in_order(source, group))] if left_out else []
  headers = ["attack", "untreated", *(source.short(schedule) for schedule in shown)]
  headers += [f"stopped by, of all {len(_in_order(source, group))} with {group_name(group)}" for group in groups]
  rows = []
  for attack in source.verdict.attacks:
    row = [attack, cells.reid(source, source.untreated(attack))]
    row += [cells.reid(source, source.row(schedule, attack)) for schedule in shown]
    for group in groups:
      schedules = _in_order(source, group)
      row.append(source.told(schedules[_stops(source, schedules, attack)]))
    rows.append(row)
  return table(headers, rows)
