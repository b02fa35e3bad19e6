"""What a schedule is called in prose and on a figure."""

import math

import pandas as pd

from lwlrd_jax.analysis.verdict import CONTROLS, USUAL
from lwlrd_jax.report.formats import NAMES, listed, rate

# Told only where schedules of one kind differ in it.
_DETAILS = {"epochs": "{} epochs", "shape": "{}", "optimizer": "{}", "batch_size": "batch {}"}
# Told wherever they are not what they usually are.
_UNUSUAL = {"floor": "floor {}", "granularity": "by {}", "share": "share {}", "overlap": "overlap {}"}


def long_name(schedule: pd.Series, among: pd.DataFrame) -> str:
  """A schedule's name in a sentence: unique among schedules. Its steps on the weights are always told.

  Args:
    schedule: A row of `verdict.combine` or `verdict.average`.
    among: All such rows.
  """
  alike = among[among.defense == schedule.defense]
  if not schedule.defense.startswith("super_ft"):
    rates = [] if math.isnan(schedule.lr_max) else [f"lr_max {rate(schedule.lr_max)}"]
  else:
    rates = [f"lr_max {rate(schedule.lr_max)}"] if alike.lr_max.nunique() > 1 else []
  details = rates + _differences(schedule, alike)
  name = NAMES.get(schedule.defense, schedule.defense)
  if math.isfinite(schedule.decay):
    name += f" {rate(schedule.decay)}" if schedule.defense == "reversed" else f" with decay {rate(schedule.decay)}"
  if details:
    name += f" ({', '.join(details)})"
  before, after = steps(schedule.prepare), steps(schedule.finish)
  name = f"{listed(before)}, then {name}" if before else name
  return f"{name}, then {listed(after)}" if after else name


def subject(name: str) -> str:
  """A long name at the head of a sentence: a capital, and the comma that closes an inserted `then`.

  >>> subject("high-LR"), subject("LWLRD with decay 0.8, then scrub")
  ('High-LR', 'LWLRD with decay 0.8, then scrub,')
  """
  return name[:1].upper() + name[1:] + ("," if ", then " in name else "")


def short_name(schedule: pd.Series, among: pd.DataFrame) -> str:
  """A schedule's name on a figure: rates and steps only where they tell it from others."""
  alike = among[among.defense == schedule.defense]
  name = NAMES.get(schedule.defense, schedule.defense).removesuffix(" fine-tuning")
  if schedule.defense == "lwlrd" or alike.decay.nunique() > 1:
    name += f" {rate(schedule.decay)}"
  details = _differences(schedule, alike)
  if alike.lr_max.nunique() > 1:
    details.insert(0, f"lr {rate(schedule.lr_max)}")
  return with_steps(f"{name}, {', '.join(details)}" if details else name, schedule, among)


def with_steps(name: str, schedule: pd.Series, among: pd.DataFrame) -> str:
  """A name with the schedule's steps on the weights, in their order, where schedules differ in them."""
  treated = among[~among.defense.isin(CONTROLS)]
  before, after = (steps(schedule[column]) if treated[column].nunique() > 1 else [] for column in ("prepare", "finish"))
  return " + ".join([*before, name, *after])


def steps(cell: str) -> list[str]:
  """The steps in a cell of `prepare` or `finish`.

  >>> steps("none"), steps("noise+scrub")
  ([], ['noise', 'scrub'])
  """
  return [] if cell in {"none", ""} else cell.split("+")


def detail(name: str, value: float | str) -> str:
  """One setting of a fine-tuning in words.

  Args:
    name: Its column.
    value: Its cell.

  >>> detail("epochs", 6.0), detail("floor", 0.1), detail("shape", "")
  ('6 epochs', 'floor 0.1', 'none')
  """
  return {**_DETAILS, **_UNUSUAL}[name].format(rate(value) if isinstance(value, float) else value or "none")


def _differences(schedule: pd.Series, alike: pd.DataFrame) -> list[str]:
  told = [name for name in _DETAILS if alike[name].nunique(dropna=False) > 1]
  told += [name for name in _UNUSUAL if not pd.isna(schedule[name]) and schedule[name] not in {"", USUAL[name]}]
  return [detail(name, schedule[name]) for name in told]
