"""Claim (i): vanilla fine-tuning does not stop the attacks."""

from collections.abc import Sequence

import pandas as pd

from lwlrd_jax.report import formats
from lwlrd_jax.report.distinguish import OPEN
from paper import cells
from paper.finding import NOT_MEASURED, Section, by_run, counted, names, overall, share
from paper.markdown import plain, table
from paper.source import ALONE, Source

_HEADERS = ["run", "attack", "images stolen", "untreated, re-id %", "after vanilla, re-id %", "stopped?"]
_YES, _UNSURE, _NO = "yes", f"yes {cells.UNSURE}", "no"
_IDLE = "attack does not work untreated"


def section(sources: Sequence[Source]) -> Section:
  """The claim, judged on every working attack of every run."""
  rows: list[list[str]] = []
  leaks: list[tuple[str, str]] = []
  stopped: list[tuple[str, str]] = []
  unsure: list[tuple[str, str]] = []
  unknown: list[str] = []
  by_answer = {_YES: stopped, _UNSURE: unsure, _NO: leaks}
  for source in sources:
    schedule = source.best(source.family(["vanilla"], ALONE))
    if schedule is None:
      schedules = source.family(["vanilla"], ALONE)
      schedule = None if schedules.empty else schedules.iloc[0]
    measured = 0
    for attack in source.verdict.attacks:
      untreated = source.untreated(attack)
      row = None if schedule is None else source.row(schedule, attack)
      answer = _answer(source, attack, row)
      rows.append(
        [plain(source.name), attack, _stolen(untreated), cells.reid(source, untreated), cells.reid(source, row)]
      )
      rows[-1].append(answer)
      if answer in by_answer:
        by_answer[answer].append((source.name, attack))
        measured += 1
    if not measured:
      unknown.append(f"{plain(source.name)} ({_why(source, schedule)})")
  total = len(leaks) + len(stopped) + len(unsure)
  statement = []
  if total:
    text = f"Vanilla fine-tuning leaves {share(len(leaks), total, 'working attack')} unstopped."
    stops = [*stopped, *unsure]
    statement.append(text + (f" It does stop {plain(by_run(stops))}." if stops else ""))
  otherwise = [f"stopped: {counted(stopped, total)}"] * bool(stopped)
  otherwise += [f"stopped, but {OPEN} {cells.UNSURE}: {counted(unsure, total)}"] * bool(unsure)
  if unknown:
    statement.append(f"Not measured: {names(unknown)}.")
  return Section(
    "(i)",
    "Vanilla fine-tuning does not stop the attacks",
    overall(len(leaks), 0, len(stopped), len(unsure)),
    share(len(leaks), total, "working attack") if leaks else "",
    "; ".join(otherwise),
    statement,
    [table(_HEADERS, rows)] if rows else [],
  )


def _why(source: Source, schedule: pd.Series | None) -> str:
  if not source.working:
    return source.why_nothing_works
  return "no vanilla fine-tuning was run" if schedule is None else "vanilla fine-tuning is not ok"


def _answer(source: Source, attack: str, row: pd.Series | None) -> str:
  if attack in source.idle:
    return _IDLE
  answer = source.stopped(row)
  if attack not in source.working or answer is None or row is None:
    return NOT_MEASURED
  if not answer:
    return _NO
  return _UNSURE if source.unsure(row) else _YES


def _stolen(untreated: pd.Series | None) -> str:
  return NOT_MEASURED if untreated is None else formats.whole(untreated.stolen)
