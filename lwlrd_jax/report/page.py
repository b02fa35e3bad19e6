"""The page: everything a template needs, and the template."""

import base64
from importlib import resources
from typing import Any

import jinja2

from lwlrd_jax.analysis.verdict import DESTROYED_BER, REID_ERRORS, REID_FLOOR, SSIM_MARGIN, STEPS, Verdict
from lwlrd_jax.attacks.registry import ATTACKS
from lwlrd_jax.disk.results import COLUMNS
from lwlrd_jax.report import formats, grids, tables
from lwlrd_jax.report.distinguish import IMAGES_ONLY, has_intervals
from lwlrd_jax.report.figures import Picture
from lwlrd_jax.report.load import Run
from lwlrd_jax.report.naming import long_name
from lwlrd_jax.report.search import front_table
from lwlrd_jax.report.sentences import sentences

# If none of n images is re-identified, the true share is below 3/n with 95 % confidence.
_RULE_OF_THREE = 3
# With fewer test images the standard error of an accuracy of a half exceeds 0.035.
_FEW_TEST_IMAGES = 200


def render(run: Run, verdict: Verdict, figures: list[Picture]) -> str:
  """The whole page.

  Args:
    run: The run.
    verdict: What its table says.
    figures: Its figures.

  Returns:
    HTML that needs no other file.
  """
  several_seeds = bool(verdict.averaged.seeds.max() > 1) if len(verdict.averaged) else False
  intervals = has_intervals(verdict.averaged)
  of_images = "" if several_seeds else f" ({IMAGES_ONLY})"
  hides, knows = (run.config.get(entry, {}) for entry in ("hides", "knows"))
  return template("page.html.j2").render(
    title=f"{run.config['dataset']['name']}, {run.config['config'].get('model', 'model')}",
    sentences=sentences(verdict, stolen=run.stolen),
    facts=_facts(run, verdict),
    notes=_notes(run, verdict),
    figures={figure.name: {"data": base64.b64encode(figure.png).decode(), "alt": figure.alt} for figure in figures},
    no_pictures=_no_pictures(run, figures),
    table=tables.member_table(run.table, verdict),
    codes=grids.codes(verdict),
    hidden=grids.hidden(verdict),
    destroyed=formats.rate(DESTROYED_BER),
    verdict=verdict,
    shown_attacks=formats.listed(list(dict.fromkeys([*verdict.attacks[:1], verdict.main_attack]))),
    has_steps=bool((verdict.schedules[STEPS] != "none").any(axis=None)),
    attacks=[(attack, hides.get(attack) or _hides(attack), knows.get(attack, "")) for attack in verdict.attacks],
    seed_table=tables.seed_table(verdict) if several_seeds or intervals else None,
    several_seeds=several_seeds,
    intervals=f"In brackets: 95 % intervals{of_images}." if intervals else "",
    bands=f" Thin crosses and bands: 95 % intervals{of_images}." if intervals else "",
    worth=grids.worth(verdict),
    worth_controls=grids.worth_controls(verdict),
    search=run.search,
    front=front_table(run.search) if run.search is not None and run.search.front else None,
    columns=COLUMNS,
    winner=long_name(verdict.chosen, verdict.schedules)
    if verdict.case == "winner" and verdict.chosen is not None
    else "",
    rule={
      "reid": _limits(verdict),
      "reid_floor": formats.percent(REID_FLOOR),
      "errors": formats.rate(REID_ERRORS),
      "margin": formats.rate(SSIM_MARGIN),
      "ssim": formats.score(verdict.floors.ssim_limit),
      "chance": formats.percent(verdict.floors.chance),
    },
    config=run.config,
    settings=flatten(run.config),
    run_name=run.path.resolve().name,
  )


def _hides(attack: str) -> str:
  """What an attack hides, and where, of runs that do not say it; empty of one that this version does not know."""
  return ATTACKS[attack].hides if attack in ATTACKS else ""


def template(name: str) -> jinja2.Template:
  """One of the templates beside this file; what it includes is beside it too."""
  environment = jinja2.Environment(
    loader=jinja2.FunctionLoader(_read),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
  )
  return environment.get_template(name)


def _limits(verdict: Verdict) -> str:
  """Up to what an attack counts as stopped, in percent; attacks that took other numbers of images apart."""
  floors = verdict.floors
  limits: dict[str, list[str]] = {}
  for attack in verdict.attacks:
    limits.setdefault(formats.percent(floors.limit(attack)), []).append(attack)
  if len(limits) <= 1:
    return next(iter(limits), formats.percent(floors.reid_limit))
  return " % or ".join(f"{limit} (of {formats.listed(attacks)})" for limit, attacks in limits.items())


def _facts(run: Run, verdict: Verdict) -> list[tuple[str, str]]:
  """What the run was, in a few words each."""
  config, dataset = run.config, run.config["dataset"]
  bad = int((run.table.status != "ok").sum())
  device = config["device"]
  facts = [
    ("data set", f"{dataset['name']}: {formats.whole(dataset['train'])} training images"),
    ("stolen images", _stolen(run)),
    ("model", f"{config['config'].get('model', 'unknown')}, {len(config['layers'])} layers"),
    ("attack", ", ".join(verdict.attacks) or "none"),
    ("rows", f"{len(run.table)}" + (f", of which {bad} diverged or failed" if bad else "")),
    ("infections", str(run.table.seed.nunique())),
    ("device", f"{device.get('count', '?')} x {device.get('kind', 'unknown')}"),
    ("started", config["started"]),
  ]
  seconds = config.get("run_seconds")
  facts.append(("run time", formats.duration(seconds) if seconds is not None else "not finished"))
  return facts


def _notes(run: Run, verdict: Verdict) -> list[str]:
  """What a reader must know to weigh the sentences."""
  notes = []
  if run.config.get("run_seconds") is None:
    notes.append("This run was not finished when the report was written; rows may be missing.")
  if run.table.seed.nunique() == 1:
    notes.append("One infection only: small differences between schedules may be chance. More seeds tell.")
  notes += _too_few(run, verdict)
  if run.config["dataset"]["test"] < _FEW_TEST_IMAGES:
    notes.append(f"Only {run.config['dataset']['test']} test images: differences of a few hundredths in AUC are noise.")
  if verdict.failed_attacks and verdict.case != "attack_failed":
    names = ", ".join(verdict.failed_attacks)
    notes.append(f"Already without a defence these attacks are at the floor, so stopping them proves nothing: {names}.")
  unknown = [attack for attack in verdict.attacks or ["none"] if verdict.control("untreated", attack) is None]
  if unknown:
    of = f" of {formats.listed(unknown)}" if len(verdict.attacks) > 1 else ""
    notes.append(f"There is no usable untreated control{of}: whether the attack worked at all cannot be seen here.")
  for attack, found in (run.config.get("stripped") or {}).items():
    if found:
      notes.append(
        f"Structural check: checkpoints of the {attack} attack hold what the declared model does not have, and a "
        f"scrub or strip step removes it: {', '.join(map(str, found))}."
      )
  train = run.config["dataset"]["train"]
  if copies := train - round(1 / run.chance):
    notes.append(f"{copies} of {train} training images are copies of another; they count as one with it.")
  if unused := run.config.get("unused_parameters"):
    notes.append(
      f"Nothing is computed with these parameters of the network, so they may carry anything: {', '.join(unused)}. "
      "scrub re-initialises them."
    )
  for attack, found in (run.config.get("kept") or {}).items():
    if found:
      notes.append(
        f"Scrub kept, in models of the {attack} attack, what would have cost more AUC than it may: "
        f"{'; '.join(map(str, found))}. Only weights that are re-initialised and trained close that place."
      )
  absent = run.config.get("absent_classes") or []
  if absent:
    notes.append(f"Classes without test images, left out of AUC and balanced accuracy: {', '.join(map(str, absent))}.")
  return notes


def _stolen(run: Run) -> str:
  """How many images the attacks took."""
  numbers = sorted({int(number) for number in run.table.stolen.dropna()} or {run.stolen})
  return formats.listed([str(number) for number in numbers], "or")


def _too_few(run: Run, verdict: Verdict) -> list[str]:
  """Attacks that took too few images for the rule to mean anything."""
  untreated = verdict.averaged.groupby("attack").stolen.min()
  numbers: dict[int, list[str]] = {}
  for attack in verdict.attacks or ["none"]:
    numbers.setdefault(int(untreated.get(attack, run.stolen)), []).append(attack)
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


def _no_pictures(run: Run, figures: list[Picture]) -> str:
  """Why there are no pictures of reconstructions; empty if there are."""
  if any(figure.name == "reconstructions" for figure in figures):
    return ""
  if not run.may_show:
    return (
      "Pictures of reconstructions are left out, because these data are not known to be openly licensed; the sweep's "
      "setting show_stolen includes them."
    )
  return "Pictures of reconstructions are left out, because the run directory has none (samples.npz)."


def flatten(value: Any, prefix: str = "") -> list[tuple[str, str]]:
  """Settings as dotted names and values; the members' learning rates are a figure, a search a section.

  Args:
    value: config.json, or a part of it.
    prefix: The part's dotted name.
  """
  if isinstance(value, dict):
    items = [(f"{prefix}.{key}" if prefix else str(key), part) for key, part in value.items()]
    return [pair for name, part in items if name not in {"members", "search"} for pair in flatten(part, name)]
  if isinstance(value, list):
    return [(prefix, ", ".join(map(str, value)) or "none")]
  return [(prefix, "default" if value is None else str(value))]


def _read(name: str) -> str:
  return resources.files("lwlrd_jax.report").joinpath("templates", name).read_text(encoding="utf-8")
