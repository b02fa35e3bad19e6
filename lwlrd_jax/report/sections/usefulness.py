"""Whether stolen images are of use for training: the rule, and its words."""

from lwlrd_jax.analysis.bootstrap import Interval
from lwlrd_jax.report import formats
from lwlrd_jax.report.distinguish import OPEN, indistinct

USEFUL, UNUSABLE, WORSE = "useful", "unusable", "worse"
# Part of what the true originals are worth that unusable images may be worth, with all of the interval.
WORTHLESS = 0.5
# AUC without knowing anything.
_GUESSING = 0.5


def usefulness(low: float, gain: Interval, originals: Interval) -> str:
  """What can be said of stolen images.

  That they cannot be told from the mean image does not make them unusable, or few infections would: their worth has to
  be known well enough, too. Worse than the mean image is not unusable: turned around, it would be of use.

  Args:
    low: Lower end of the interval of the AUC that a classifier reaches which is trained on them.
    gain: By how much it is higher than on copies of the mean image.
    originals: The same of the true originals.

  Returns:
    `USEFUL`: they are measurably better than the mean image, and than guessing, which the mean image can be worse than.
    `UNUSABLE`: they cannot be told from it, and all of the
    interval is below `WORTHLESS` times what the true originals gain, which itself can be told from nothing. `WORSE`:
    they are measurably worse, which is not unusable: turned around, it would be of use. Else `OPEN`; empty where an
    interval is not known.

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
