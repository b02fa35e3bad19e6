"""When stolen images are called unusable."""

import pytest

from lwlrd_jax.analysis.bootstrap import UNKNOWN, Interval
from lwlrd_jax.report.distinguish import OPEN, UNUSABLE, USEFUL, WORSE, usefulness

ORIGINALS = Interval(0.2, 0.15, 0.25)


@pytest.mark.parametrize(
  ("gain", "originals", "use"),
  [
    ((0.01, -0.04, 0.06), ORIGINALS, UNUSABLE),
    ((0.01, -0.08, 0.1), ORIGINALS, OPEN),  # may be worth half of the originals
    ((0.04, -0.07, 0.24), ORIGINALS, OPEN),
    ((0.02, 0.01, 0.03), ORIGINALS, USEFUL),  # little, but something
    ((0.04, 0.0003, 0.08), ORIGINALS, UNUSABLE),  # prints as 0
    ((-0.1, -0.15, -0.05), ORIGINALS, WORSE),
    ((0.01, -0.04, 0.06), Interval(0.2, -0.05, 0.4), OPEN),  # nothing can be told by such originals
    ((0.01, -0.04, 0.06), Interval(-0.2, -0.25, -0.15), OPEN),
    ((0.01, -0.04, 0.06), UNKNOWN, ""),
    ((0.02, 0.01, 0.03), UNKNOWN, USEFUL),
    (UNKNOWN, ORIGINALS, ""),
  ],
)
def test_the_rule(gain, originals, use):
  assert usefulness(0.51, Interval(*gain), originals) == use


def test_what_may_be_guessing_is_not_of_use():
  # Copies of the mean image can leave a classifier worse than that.
  assert usefulness(0.49, Interval(0.1, 0.05, 0.15), ORIGINALS) == OPEN
