"""Whether stolen images are of use for training: the rule, and its words."""

from lwlrd_jax.report import formats
from lwlrd_jax.report.bootstrap import Interval
from lwlrd_jax.report.distinguish import OPEN, indistinct

USEFUL, UNUSABLE, WORSE = "useful", "unusable", "worse"
# Part of what the true originals are worth that unusable images may be worth, with all of the interval.
WORTHLESS = 0.5


def usefulness(gain: Interval, originals: Interval) -> str:
  """What can be said of stolen images.

  That they cannot be told from the mean image does not make them unusable, or few infections would: their worth has to
  be known well enough, too. Worse than the mean image is not unusable: turned around, it would be of use.

  Args:
    gain: By how much AUC is higher on them than on copies of the mean image.
    originals: The same of the true originals.

  Returns:
    `USEFUL`: they are measurably better than the mean image. `UNUSABLE`: they cannot be told from it, and all of the
    interval is below `WORTHLESS` times what the true originals gain, which itself can be told from nothing. `WORSE`:
    they are measurably worse, which is not unusable: turned around, it would be of use. Else `OPEN`; empty where an
    interval is not known.

  >>> usefulness(Interval(0.01, -0.04, 0.06), Interval(0.2, 0.15, 0.25))
  'unusable'
  >>> usefulness(Interval(0.04, -0.07, 0.24), Interval(0.2, 0.15, 0.25))
  'not known well enough'
  """
  if not gain.known:
    return ""
  if not indistinct(gain, formats.score):
    return USEFUL if gain.value > 0 else WORSE
  if not originals.known:
    return ""
  measured = originals.value > 0 and not indistinct(originals, formats.score)
  return UNUSABLE if measured and gain.high < WORTHLESS * originals.value else OPEN
