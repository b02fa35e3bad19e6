"""Claim (v): stolen data is useless for training afterwards."""

import math
from collections.abc import Sequence

import pandas as pd

from lwlrd_jax.report import formats
from lwlrd_jax.report.bootstrap import UNKNOWN, Interval
from lwlrd_jax.report.claims import cells
from lwlrd_jax.report.claims.finding import NOT_MEASURED, Section, counted, names, overall, share
from lwlrd_jax.report.claims.markdown import BREAK, bold, plain, table
from lwlrd_jax.report.claims.source import ALONE, Source
from lwlrd_jax.report.distinguish import bounded

_FIGURE = "downstream_auc"
_CONTROLS = {"originals": "the true originals", "mean_image": "copies of the mean image", "noise_images": "noise"}
_UNUSABLE = "unusable"
_OPEN = "not known well enough"


def section(sources: Sequence[Source]) -> Section:
  """The claim, judged on every working attack whose images are usable without a defence."""
  statement, blocks = [], []
  alone: list[tuple[str, str]] = []
  with_steps: list[tuple[str, str]] = []
  usable: list[tuple[str, str]] = []
  for source in sources:
    why = _why_not(source)
    if why:
      statement.append(f"{plain(source.name)}: {NOT_MEASURED} ({why}).")
    else:
      by_group, useful = _unusable_after(source)
      for attack in useful:
        after = [group for group, attacks in by_group.items() if attack in attacks]
        (alone if ALONE in after else with_steps if after else usable).append((source.name, attack))
      statement.append(f"{plain(source.name)}: {_sentence(source, by_group, useful)}")
    if source.run.table[_FIGURE].notna().any():
      blocks += [f"### {plain(source.name)}: AUC of a classifier trained on what the thief gets", _controls(source)]
      blocks.append(_table(source))
  total = len(alone) + len(with_steps) + len(usable)
  parts = [f"only with finishing steps: {counted(with_steps, total)}"] * bool(with_steps)
  parts += [f"not shown to be useless: {counted(usable, total)}"] * bool(usable)
  return Section(
    "(v)",
    "Stolen data is useless for training afterwards",
    overall(len(alone), len(with_steps), len(usable)),
    f"after LWLRD alone: {share(len(alone), total, 'working attack')}" if alone else "",
    "; ".join(parts),
    statement,
    blocks,
  )


def _control(source: Source, name: str) -> pd.Series | None:
  row = source.verdict.control(name, "none")
  return row if row is not None and math.isfinite(row[_FIGURE]) else None


def _gap(source: Source, row: pd.Series | None) -> Interval:
  """How much better than on copies of the mean image."""
  if row is None or not math.isfinite(row[_FIGURE]):
    return UNKNOWN
  return source.difference(_FIGURE, row, _control(source, "mean_image"))


def _is_unusable(source: Source, row: pd.Series | None) -> bool:
  """Whether a row's images cannot be told from the mean image, and can be told from the true originals.

  Without the second, an interval that is wide enough would make anything unusable.
  """
  if cells.side(_gap(source, row)) != cells.SAME:
    return False
  return cells.side(source.difference(_FIGURE, row, _control(source, "originals"))) == cells.LOWER


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


def _unusable_after(source: Source) -> tuple[dict[tuple[str, str], list[str]], list[str]]:
  """Attacks whose images the best LWLRD schedule makes unusable, for each pair of steps; and those that count."""
  useful = [attack for attack in source.working if cells.side(_gap(source, source.untreated(attack))) == cells.HIGHER]
  leaders = _leaders(source)
  sides = {
    group: {attack: cells.side(_gap(source, source.row(schedule, attack))) for attack in useful}
    for group, schedule in leaders.items()
  }
  useful = [attack for attack in useful if any(by[attack] for by in sides.values())]
  by_group = {
    group: [attack for attack in useful if _is_unusable(source, source.row(leaders[group], attack))] for group in sides
  }
  return by_group, useful


def _sentence(source: Source, by_group: dict[tuple[str, str], list[str]], useful: list[str]) -> str:
  if not useful:
    return f"{NOT_MEASURED} (no attack's images are of use without a defence, or none was measured after LWLRD)."
  leaders = _leaders(source)
  parts = []
  for group, attacks in by_group.items():
    lead = source.short(leaders[group]) + (" alone" if group == ALONE else "")
    rest = [attack for attack in useful if attack not in attacks]
    told = [
      f"{attack} {cells.gap(gap)}"
      if (gap := _gap(source, source.row(leaders[group], attack))).known
      else f"{attack} {NOT_MEASURED}"
      for attack in rest
    ]
    number = share(len(attacks), len(useful), "attack") if attacks else "no attack"
    which = f" ({', '.join(attacks)})" if attacks and rest else ""
    text = f"After {lead}, the images of {number}{which} are {_UNUSABLE}"
    parts.append(f"{text}; difference to the mean image: {', '.join(told)}." if told else f"{text}.")
  skipped = [attack for attack in source.working if attack not in useful]
  if skipped:
    parts.append(f"Not counted, because not shown to be of use without a defence or not measured: {names(skipped)}.")
  return " ".join(parts)


def _controls(source: Source) -> str:
  told = [
    f"{bounded(row, _FIGURE, formats.score)} on {words}"
    for name, words in _CONTROLS.items()
    if (row := _control(source, name)) is not None
  ]
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
  text = bounded(row, _FIGURE, formats.score) + (f" {cells.PARTLY}" if row.status != "ok" else "")
  gap = _gap(source, row)
  if not math.isfinite(gap.value):
    return text
  undecided = _OPEN if cells.side(gap) == cells.SAME else "difference"
  word = bold(_UNUSABLE) if _is_unusable(source, row) else undecided
  return f"{text}{BREAK}{word} {cells.gap(gap)}"
