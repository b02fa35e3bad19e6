"""Which figures can be told apart: differences with their intervals, in words."""

import math
from collections.abc import Callable

import pandas as pd

from lwlrd_jax.analysis.bootstrap import Interval
from lwlrd_jax.analysis.verdict import BOUNDED, Verdict, best
from lwlrd_jax.report import formats
from lwlrd_jax.report.naming import long_name

# Told beside every interval of a single infection.
IMAGES_ONLY = "one infection: the interval is over images only"
# Told where an interval is too wide to say either.
OPEN = "not known well enough"
# Of what the method is measured against; reversed decay is its control.
_RIVALS = ("vanilla", "high_lr", "super_ft_long", "super_ft_short")


def bounded(row: pd.Series, figure: str, form: Callable[[float], str]) -> str:
  """A row's figure with its interval, where that is known.

  Args:
    row: Of `verdict.average` or `verdict.combine`.
    figure: A column of `verdict.BOUNDED`.
    form: One of `formats`.
  """
  return formats.within(form, row[figure], row[f"{figure}_low"], row[f"{figure}_high"])


def has_intervals(rows: pd.DataFrame) -> bool:
  """Whether any row has an interval."""
  return bool(rows[[f"{name}_low" for name in BOUNDED]].notna().any(axis=None))


def indistinct(found: Interval, form: Callable[[float], str]) -> bool:
  """Of a difference: whether two figures are not distinguishable. False if that is not known.

  An end that prints as zero counts as zero: a reader sees no more.

  Args:
    found: The difference.
    form: How it is printed.

  >>> indistinct(Interval(0.02, -0.01, 0.05), formats.score), indistinct(Interval(0.02, 0.01, 0.03), formats.score)
  (True, False)
  """
  zeros = {form(end) for end in (found.low, found.high)} & {form(0.0)}
  return found.known and (found.low <= 0 <= found.high or bool(zeros))


def as_printed(found: Interval, score: float, other: float) -> Interval:
  """A difference of two scores as a reader gets it who subtracts what is printed; its interval stays.

  >>> as_printed(Interval(-0.0195, -0.03, -0.01), 0.8606, 0.8801).value.__round__(6)
  -0.019
  """
  return found._replace(value=round(score, 3) - round(other, 3))


def apart(found: Interval, other: str, form: Callable[[float], str], below: str = "below", above: str = "above") -> str:
  """A difference in words, where its interval is known.

  Args:
    found: The difference.
    other: What it is to, with its figure.
    form: One of `formats`.
    below: Word for a difference below zero.
    above: Word for one above.

  >>> apart(Interval(-0.02, -0.03, -0.01), "the untreated model's 0.880", formats.score)
  "0.020 [0.010, 0.030] below the untreated model's 0.880"
  >>> apart(Interval(0.01, -0.01, 0.03), "the untreated model's 0.880", formats.score)
  "not distinguishable from the untreated model's 0.880 (difference 0.010 [−0.010, 0.030])"
  """
  if indistinct(found, form):
    return f"not distinguishable from {other} (difference {formats.within(form, *found)})"
  if found.value < 0:
    return f"{formats.within(form, -found.value, -found.high, -found.low)} {below} {other}"
  return f"{formats.within(form, *found)} {above} {other}"


def auc_difference(verdict: Verdict, schedule: pd.Series, other: pd.Series) -> Interval:
  """The difference in AUC of two schedules, each under the attack that leaves it least.

  Args:
    verdict: What the table says.
    schedule: A row of its schedules.
    other: Likewise.
  """
  mine, theirs = (verdict.under(row, row.attack) for row in (schedule, other))
  return verdict.difference("auc", mine, theirs)


def ties(verdict: Verdict) -> str:
  """How many of the schedules that stop everything are not distinguishable in AUC from the winner; else empty."""
  chosen, schedules = verdict.chosen, verdict.schedules
  assert chosen is not None
  others = schedules[schedules.stops & (schedules.members != chosen.members)]
  found = [auc_difference(verdict, chosen, other) for _, other in others.iterrows()]
  if not found or not all(gap.known for gap in found):
    return ""
  number, total = sum(indistinct(gap, formats.score) for gap in found), len(found)
  if total == 1:
    who = "the other stopping schedule is"
  elif number == 0:
    who = f"all {total} other stopping schedules are"
  else:
    who = f"{number} of the {total} other stopping schedules {'is' if number == 1 else 'are'}"
  return f"In AUC {who} {'not ' if number else ''}distinguishable from the winner."


def rival(verdict: Verdict) -> str:
  """The chosen LWLRD schedule against the best baseline that stops as much; empty where that cannot be said.

  Vanilla fine-tuning and the others count with whatever steps on the weights stand before or after them.
  """
  chosen, schedules = verdict.chosen, verdict.schedules
  assert chosen is not None
  rivals = schedules[schedules.defense.isin(_RIVALS) & schedules.stops]
  if chosen.defense != "lwlrd" or rivals.empty:
    return ""
  strongest = best(rivals, verdict.criterion)
  found = auc_difference(verdict, chosen, strongest)
  if not found.known:
    return ""
  found = as_printed(found, chosen.auc, strongest.auc)
  other = f"that of the best baseline among these, {formats.score(strongest.auc)}"
  return f"Its AUC is {apart(found, other, formats.score)} ({long_name(strongest, schedules)})."


def against_chance(verdict: Verdict) -> str:
  """The chosen schedule's re-identification against that of a model never infected; empty where that is unknown."""
  chosen = verdict.chosen
  assert chosen is not None
  clean = verdict.control("clean", chosen.reid_attack)
  if clean is None or not math.isfinite(clean.reid):
    return ""
  found = verdict.difference("reid", verdict.under(chosen, chosen.reid_attack), clean)
  if not found.known:
    return ""
  other = f"the {formats.percent(clean.reid)} % of a model never infected"
  return apart(found, other, formats.percent, "percentage points below", "percentage points above")
