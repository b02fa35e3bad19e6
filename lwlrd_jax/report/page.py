"""The page of a run: what its template cannot look up itself, and the template."""

from typing import Any

import jinja2

from lwlrd_jax.analysis import verdict as rules
from lwlrd_jax.attacks.registry import ATTACKS
from lwlrd_jax.disk.results import COLUMNS
from lwlrd_jax.report import formats, grids
from lwlrd_jax.report.distinguish import IMAGES_ONLY, bounded, has_intervals
from lwlrd_jax.report.figures import Picture
from lwlrd_jax.report.load import Run
from lwlrd_jax.report.naming import long_name, winner
from lwlrd_jax.report.sentences import sentences
from lwlrd_jax.report.tables import table_of

# If none of n images is re-identified, the true share is below 3/n with 95 % confidence.
_RULE_OF_THREE = 3


def render(run: Run, figures: list[Picture]) -> str:
  """The whole page: HTML that needs no other file."""
  verdict, averaged = run.verdict, run.verdict.averaged
  best = winner(verdict)
  several_seeds, intervals = bool((averaged.seeds > 1).any()), has_intervals(averaged)
  hides, knows = (run.config.get(entry, {}) for entry in ("hides", "knows"))
  return template("page.html.j2").render(
    run=run,
    config=run.config,
    settings=flatten(run.config),
    verdict=verdict,
    rules=rules,
    winner="" if best is None else long_name(best, verdict.schedules),
    sentences=sentences(verdict, stolen=run.stolen),
    stolen=sorted({int(number) for number in run.table.stolen.dropna()} or {run.stolen}),
    too_few=_too_few(run),
    limits=_limits(run),
    uncontrolled=[name for name in verdict.attacks or ["none"] if verdict.control("untreated", name) is None],
    # Runs of earlier versions do not say what an attack hides.
    attacks=[
      (name, hides.get(name) or (ATTACKS[name].hides if name in ATTACKS else ""), knows.get(name, ""))
      for name in verdict.attacks
    ],
    figures={figure.name: figure for figure in figures},
    codes=grids.codes(verdict),
    hidden=averaged[(averaged.defense == "untreated") & averaged.payload_bytes.notna()].to_dict("records"),
    worth=grids.worth(verdict),
    worth_controls=grids.worth_controls(verdict),
    members=table_of(run.table, verdict),
    means=table_of(averaged, verdict) if several_seeds or intervals else None,
    columns=COLUMNS,
    several_seeds=several_seeds,
    intervals=f"95 % intervals{'' if several_seeds else f' ({IMAGES_ONLY})'}." if intervals else "",
  )


def template(name: str) -> jinja2.Template:
  """One of the templates beside this file, with the formats of figures as filters."""
  environment = jinja2.Environment(
    loader=jinja2.PackageLoader("lwlrd_jax.report"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
  )
  environment.filters |= {**formats.FORMS, "duration": formats.duration, "listed": formats.listed}
  environment.globals |= {"bounded": bounded, "long_name": long_name}
  return environment.get_template(name)


def flatten(value: Any, prefix: str = "") -> list[tuple[str, str]]:
  """Settings of config.json, or of its part at `prefix`, as dotted names and values.

  The members' learning rates are a figure, and a search a section: they are left out.
  """
  if isinstance(value, dict):
    items = [(f"{prefix}.{key}" if prefix else str(key), part) for key, part in value.items()]
    return [pair for name, part in items if name not in {"members", "search"} for pair in flatten(part, name)]
  if isinstance(value, list):
    return [(prefix, ", ".join(map(str, value)) or "none")]
  return [(prefix, "default" if value is None else str(value))]


def _limits(run: Run) -> str:
  """Up to what an attack counts as stopped, in percent; attacks that took other numbers of images apart."""
  floors = run.verdict.floors
  limits: dict[str, list[str]] = {}
  for attack in run.verdict.attacks:
    limits.setdefault(formats.percent(floors.limit(attack)), []).append(attack)
  if len(limits) <= 1:
    return next(iter(limits), formats.percent(floors.reid_limit))
  return " % or ".join(f"{limit} (of {formats.listed(attacks)})" for limit, attacks in limits.items())


def _too_few(run: Run) -> list[str]:
  """Notes on attacks that took too few images for the rule to mean anything."""
  verdict = run.verdict
  fewest = verdict.averaged.groupby("attack").stolen.min()
  numbers: dict[int, list[str]] = {}
  for attack in verdict.attacks or ["none"]:
    numbers.setdefault(int(fewest.get(attack, run.stolen)), []).append(attack)
  notes = []
  for stolen, attacks in numbers.items():
    images, limit = stolen * max(run.table.seed.nunique(), 1), verdict.floors.limit(attacks[0])
    if _RULE_OF_THREE / images <= limit:
      continue
    if limit >= 1:
      return [f"Too few training images ({round(1 / run.chance)}) to tell: guessing re-identifies all of them."]
    bound = formats.percent(min(_RULE_OF_THREE / images, 1))
    of = f" of {formats.listed(attacks)}" if len(numbers) > 1 else ""
    notes.append(
      f"Too few stolen images{of} ({images}) to tell: even if none is re-identified, the true share may be {bound} % "
      f"(95 % confidence), above the {formats.percent(limit)} % that count as stopped."
    )
  return notes
