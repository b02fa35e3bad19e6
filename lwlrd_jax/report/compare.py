"""Several runs side by side: what differs, who wins in each, and which figures are distinguishable."""

import math
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from lwlrd_jax.analysis.outcomes import difference
from lwlrd_jax.analysis.verdict import CONTROLS, SCHEDULE
from lwlrd_jax.errors import UserError
from lwlrd_jax.report import formats
from lwlrd_jax.report.distinguish import IMAGES_ONLY, has_intervals, indistinct
from lwlrd_jax.report.figures import Picture, frontier, style
from lwlrd_jax.report.load import Run, load
from lwlrd_jax.report.naming import short_name
from lwlrd_jax.report.page import flatten, template
from lwlrd_jax.storage import printable, replace_file

# In the page's head; a file without it is not replaced.
_MARK = '<meta name="generator" content="lwlrd_jax.report, comparison">'
_MARK_WITHIN = 2000
# Entries of config.json that say what a run is about; the others follow from them, or say where and when.
_ABOUT = (
  *("config", "dataset", "stolen", "infection", "fine_tuning"),
  *("versions", "device", "matmul_precision", "git_commit"),
)
# Flags that say where and how to run, not what.
_FREE = {
  f"config.{flag}"
  for flag in (
    *("out", "resume", "restartable", "overwrite", "config", "show_stolen", "dry_run", "snapshot_minutes"),
    *("distributed", "coordinator", "processes", "process_id", "join_timeout", "track", "profile"),
  )
}
_CASES = {
  "winner": "stops everything",
  "none_stops": "comes closest; nothing stops everything",
  "no_floor": "leaks least; no mean-image control",
  "attack_failed": "leaks least; the attack did not work",
  "none_judged": "no schedule could be judged",
  "no_defences": "no defence was run",
}


# Figures of which differences are shown: header, and name in a sentence.
_FIGURES = {"auc": ("AUC", "AUC"), "reid": ("re-id, points", "re-identification")}


class Gap(NamedTuple):
  """A difference as the page prints it: text, and whether it is not distinguishable from 0; None if that is unknown."""

  text: str
  same: bool | None


class Against(NamedTuple):
  """One run against the first."""

  label: str
  rows: list[tuple[str, str, bool, list[Gap]]]  # a schedule, its attack, whether they are paired, and a gap a figure
  text: str  # what the table shows


def check(run_dirs: list[Path], out: Path) -> None:
  """Refuses what `write_comparison` would refuse of its arguments; touches nothing.

  Raises:
    UserError: A run is given twice, or `out` cannot be a comparison.
  """
  paths = [path.resolve() for path in run_dirs]
  twice = next((path for path in run_dirs if paths.count(path.resolve()) > 1), None)
  if twice is not None:
    raise UserError(f"{twice}: given twice; allowed: different run directories")
  if not out.parent.is_dir():
    raise UserError(f"`out` {out}: its folder does not exist; allowed: a file in one that does")
  if not out.exists():
    return
  try:
    is_ours = out.is_file() and _MARK in out.read_bytes()[:_MARK_WITHIN].decode(errors="replace")
  except OSError as error:
    raise UserError(f"`out` {out}: cannot be read ({error.strerror})") from error
  if not is_ours:
    raise UserError(f"`out` {out}: exists and is no comparison; allowed: a new file, or a comparison to replace")


def write_comparison(run_dirs: list[Path], out: Path) -> Path:
  """Writes a page that compares two runs or more with the first of them, to `out`, which it returns.

  Raises:
    UserError: One is no run, one is given twice, or `out` is no comparison that may be replaced or cannot be written.
  """
  check(run_dirs, out)
  runs = read_runs(run_dirs)
  with style.style():
    figure = frontier.draw_runs({label: run.verdict for label, run in runs.items()})
    pictures = [] if figure is None else [Picture("comparison", style.png(figure), frontier.ALT_RUNS)]
  first, *others = runs.items()
  averaged = [run.verdict.averaged for run in runs.values()]
  page = template("compare.html.j2").render(
    mark=_MARK,
    runs=runs,
    labels=list(runs),
    differing=differing([run.config for run in runs.values()]),
    cases=_CASES,
    figures={picture.name: picture for picture in pictures},
    comparisons=[against(first, other) for other in others],
    headers=[header for header, _ in _FIGURES.values()],
    intervals=any(map(has_intervals, averaged)),
    images_only="" if all(rows.empty or rows.seeds.max() > 1 for rows in averaged) else f"With {IMAGES_ONLY}.",
  )
  replace_file(out, printable(page).encode())
  return out


def read_runs(run_dirs: list[Path]) -> dict[str, Run]:
  """Reads runs, and finds each a name of its own; errors as `load`."""
  paths = [path.resolve() for path in run_dirs]
  names = [path.name for path in paths]
  labels = [path.name if names.count(path.name) == 1 else str(Path(*path.parts[-2:])) for path in paths]
  labels = labels if len(set(labels)) == len(labels) else [str(path) for path in run_dirs]
  return {label: load(path) for label, path in zip(labels, run_dirs, strict=True)}


def differing(configs: list[dict[str, Any]]) -> list[tuple[str, list[str]]]:
  """Settings in which runs' config.json differ: name, and each run's value; "not said" where it has no such entry."""
  settings = [dict(flatten({name: config[name] for name in _ABOUT if name in config})) for config in configs]
  names = dict.fromkeys(name for setting in settings for name in setting if name not in _FREE)
  values = {name: [setting.get(name, "not said") for setting in settings] for name in names}
  return [(name.removeprefix("config."), found) for name, found in values.items() if len(set(found)) > 1]


def against(first: tuple[str, Run], other: tuple[str, Run]) -> Against:
  """Every schedule and attack that two runs, with their names, have in common: the other's figures less the first's."""
  (old_label, old_run), (label, run) = first, other
  before, after = old_run.verdict, run.verdict
  known = {_key(row): row for _, row in before.averaged.iterrows() if row.status == "ok"}
  rows = []
  for _, row in after.averaged.iterrows():
    old = known.get(_key(row))
    if row.status != "ok" or old is None or (math.isnan(row.auc) and row.defense in CONTROLS):
      continue
    pairs = _comparable(old_run, run, row.attack)
    gaps = []
    for column in _FIGURES:
      form = formats.form_of(column)
      mine, theirs = after.outcomes.samples(column, row.members), before.outcomes.samples(column, old.members)
      gap = difference(column, mine, theirs, paired=pairs)
      shown = formats.within(form, *gap) if gap.known else form(row[column] - old[column])
      gaps.append(Gap(shown, indistinct(gap, form) if gap.known else None))
    rows.append((short_name(row, after.schedules), row.attack, pairs, gaps))
  return Against(label, rows, _text(old_label, label, [gaps for *_, gaps in rows]))


def _key(row: pd.Series) -> tuple[Any, ...]:
  """What a schedule and attack are known by in every run; empty cells agree, and numbers to nine digits."""
  values = ["" if pd.isna(value) else value for value in row[["attack", *SCHEDULE]]]
  return tuple(f"{value:.9g}" if isinstance(value, float) else value for value in values)


def _comparable(first: Run, other: Run, attack: str) -> bool:
  """Whether two runs' figures of an attack are of the same data, infections and stolen images."""

  def about(run: Run) -> list[Any]:
    # Controls without an attack go with the first one.
    infections = run.config["infection"]
    settings = infections.get(attack) if attack != "none" else next(iter(infections.items()), None)
    model = run.config.get("model", run.config["config"].get("model"))  # of a file, by what is in it
    return [run.config["dataset"].get("sha256"), model, sorted(run.table.seed.unique()), settings, run.stolen]

  return about(first) == about(other) and first.config["dataset"].get("sha256") is not None


def _text(first: str, other: str, rows: list[list[Gap]]) -> str:
  """How many of the differences are not distinguishable from 0."""
  if not rows:
    return f"{other} and {first} have no schedule in common under the same attack."
  parts = []
  for (_, words), gaps in zip(_FIGURES.values(), zip(*rows, strict=True), strict=True):
    known = [gap.same for gap in gaps if gap.same is not None]
    if known:
      parts.append(f"{words} is not distinguishable in {sum(known)} of {len(known)}")
  text = f"{other} and {first} have {len(rows)} {'row' if len(rows) == 1 else 'rows'} in common"
  if not parts:
    return f"{text}; without figures by image, what differs by chance cannot be said."
  return f"{text}: {formats.listed(parts)}."
