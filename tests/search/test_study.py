import dataclasses
import itertools
import math
import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lwlrd_jax.search import study
from lwlrd_jax.search.result import Result
from lwlrd_jax.search.space import DIMENSIONS, Candidate, Space
from lwlrd_jax.search.study import Search, even_sequence, never_stopped, objectives

SPACE = Space(epochs=(6, 12, 24), units=4)
# The largest loss of utility that the made-up problem's hypervolume counts.
WORST_DROP = 0.06


def made_up(candidate):
  """A trade-off like the measured ones, in a formula: rates in early layers wipe out, in late layers do harm."""
  rates = candidate.lr_max * np.maximum(candidate.decay ** np.arange(4), candidate.floor)
  constant = candidate.shape == "constant"
  if rates.mean() * (2 if constant else 1) > 0.09:
    return Result(candidate, math.nan, math.nan, math.nan, {}, math.nan, (), "diverged")
  dose = rates * candidate.epochs * (1 if constant else 0.5)
  wiped = float(np.dot([0.4, 0.3, 0.2, 0.1], np.log(dose / 0.03)))
  reid = 1 / (1 + math.exp(3 * (wiped - 0.8)))
  healing = math.sqrt(6 / candidate.epochs) * {"constant": 2.5, "linear": 1.15, "cosine": 1.0}[candidate.shape]
  drop = -0.01 + healing * (2.5 * rates[2:].sum() + 0.5 * rates[:2].sum())
  return Result(candidate, drop, drop, 0.8 - drop, {"a": reid}, 0.3 * reid, () if reid <= 0.02 else ("a",))


def finished(search):
  """All rounds of a search, and what became of it."""
  rounds = []
  while asked := search.ask():
    rounds.append(asked)
    search.tell(made_up(candidate) for candidate in asked)
  return rounds


def hypervolume(results):
  """Area that the results dominate, of the box between nothing lost and WORST_DROP, and no leakage and all."""
  area, reid_left = 0.0, 1.0
  for drop, reid in sorted((max(r.auc_drop_val, 0.0), r.reid) for r in results if r.usable):
    if drop < WORST_DROP and reid < reid_left:
      area += (WORST_DROP - drop) * (reid_left - reid)
      reid_left = reid
  return area / WORST_DROP


@settings(max_examples=15, deadline=None)
@given(budget=st.integers(1, 30), population=st.integers(1, 12), seed=st.integers(0, 99))
def test_rounds_keep_to_budget_and_never_repeat(budget, population, seed):
  search = Search(SPACE, budget=budget, population=population, seed=seed)
  rounds = finished(search)
  asked = list(itertools.chain(*rounds))
  assert len(asked) == len(set(asked)) == budget
  assert [len(each) for each in rounds[:-1]] == [population] * (len(rounds) - 1)
  assert 1 <= len(rounds[-1]) <= population
  assert all(SPACE.canonical(candidate) == candidate for candidate in asked)
  assert search.rounds == len(rounds)
  assert [result.candidate for result in search.results] == asked
  assert search.ask() == []


def test_what_is_left_of_a_round_of_the_opening_is_proposed(monkeypatch):
  # Two rounds of 6 of a budget of 12: a search that never looked at a result would be none.
  asked = []
  real = study.propose

  def seen(*args, **kwargs):
    asked.append(kwargs["number"])
    return real(*args, **kwargs)

  monkeypatch.setattr(study, "propose", seen)
  search = Search(SPACE, budget=12, population=6)
  rounds = finished(search)
  assert asked == [1]
  opening = Search(SPACE, budget=12, population=8).ask()
  assert rounds[0] + rounds[1][:2] == opening
  even = list(itertools.islice(even_sequence(SPACE, 0), 12))
  assert len(set(rounds[1][2:]) - set(even)) == 4


def test_asking_again_is_asking_for_the_same():
  search = Search(SPACE, budget=20, population=6)
  first = search.ask()
  assert search.ask() == first
  search.tell([made_up(first[2])])
  assert search.ask() == first[:2] + first[3:]
  assert search.rounds == 0


@pytest.mark.parametrize("told", [0, 1, 6, 8, 13, 18, 30])
def test_rebuilt_from_rows_it_goes_on_where_it_stopped(told):
  """At the end of a round and in its middle, whatever the order of the rows."""
  whole = Search(SPACE, budget=30, population=6, seed=3)
  asked = list(itertools.chain(*finished(whole)))
  rows = [made_up(candidate) for candidate in asked[:told]]
  rebuilt = Search(SPACE, budget=30, population=6, seed=3)
  rebuilt.tell(reversed(rows))
  assert list(itertools.chain(*finished(rebuilt))) == asked[told:]
  assert [result.candidate for result in rebuilt.results] == asked
  assert rebuilt.rounds == whole.rounds == 5


def test_the_seed_and_the_results_decide():
  def rounds(seed, worse=None):
    search = Search(SPACE, budget=16, population=8, seed=seed)
    first = search.ask()
    search.tell(made_up(candidate) for candidate in first if candidate != worse)
    if worse is not None:
      search.tell([Result(worse, math.nan, math.nan, math.nan, {}, math.nan, (), "diverged")])
    return first, search.ask()

  first, second = rounds(1)
  assert rounds(1) == (first, second)
  assert rounds(2)[0] != first
  best = min(map(made_up, first), key=lambda result: result.reid).candidate
  assert rounds(1, worse=best)[0] == first
  assert rounds(1, worse=best)[1] != second


def test_no_two_processes_differ():
  """Neither hashes of strings nor anything else of a process decides."""
  program = (
    "from tests.search.test_study import SPACE, Search, finished;"
    "print([c.label for r in finished(Search(SPACE, budget=16, population=4, seed=5)) for c in r])"
  )
  here = [c.label for each in finished(Search(SPACE, budget=16, population=4, seed=5)) for c in each]
  root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
  environment = {**os.environ, "PYTHONHASHSEED": "1", "PYTHONPATH": root}
  there = subprocess.run(
    [sys.executable, "-c", program], env=environment, cwd=root, capture_output=True, text=True, check=True
  )
  assert there.stdout.strip() == str(here)


def test_a_small_budget_begins_with_what_is_known_to_work():
  first = Search(SPACE, budget=12, population=6).ask()
  assert first[:3] == SPACE.anchors()
  assert len(set(first)) == 6


def test_members_that_fail_are_not_asked_for_again():
  search = Search(SPACE, budget=24, population=6)
  seen: set[Candidate] = set()
  while asked := search.ask():
    assert not seen & set(asked)
    seen |= set(asked)
    search.tell(Result(candidate, math.nan, math.nan, math.nan, {}, math.nan, (), "diverged") for candidate in asked)
  assert len(seen) == 24
  assert not any(result.usable for result in search.results)


def test_a_space_may_be_smaller_than_the_budget():
  tiny = Space(epochs=(2, 4), units=3, decays=(0.5, 0.5), lrs=(0.01, 0.01), shapes=("linear",), floors=(0.0, 0.3))
  asked = list(itertools.chain(*finished(Search(tiny, budget=50, population=3))))
  assert {(candidate.epochs, candidate.floor) for candidate in asked} == {(2, 0.0), (2, 0.3), (4, 0.0), (4, 0.3)}
  assert len(asked) == 4


def test_results_of_another_search():
  search = Search(SPACE, budget=12, population=6)
  search.tell([made_up(Candidate(0.123, 0.02, 12, "cosine"))])
  with pytest.raises(ValueError, match=r"not of this search: lwlrd-lr0\.02-d0\.123-e12-cosine"):
    search.ask()


def test_nothing_is_told_twice():
  search = Search(SPACE, budget=12, population=6)
  asked = search.ask()
  search.tell([made_up(asked[0])])
  with pytest.raises(ValueError, match="two results of"):
    search.tell([made_up(asked[0])])


def found_of(reids, excess, through):
  return Result(SPACE.anchors()[0], 0.03, 0.9, 0.8, reids, excess, through)


def test_objectives():
  def found(reid, excess, *, stops=False):
    return objectives(found_of({"a": 0.0, "b": reid}, excess, () if stops else ("b",)))

  assert found(0.5, -0.2) == (0.03, 0.5, 0.0)
  # Similarity orders what re-identification does not.
  assert found(1.0, 0.4) > found(1.0, 0.3)
  assert found(0.0, 0.4) < found(0.1, 0.0)
  # What is certified to carry too much leaks all, and half of the balanced accuracy counts if it is more.
  result = dataclasses.replace(found_of({"a": 0.0}, -0.1, ()), certified=False, bacc_drop_val=0.08, compute=0.3)
  assert objectives(result) == (0.04, 1.0, 0.3)
  # Below the floors all are equal, and below all that are not.
  assert found(0.02, 0.05, stops=True) == found(0.0, -0.1, stops=True) < found(0.0, 0.06)


def test_an_attack_that_nothing_stops_does_not_hide_the_others():
  bad = found_of({"a": 0.9, "b": 0.8, "c": 1.0}, 0.3, ("a", "b", "c"))
  half = found_of({"a": 0.0, "b": 0.8, "c": 1.0}, 0.3, ("b", "c"))
  good = found_of({"a": 0.0, "b": 0.0, "c": 1.0}, 0.3, ("c",))
  better = found_of({"a": 0.0, "b": 0.0, "c": 0.4}, 0.3, ("c",))
  assert objectives(bad) == objectives(half) == objectives(good)
  aside = never_stopped([bad, half, good, better])
  assert aside == {"c"}
  leakages = [objectives(result, aside)[1] for result in (bad, half, good, better)]
  assert leakages[0] > leakages[1] > leakages[2] > leakages[3] > 0
  # What something stops counts in full, and so does everything where nothing stops anything.
  assert never_stopped([bad, half, good, found_of({"a": 0.9, "b": 0.8, "c": 0.0}, 0.3, ("a", "b"))]) == set()
  assert never_stopped([bad]) == set()
  assert never_stopped([found_of({}, math.nan, ())]) == set()


def test_a_search_beside_an_attack_that_nothing_stops_still_finds_what_stops_the_others():
  """As good as without that attack."""

  def beside(candidate):
    alone = made_up(candidate)
    if not alone.usable:
      return alone
    return dataclasses.replace(alone, reid_by_attack={**alone.reid_by_attack, "b": 1.0}, through=(*alone.through, "b"))

  def cheapest(make):
    search = Search(SPACE, budget=32, population=8)
    while asked := search.ask():
      search.tell(make(candidate) for candidate in asked)
    return min(result.auc_drop_val for result in search.results if result.usable and "a" not in result.through)

  assert cheapest(beside) <= cheapest(made_up) + 0.002


def test_the_even_sequence_is_even():
  """Of any stretch, each fifth of each range gets its share, which random points do not give it."""
  candidates = list(itertools.islice(even_sequence(Space(epochs=(1,), units=4), seed=0), 100))
  for values, (low, high) in (
    ([math.log10(candidate.lr_max) for candidate in candidates], (-3, -1)),
    ([candidate.floor for candidate in candidates], (-0.5, 0.5)),
  ):
    assert all(low <= value <= high for value in values)
  counts = np.histogram([math.log10(c.lr_max) for c in candidates], bins=5, range=(-3, -1))[0]
  assert counts.min() >= 15
  assert counts.max() <= 25
  shapes = [sum(candidate.shape == shape for candidate in candidates) for shape in ("constant", "linear", "cosine")]
  assert min(shapes) >= 28


def test_it_beats_random_search_and_the_even_sequence():
  """More hypervolume at an equal budget: on average over seeds, and for most of them."""
  searched: list[float] = []
  even: list[float] = []
  random: list[float] = []
  for seed in range(16):
    # All in one round, a search has its opening and nothing else.
    for population, found in ((8, searched), (32, even)):
      search = Search(SPACE, budget=32, population=population, seed=seed)
      finished(search)
      found.append(hypervolume(search.results))
    rng = np.random.default_rng(seed)
    random.append(hypervolume([made_up(SPACE.at(rng.random(DIMENSIONS).tolist())) for _ in range(32)]))
  for others in (even, random):
    assert np.mean(searched) > np.mean(others) + 0.03
    assert sum(ours > theirs for ours, theirs in zip(searched, others, strict=True)) >= 12
