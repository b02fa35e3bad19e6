"""Claim (v): stolen data is useless for training afterwards."""

import math
from collections.abc import Sequence

import pandas as pd

from lwlrd_jax.analysis.bootstrap import UNKNOWN, Interval
from lwlrd_jax.report import formats
from lwlrd_jax.report.distinguish import OPEN, UNUSABLE, USEFUL, WORSE, WORTHLESS, bounded, usefulness
from paper import cells
from paper.finding import NOT_MEASURED, Section, counted, names, overall, share
from paper.markdown import BREAK, bold, plain, table
from paper.source import ALONE, Source

_FIGURE = "downstream_auc"
_CONTROLS = {
  "originals": "the true originals",
  "mean_image": "copies of the mean image",
  "noise_images": "noise",
  "clean": "what a model never infected paints, run backwards",
}
_TOLD = {UNUSABLE: UNUSABLE, "of use": USEFUL, "worse than the mean image": WORSE, OPEN: OPEN, NOT_MEASURED: ""}
_RULE = (
  "Images are *of use* if a classifier trained on them is measurably better than guessing, and than one trained on "
  "copies of the mean image. They are *unusable* if it cannot be told from that, and all of the interval is below "
  f"{formats.rate(WORTHLESS)} of what the true originals gain; else it is {OPEN}. A model never infected paints "
  "something too: what it takes classes to look like."
)


def section(sources: Sequence[Source]) -> Section:
  """The claim, judged on every working attack whose images are usable without a defence."""
  statement, blocks = [], []
  alone: list[tuple[str, str]] = []
  with_steps: list[tuple[str, str]] = []
  usable: list[tuple[str, str]] = []
  unknown: list[tuple[str, str]] = []
  for source in sources:
    why = _why_not(source)
    if why:
      statement.append(f"{plain(source.name)}: {NOT_MEASURED} ({why}).")
    else:
      by_group, attacks = _uses(source)
      for attack in attacks:
        by = {group: uses[attack] for group, uses in by_group.items() if uses[attack]}
        case = (source.name, attack)
        if UNUSABLE in by.values():
          (alone if by.get(ALONE) == UNUSABLE else with_steps).append(case)
        else:
          (unknown if OPEN in by.values() else usable).append(case)
      statement.append(f"{plain(source.name)}: {_sentence(source, by_group, attacks)}")
    if source.run.table[_FIGURE].notna().any():
      blocks += [f"### {plain(source.name)}: AUC of a classifier trained on what the attacker gets", _controls(source)]
      blocks.append(_table(source))
  total = len(alone) + len(with_steps) + len(usable) + len(unknown)
  parts = [f"only with finishing steps: {counted(with_steps, total)}"] * bool(with_steps)
  parts += [f"of use after the best schedule of each: {counted(usable, total)}"] * bool(usable)
  parts += [f"{OPEN}: {counted(unknown, total)}"] * bool(unknown)
  return Section(
    "(v)",
    "Stolen data is useless for training afterwards",
    overall(len(alone), len(with_steps), len(usable), len(unknown)),
    f"after LWLRD alone: {share(len(alone), total, 'working attack')}" if alone else "",
    "; ".join(parts),
    statement,
    [_RULE, *blocks] if blocks else [],
  )


def _control(source: Source, name: str) -> pd.Series | None:
  row = source.verdict.control(name, "none")
  return row if row is not None and math.isfinite(row[_FIGURE]) else None


def _gap(source: Source, row: pd.Series | None) -> Interval:
  """How much better than on copies of the mean image."""
  if row is None or not math.isfinite(row[_FIGURE]):
    return UNKNOWN
  return source.difference(_FIGURE, row, _control(source, "mean_image"))


def _use(source: Source, row: pd.Series | None) -> str:
  if row is None:
    return ""
  return usefulness(row[f"{_FIGURE}_low"], _gap(source, row), _gap(source, _control(source, "originals")))


def _why_not(source: Source) -> str:
  """Why nothing can be said; empty where something can."""
  if not source.run.table[_FIGURE].notna().any():
    return "no classifier was trained on stolen images"
  if _control(source, "mean_image") is None:
    return "the mean-image control is missing"
  if cells.side(_gap(source, _control(source, "originals"))) in {cells.SAME, cells.LOWER}:
    return "even the true originals are worth no more than the mean image, so that nothing could be told"
  if not source.working:
    return source.why_nothing_works
  if not source.knows(_FIGURE):
    return "the run has no figures by image, so no intervals"
  return ""


def _leaders(source: Source) -> dict[tuple[str, str], pd.Series]:
  """The best LWLRD schedule for each pair of steps."""
  found = {group: source.best(source.family(["lwlrd"], group)) for group in source.groups}
  return {group: schedule for group, schedule in found.items() if schedule is not None}


def _uses(source: Source) -> tuple[dict[tuple[str, str], dict[str, str]], list[str]]:
  """Use of images after the best LWLRD schedule of each pair of steps, by attack; and the attacks that count."""
  useful = [attack for attack in source.working if _use(source, source.untreated(attack)) == USEFUL]
  by_group = {
    group: {attack: _use(source, source.row(schedule, attack)) for attack in useful}
    for group, schedule in _leaders(source).items()
  }
  return by_group, [attack for attack in useful if any(uses[attack] for uses in by_group.values())]


def _sentence(source: Source, by_group: dict[tuple[str, str], dict[str, str]], attacks: list[str]) -> str:
  if not attacks:
    return f"{NOT_MEASURED} (no attack's images are of use without a defence, or none was measured after LWLRD)."
  leaders = _leaders(source)
  parts = []
  for group, uses in by_group.items():
    lead = source.short(leaders[group]) + (" alone" if group == ALONE else "")
    told = [
      f"{words} ({names(found)})"
      for words, by in _TOLD.items()
      if (found := [attack for attack in attacks if uses[attack] == by])
    ]
    parts.append(f"After {lead}, images are {', '.join(told)}.")
  skipped = [attack for attack in source.working if attack not in attacks]
  if skipped:
    parts.append(f"Not counted, because not shown to be of use without a defence or not measured: {names(skipped)}.")
  return " ".join(parts)


def _controls(source: Source) -> str:
  rows = [(_control(source, name), words) for name, words in _CONTROLS.items()]
  told = [f"{bounded(row, _FIGURE)} on {words}" for row, words in rows if row is not None]
  return f"It reaches {formats.listed(told)}." if told else "Its controls were not measured."


def _table(source: Source) -> str:
  leaders = _leaders(source)
  columns: list[pd.Series] = []
  for group in source.groups:
    vanilla = source.best(source.family(["vanilla"], group))
    columns += [] if vanilla is None else [vanilla]
    columns += [leaders[group]] if group in leaders else []
  rows = [
    [
      attack,
      _cell(source, source.untreated(attack)),
      *(_cell(source, source.row(schedule, attack)) for schedule in columns),
    ]
    for attack in source.verdict.attacks
  ]
  return table(["attack", "untreated", *(source.short(schedule) for schedule in columns)], rows)


def _cell(source: Source, row: pd.Series | None) -> str:
  if row is None or not math.isfinite(row[_FIGURE]):
    return cells.missing(row)
  text = bounded(row, _FIGURE) + (f" {cells.PARTLY}" if row.status != "ok" else "")
  gap, use = _gap(source, row), _use(source, row)
  if not math.isfinite(gap.value):
    return text
  word = {UNUSABLE: bold(UNUSABLE), USEFUL: "of use", "": "difference"}.get(use, use)
  return f"{text}{BREAK}{word} {cells.gap(gap)}"
