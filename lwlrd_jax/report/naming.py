"""What a schedule is called in prose and on a figure, and which one wins."""

import math

import pandas as pd

from lwlrd_jax.analysis.verdict import CONTROLS, USUAL, Verdict
from lwlrd_jax.report.formats import NAMES, listed, rate

# Named only where schedules of one kind differ in it.
_DETAILS = {"epochs": "{} epochs", "shape": "{}", "optimizer": "{}", "batch_size": "batch {}"}
# Named wherever they are not what they usually are.
_UNUSUAL = {
  "start": "from {}",
  "floor": "floor {}",
  "granularity": "by {}",
  "share": "share {}",
  "overlap": "overlap {}",
}


def winner(verdict: Verdict) -> pd.Series | None:
  """The schedule that wins, a row of `verdict.schedules`; None where none does."""
  return verdict.chosen if verdict.case == "winner" else None


def winning_members(verdict: Verdict) -> set[str]:
  """Members of the schedule that wins."""
  found = winner(verdict)
  return set() if found is None else set(found.members)


def long_name(schedule: pd.Series, among: pd.DataFrame) -> str:
  """A schedule's name in a sentence: unique among schedules. Its steps on the weights are always named."""
  alike = among[among.defense == schedule.defense]
  details = _differences(schedule, alike)
  # Super-FT has a rate of its own, named only where there are several.
  if not math.isnan(schedule.lr_max) and (not schedule.defense.startswith("super_ft") or alike.lr_max.nunique() > 1):
    details.insert(0, f"lr_max {rate(schedule.lr_max)}")
  name = NAMES.get(schedule.defense, schedule.defense)
  if math.isfinite(schedule.decay):
    name += f" {rate(schedule.decay)}" if schedule.defense == "reversed" else f" with decay {rate(schedule.decay)}"
  if details:
    name += f" ({', '.join(details)})"
  return ", then ".join([*filter(None, [listed(steps(schedule.prepare)), name, listed(steps(schedule.finish))])])


def subject(name: str) -> str:
  """A long name at the head of a sentence: a capital, and the comma that closes an inserted `then`.

  >>> subject("high-LR"), subject("LWLRD with decay 0.8, then scrub")
  ('High-LR', 'LWLRD with decay 0.8, then scrub,')
  """
  return name[:1].upper() + name[1:] + ("," if ", then " in name else "")


def base_name(defense: str) -> str:
  """A value of the column `defense` on a figure."""
  return NAMES.get(defense, defense).removesuffix(" fine-tuning")


def short_name(row: pd.Series, among: pd.DataFrame) -> str:
  """The name of a schedule or a control on a figure: rates and steps only where they tell it from others."""
  name = base_name(row.defense)
  if row.defense in CONTROLS:
    return name
  alike = among[among.defense == row.defense]
  if row.defense == "lwlrd" or alike.decay.nunique() > 1:
    name += f" {rate(row.decay)}"
  details = _differences(row, alike)
  if alike.lr_max.nunique() > 1:
    details.insert(0, f"lr {rate(row.lr_max)}")
  return with_steps(", ".join([name, *details]), row, among)


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
  """One setting of a fine-tuning in words, by its column and cell.

  >>> detail("epochs", 6.0), detail("floor", 0.1), detail("shape", "")
  ('6 epochs', 'floor 0.1', 'none')
  """
  return {**_DETAILS, **_UNUSUAL}[name].format(rate(value) if isinstance(value, float) else value or "none")


def _differences(schedule: pd.Series, alike: pd.DataFrame) -> list[str]:
  details = [name for name in _DETAILS if alike[name].nunique(dropna=False) > 1]
  details += [name for name in _UNUSUAL if not pd.isna(schedule[name]) and schedule[name] not in {"", USUAL[name]}]
  return [detail(name, schedule[name]) for name in details]
