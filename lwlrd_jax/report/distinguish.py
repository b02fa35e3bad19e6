"""Which figures are distinguishable: differences with their intervals, in words."""

from collections.abc import Callable

import pandas as pd

from lwlrd_jax.analysis.bootstrap import Interval
from lwlrd_jax.analysis.verdict import BOUNDED
from lwlrd_jax.report import formats

# Beside every interval of a single infection.
IMAGES_ONLY = "one infection: the interval is over images only"
# Where an interval is too wide to say either.
OPEN = "not known well enough"
# What stolen images are worth as training data.
USEFUL, UNUSABLE, WORSE = "useful", "unusable", "worse"
# Part of what the true originals are worth that unusable images may be worth, with all of the interval.
WORTHLESS = 0.5
# AUC without knowing anything.
_GUESSING = 0.5


def bounded(row: pd.Series, figure: str) -> str:
  """One of `verdict.BOUNDED` of an averaged row or a schedule, with its interval where that is known."""
  return formats.within(formats.form_of(figure), row[figure], row[f"{figure}_low"], row[f"{figure}_high"])


def has_intervals(rows: pd.DataFrame) -> bool:
  """Whether any row has an interval."""
  return bool(rows[[f"{name}_low" for name in BOUNDED]].notna().any(axis=None))


def indistinct(found: Interval, form: Callable[[float], str]) -> bool:
  """Of a difference: whether two figures are not distinguishable. False if that is not known.

  An end that prints as zero, as `form` has it, counts as zero: a reader sees no more.

  >>> indistinct(Interval(0.02, -0.01, 0.05), formats.score), indistinct(Interval(0.02, 0.01, 0.03), formats.score)
  (True, False)
  """
  return found.known and (found.low <= 0 <= found.high or form(0.0) in {form(found.low), form(found.high)})


def apart(score: float, other: float, whose: str, gap: Interval) -> str:
  """How one AUC compares with another: by the difference that a reader gets who subtracts what is printed.

  >>> apart(0.86, 0.88, "the untreated model's", Interval(-0.02, -0.03, -0.01))
  "0.020 [0.010, 0.030] below the untreated model's 0.880"
  >>> apart(0.89, 0.88, "the untreated model's", Interval(0.01, -0.01, 0.03))
  "not distinguishable from the untreated model's 0.880 (difference 0.010 [−0.010, 0.030])"
  """
  value, name = round(round(score, 3) - round(other, 3), 3), f"{whose} {formats.score(other)}"
  if indistinct(gap, formats.score):
    return f"not distinguishable from {name} (difference {formats.within(formats.score, value, gap.low, gap.high)})"
  if value == 0:
    return f"equal to {name}"
  ends = (gap.low, gap.high) if value > 0 else (-gap.high, -gap.low)
  return f"{formats.within(formats.score, abs(value), *ends)} {'above' if value > 0 else 'below'} {name}"


def usefulness(low: float, gain: Interval, originals: Interval) -> str:
  """What stolen images are worth as training data: `USEFUL`, `UNUSABLE`, `WORSE`, `OPEN`, or empty if that is unknown.

  Useful: measurably better than the mean image, and than guessing, which the mean image can be worse than. Worse:
  measurably worse than it, which is not unusable: turned around, such images would be of use. Unusable: not
  distinguishable from the mean image, and all of the interval is below `WORTHLESS` times what the true originals gain,
  which itself is distinguishable from 0. Not to be distinguishable is not enough, or few infections would do.

  Args:
    low: Lower end of the interval of the AUC that a classifier reaches which is trained on them.
    gain: By how much it is higher than on copies of the mean image.
    originals: The same of the true originals.

  >>> usefulness(0.45, Interval(0.01, -0.04, 0.06), Interval(0.2, 0.15, 0.25))
  'unusable'
  >>> usefulness(0.45, Interval(0.04, -0.07, 0.24), Interval(0.2, 0.15, 0.25))
  'not known well enough'
  """
  if not gain.known:
    return ""
  if not indistinct(gain, formats.score):
    if gain.value < 0:
      return WORSE
    return USEFUL if low > _GUESSING else OPEN
  if not originals.known:
    return ""
  measured = originals.value > 0 and not indistinct(originals, formats.score)
  return UNUSABLE if measured and gain.high < WORTHLESS * originals.value else OPEN
