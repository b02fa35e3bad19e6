"""What a schedule is called in prose and on a figure."""

import math

import pandas as pd

from lwlrd_jax.report.formats import NAMES, rate

# Told only where schedules of one kind differ in it.
_DETAILS = {"epochs": "{} epochs", "shape": "{}", "optimizer": "{}", "batch_size": "batch {}", "finish": "finish {}"}


def long_name(schedule: pd.Series, among: pd.DataFrame) -> str:
  """A schedule's name in a sentence: unique among schedules.

  Args:
    schedule: A row of `summary.combine` or `summary.average`.
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
  return f"{name} ({', '.join(details)})" if details else name


def short_name(schedule: pd.Series, among: pd.DataFrame) -> str:
  """A schedule's name on a figure: rates only where they tell it from others of its kind."""
  alike = among[among.defense == schedule.defense]
  name = NAMES.get(schedule.defense, schedule.defense).removesuffix(" fine-tuning")
  if schedule.defense == "lwlrd" or alike.decay.nunique() > 1:
    name += f" {rate(schedule.decay)}"
  details = _differences(schedule, alike)
  if alike.lr_max.nunique() > 1:
    details.insert(0, f"lr {rate(schedule.lr_max)}")
  return f"{name}, {', '.join(details)}" if details else name


def _differences(schedule: pd.Series, alike: pd.DataFrame) -> list[str]:
  told = []
  for name, text in _DETAILS.items():
    if alike[name].nunique(dropna=False) > 1:
      value = schedule[name]
      told.append(text.format(rate(value) if isinstance(value, float) else value or "none"))
  return told
