import itertools
import math

import pytest

from lwlrd_jax.analysis.verdict import Floors, Limits
from lwlrd_jax.search.result import Outcome, Result, combine
from lwlrd_jax.search.space import Candidate

CANDIDATE = Candidate(0.5, 0.02, 12, "cosine")
FLOORS = Floors(chance=0.001, reid_limits={}, reid_limit=0.02, ssim=0.45, ssim_limit=0.5)


def outcome(attack="a", **figures):
  usual = {"auc_drop_val": 0.01, "auc_drop_test": 0.02, "auc": 0.8, "reid": 0.0, "ssim": 0.4}
  return Outcome(attack, **{**usual, **figures})


def test_each_figure_is_of_the_worst_attack():
  outcomes = [
    outcome("a", auc_drop_val=0.03, auc=0.75, reid=0.1),
    outcome("b", auc_drop_test=0.05, ssim=0.6, reid=0.4),
    outcome("c"),
  ]
  for order in itertools.permutations(outcomes):
    found = combine(CANDIDATE, order, FLOORS, Limits())
    assert (found.auc_drop_val, found.auc_drop_test, found.auc, found.reid) == (0.03, 0.05, 0.75, 0.4)
    assert found.ssim_excess == pytest.approx(0.15)
    assert found.reid_by_attack == {"a": 0.1, "b": 0.4, "c": 0.0}
    assert found.usable
    assert not found.stops


def test_infections_of_one_attack_are_averaged():
  """The worst attack is that of the means, as in the report."""
  outcomes = [outcome("a", reid=0.0), outcome("b", reid=0.03), outcome("a", reid=0.1), outcome("b", reid=0.04)]
  assert combine(CANDIDATE, outcomes, FLOORS, Limits()).reid == pytest.approx(0.05)


@pytest.mark.parametrize(
  ("figures", "stops"),
  [({"reid": 0.02}, True), ({"reid": 0.021}, False), ({"ssim": 0.5}, True), ({"ssim": 0.51}, False)],
)
def test_stopping_needs_both_floors_under_every_attack(figures, stops):
  assert combine(CANDIDATE, [outcome("a"), outcome("b", **figures)], FLOORS, Limits()).stops is stops


@pytest.mark.parametrize("status", ["diverged", "failed: the extracted images are not finite"])
def test_one_member_that_is_not_ok_spoils_the_candidate(status):
  found = combine(CANDIDATE, [outcome("a"), outcome("b", status=status, reid=math.nan)], FLOORS, Limits())
  assert found.status == status
  assert not found.usable
  assert not found.stops
  assert math.isnan(found.reid)


@pytest.mark.parametrize("figure", ["auc_drop_val", "auc_drop_test", "auc", "reid", "ssim"])
def test_a_figure_that_is_no_number_cannot_be_compared(figure):
  for order in itertools.permutations([outcome("a"), outcome("b", **{figure: math.nan}), outcome("c")]):
    assert not combine(CANDIDATE, order, FLOORS, Limits()).usable


def test_a_result_of_no_attack_is_not_usable():
  assert not Result(CANDIDATE, 0.0, 0.0, 0.8, {}, 0.0, ()).usable


def test_a_bound_is_the_largest_of_all_infections():
  outcomes = [outcome("a", certified_bytes=300.0), outcome("a", certified_bytes=500.0)]
  found = combine(CANDIDATE, outcomes, FLOORS, Limits(bytes=400))
  assert (found.certified_bytes, found.certified) == (500.0, False)
