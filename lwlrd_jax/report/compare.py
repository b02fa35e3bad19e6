"""Several runs side by side: what differs, who wins in each, and which figures can be told apart."""

import base64
import dataclasses
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from lwlrd_jax.analysis.bootstrap import Interval
from lwlrd_jax.analysis.outcomes import difference
from lwlrd_jax.analysis.verdict import CONTROLS, SCHEDULE, Verdict, judge
from lwlrd_jax.errors import UserError
from lwlrd_jax.report import formats
from lwlrd_jax.report.distinguish import IMAGES_ONLY, bounded, has_intervals, indistinct
from lwlrd_jax.report.figures import comparison, style
from lwlrd_jax.report.load import Run, load
from lwlrd_jax.report.naming import long_name, short_name
from lwlrd_jax.report.page import flatten, template
from lwlrd_jax.storage import printable, replace_file

# In the page's head; a file without it is not replaced.
_MARK = '<meta name="generator" content="lwlrd_jax.report, comparison">'
_MARK_WITHIN = 2000
# Entries of config.json that say what a run is about; the others follow from them, or say where and when.
_TOLD = (
  "config",
  "dataset",
  "stolen",
  "infection",
  "fine_tuning",
  "versions",
  "device",
  "matmul_precision",
  "git_commit",
)
# Flags that say where and how to run, not what.
_FREE = {
  f"config.{flag}"
  for flag in (
    *("out", "resume", "restartable", "overwrite", "config", "show_stolen", "dry_run", "snapshot_minutes"),
    *("distributed", "coordinator", "processes", "process_id", "join_timeout", "track", "profile"),
  )
}
# Differences: figure, header and format.
_DIFFERENCES: tuple[tuple[str, str, Callable[[float], str]], ...] = (
  ("auc", "AUC", formats.score),
  ("reid", "re-id, points", formats.percent),
)
_CASES = {
  "winner": "stops everything",
  "none_stops": "comes closest; nothing stops everything",
  "no_floor": "leaks least; no mean-image control",
  "attack_failed": "leaks least; the attack did not work",
  "none_judged": "no schedule could be judged",
  "no_defences": "no defence was run",
}


@dataclasses.dataclass(frozen=True, eq=False)
class Compared:
  """One of the runs.

  Attributes:
    label: Its name here, unique.
    run: What is on disk.
    verdict: What its table says.
  """

  label: str
  run: Run
  verdict: Verdict


@dataclasses.dataclass(frozen=True)
class Gap:
  """A difference as the page prints it: text, empty if it is not known; whether it is not distinguishable from 0."""

  text: str
  same: bool


@dataclasses.dataclass(frozen=True)
class Against:
  """One run against the first.

  Attributes:
    label: Of the run.
    rows: Name of a schedule, its attack, whether the difference is paired, and a gap a figure.
    text: What the table shows.
  """

  label: str
  rows: list[tuple[str, str, bool, list[Gap]]]
  text: str


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
  """Writes a page that compares runs, the first one being what the others are held against.

  Args:
    run_dirs: Two run directories or more.
    out: The file; a comparison that is there is replaced.

  Returns:
    `out`.

  Raises:
    UserError: One is no run, one is given twice, or `out` is something else or cannot be written.
  """
  check(run_dirs, out)
  runs = read_runs(run_dirs)
  with style.style():
    figure = comparison.draw([(compared.label, compared.verdict) for compared in runs])
    drawn = None if figure is None else base64.b64encode(style.png(figure)).decode()
  figures = {} if drawn is None else {"comparison": {"data": drawn, "alt": comparison.ALT}}
  several = [compared.verdict.averaged.seeds.max() > 1 for compared in runs if len(compared.verdict.averaged)]
  page = template("compare.html.j2").render(
    mark=_MARK,
    labels=[compared.label for compared in runs],
    differing=differing([compared.run.config for compared in runs]),
    verdicts=[_verdict(compared) for compared in runs],
    figures=figures,
    comparisons=[against(runs[0], other) for other in runs[1:]],
    headers=[header for _, header, _ in _DIFFERENCES],
    intervals=any(has_intervals(compared.verdict.averaged) for compared in runs),
    images_only="" if all(several) else f"With {IMAGES_ONLY}.",
  )
  replace_file(out, printable(page).encode())
  return out


def read_runs(run_dirs: list[Path]) -> list[Compared]:
  """Reads runs, and finds each a name of its own.

  Args:
    run_dirs: Their directories.

  Raises:
    UserError: One is no run.
  """
  paths = [path.resolve() for path in run_dirs]
  names = [path.name for path in paths]
  labels = [path.name if names.count(path.name) == 1 else str(Path(*path.parts[-2:])) for path in paths]
  labels = labels if len(set(labels)) == len(labels) else [str(path) for path in run_dirs]
  runs = [load(path) for path in run_dirs]
  return [
    Compared(label, run, judge(run.table, chance=run.chance, stolen=run.stolen, outcomes=run.outcomes))
    for label, run in zip(labels, runs, strict=True)
  ]


def differing(configs: list[dict[str, Any]]) -> list[tuple[str, list[str]]]:
  """Settings in which runs differ.

  Args:
    configs: Each run's config.json.

  Returns:
    Name and each run's value; "not said" where a run has no such entry.
  """
  settings = [dict(flatten({name: config[name] for name in _TOLD if name in config})) for config in configs]
  names = dict.fromkeys(name for said in settings for name in said)
  values = {name: [said.get(name, "not said") for said in settings] for name in names if name not in _FREE}
  return [(name.removeprefix("config."), found) for name, found in values.items() if len(set(found)) > 1]


def _verdict(compared: Compared) -> dict[str, str]:
  """A run's line in the table of verdicts."""
  run, verdict = compared.run, compared.verdict
  chosen = verdict.chosen
  found = {
    "label": compared.label,
    "about": f"{run.config['dataset']['name']}, {run.config['config'].get('model', 'model')}",
    "attacks": ", ".join(verdict.attacks) or "none",
    "seeds": str(run.table.seed.nunique()),
    "case": _CASES[verdict.case],
  }
  if chosen is None:
    return found | {"name": "none", "auc": "", "reid": ""}
  return found | {
    "name": long_name(chosen, verdict.schedules),
    "auc": bounded(chosen, "auc", formats.score),
    "reid": bounded(chosen, "reid", formats.percent),
  }


def against(first: Compared, other: Compared) -> Against:
  """Every schedule and attack that two runs have in common, the other's figures less the first's."""
  known = {_key(row): row for _, row in first.verdict.averaged.iterrows() if row.status == "ok"}
  rows = []
  found: dict[str, list[Interval]] = {figure: [] for figure, _, _ in _DIFFERENCES}
  for _, row in other.verdict.averaged.iterrows():
    before = known.get(_key(row))
    if row.status != "ok" or before is None or (math.isnan(row.auc) and row.defense in CONTROLS):
      continue
    pairs = _comparable(first.run, other.run, row.attack)
    gaps = []
    for figure, _, form in _DIFFERENCES:
      gap = _difference(figure, first, before, other, row, pairs)
      found[figure].append(gap)
      gaps.append(Gap(formats.within(form, *gap), indistinct(gap, form)))
    name = formats.NAMES[row.defense] if row.defense in CONTROLS else short_name(row, other.verdict.schedules)
    rows.append((name, row.attack, pairs, gaps))
  return Against(other.label, rows, _text(first.label, other.label, found))


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


def _difference(
  figure: str, first: Compared, before: pd.Series, other: Compared, row: pd.Series, pairs: bool
) -> Interval:
  """The other's figure less the first's; without an interval where one of them has none."""
  ours = other.run.outcomes.samples(figure, row.members)
  others = first.run.outcomes.samples(figure, before.members)
  found = difference(figure, ours, others, paired=pairs)
  return found if found.known else Interval(row[figure] - before[figure], math.nan, math.nan)


def _text(first: str, other: str, found: dict[str, list[Interval]]) -> str:
  """How many of the differences can be told from nothing."""
  number = len(found["auc"])
  if number == 0:
    return f"{other} and {first} have no schedule in common under the same attack."
  parts = []
  for (figure, _, form), words in zip(_DIFFERENCES, ("AUC", "re-identification"), strict=True):
    known = [gap for gap in found[figure] if gap.known]
    if known:
      same = sum(indistinct(gap, form) for gap in known)
      parts.append(f"{words} is not distinguishable in {same} of {len(known)}")
  text = f"{other} and {first} have {number} {'row' if number == 1 else 'rows'} in common"
  if not parts:
    return f"{text}; without figures by image, what differs by chance cannot be said."
  return f"{text}: {formats.listed(parts)}."
