"""What attackers change who know the defence: each beside its plain counterpart."""

import math
from collections.abc import Sequence

import pandas as pd

from lwlrd_jax.analysis.bootstrap import UNKNOWN, Interval
from lwlrd_jax.analysis.verdict import REID_FLOOR
from lwlrd_jax.report import formats
from lwlrd_jax.report.distinguish import OPEN
from paper import cells
from paper.finding import NOT_MEASURED, Section, counted, names, overall, share
from paper.markdown import BREAK, bold, plain, table
from paper.source import COUNTERPARTS, Source

# How far an attacker gets: what is left of what they hid.
_WORDS = {cells.HIGHER: "further", cells.SAME: "not distinguishable", cells.LOWER: "less far", "": "no interval"}

# Share of images by which an attacker may get further before it counts: that up to which one counts as stopped.
_MARGIN = REID_FLOOR
_RULE = (
  "An attacker gets *further* than their plain counterpart if more is re-identified under any schedule shown, with all "
  "of the interval of the difference above 0; *no further* if all intervals end at most "
  f"{formats.percent(_MARGIN)} points above. Images that are re-identified as well as others count by parts."
)
# What float32 leaves of a whole number.
_WHOLE = 0.05


def section(sources: Sequence[Source]) -> Section:
  """Re-identification after the LWLRD schedules shown under claim (ii)."""
  statement, blocks = [], []
  harder: list[tuple[str, str]] = []
  no_harder: list[tuple[str, str]] = []
  unknown: list[tuple[str, str]] = []
  for source in sources:
    adaptive = [attack for attack in source.verdict.attacks if attack in COUNTERPARTS]
    if not adaptive or source.shown.empty:
      why = "no LWLRD schedule was run" if adaptive else "no adaptive attacker was run"
      statement.append(f"{plain(source.name)}: {NOT_MEASURED} ({why}).")
      continue
    rows, told = [], []
    for attack in adaptive:
      other = _counterpart(source, attack)
      compared, row = _compare(source, attack, other)
      rows.append([attack, other or NOT_MEASURED, *row])
      known = [word for word, gap in compared if gap.known]
      if known:
        # Not to be told apart is not the same: how much further it may get has to be known.
        bounded = all(gap.high <= _MARGIN for _, gap in compared if gap.known)
        of_kind = harder if _WORDS[cells.HIGHER] in known else no_harder if bounded else unknown
        of_kind.append((source.name, attack))
      told.append(f"{attack} {_told(known, other)}")
    statement.append(f"{plain(source.name)}: {'; '.join(told)}.")
    headers = ["attacker", "against", "untreated", *(source.short(schedule) for _, schedule in source.shown.iterrows())]
    blocks += [f"### {plain(source.name)}: re-identified, % (and images)", table(headers, rows)]
  total = len(harder) + len(no_harder) + len(unknown)
  otherwise = [f"further than their plain counterparts: {counted(harder, total)}"] * bool(harder)
  otherwise += [f"{OPEN}: {counted(unknown, total)}"] * bool(unknown)
  return Section(
    "",
    "Attackers who know the defence get no further (ours, no claim of the paper)",
    overall(len(no_harder), 0, len(harder), len(unknown)),
    f"{share(len(no_harder), total, 'adaptive attacker')} under no schedule shown" if no_harder else "",
    "; ".join(otherwise),
    statement,
    [_RULE, *blocks] if blocks else [],
  )


def _counterpart(source: Source, attack: str) -> str | None:
  return next((name for name in COUNTERPARTS[attack] if name in source.verdict.attacks), None)


def _compare(source: Source, attack: str, other: str | None) -> tuple[list[tuple[str, Interval]], list[str]]:
  """A word and a difference for each schedule, and cells for the untreated model and them."""
  cell, _ = _cell(source, source.untreated(attack), None if other is None else source.untreated(other))
  row, compared = [cell], []
  for _, schedule in source.shown.iterrows():
    cell, found = _cell(source, source.row(schedule, attack), None if other is None else source.row(schedule, other))
    row.append(cell)
    compared.append(found)
  return compared, row


def _cell(source: Source, mine: pd.Series | None, theirs: pd.Series | None) -> tuple[str, tuple[str, Interval]]:
  if mine is None or not math.isfinite(mine.reid):
    return cells.missing(mine), ("", UNKNOWN)
  lines = [_share(source, mine)]
  if theirs is None or not math.isfinite(theirs.reid):
    return lines[0], ("", UNKNOWN)
  gap = source.difference("reid", mine, theirs)
  word = _WORDS[cells.side(gap, formats.percent)]
  lines.append(f"plain {_share(source, theirs)}")
  lines.append(f"{bold(word) if word == _WORDS[cells.HIGHER] else word} {cells.gap(gap, formats.percent)}")
  return BREAK.join(lines), (word, gap)


def _share(source: Source, row: pd.Series) -> str:
  """Re-identified images: percent, number, and how many were taken in all infections."""
  taken = row.stolen * len(source.members(row))
  hits = row.reid * taken
  # Ties count by halves and less.
  number = formats.whole(hits) if abs(hits - round(hits)) < _WHOLE else f"{hits:.1f}"
  text = f"{formats.percent(row.reid)} ({number} of {formats.whole(taken)})"
  return text + (f" {cells.PARTLY}" if row.status != "ok" else "")


def _told(known: list[str], other: str | None) -> str:
  if other is None:
    return f"{NOT_MEASURED} (no plain counterpart in this run)"
  if not known:
    return f"{NOT_MEASURED} (no intervals, or no figures)"
  counts = [
    f"gets {word} than {other} under {number}"
    if word != _WORDS[cells.SAME]
    else f"is {word} from {other} under {number}"
    for word in (_WORDS[cells.HIGHER], _WORDS[cells.SAME], _WORDS[cells.LOWER])
    if (number := known.count(word))
  ]
  return f"{names(counts)} of {len(known)} schedules"
