"""Asks for schedules, a population a round, and takes their results in. The sampler, Optuna's, only proposes."""

import itertools
import logging
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from lwlrd_jax.search.result import Result
from lwlrd_jax.search.space import DIMENSIONS, Candidate, Space

# Weight of similarity in the leakage that is minimised: it orders schedules of one re-identification, and no more.
_SSIM_WEIGHT = 0.1
# Weight of what attacks give away that nothing stops.
_ASIDE_WEIGHT = 0.1
# Re-identification below which an attack counts as weakened.
_WEAKENED = 0.5
# Candidates before the sampler's first: it can conclude nothing from fewer.
_OPENING = 8
# How often a sampler is asked for each candidate of a round before points of the sequence take over: in a small space
# it would propose for ever what is known already.
_PATIENCE = 8


class Search:
  """A search for the schedules that trade utility for privacy best.

  What it asks for depends on its arguments and the results so far alone, whatever their order: a search that is built
  again from the rows of a stopped run resumes as if it had never stopped, in the middle of a round too.

  The opening is the first round, or the first 8 candidates if that is more: the anchors of the space, half of it at
  most, and points of a sequence that fills the space evenly. What follows, from the second round on and beside what is
  left of the opening, are proposals of multi-objective, multivariate TPE (Ozaki et al. 2022, doi
  10.1613/jair.1.13188). On made-up trade-offs (`tests/search/test_study.py`) its schedules dominate more than those of
  independent TPE, NSGA-II, the even sequence alone and random search, at budgets from 24 to 64. At 12 nothing beats the
  even sequence.

  Args:
    space: Bounds.
    budget: Candidates in all.
    population: Candidates a round at most.
    seed: Number from 0.
  """

  def __init__(self, space: Space, *, budget: int, population: int, seed: int = 0):
    self.space = space
    self.budget = budget
    self.population = population
    self.seed = seed
    self._found: dict[Candidate, Result] = {}
    # What was asked for so far; there are all results of each round but the last.
    self._rounds: list[list[Candidate]] = []

  def tell(self, results: Iterable[Result]) -> None:
    """Takes results in, in any order and number.

    Raises:
      ValueError: There is another result of the same candidate.
    """
    for result in results:
      if self._found.setdefault(result.candidate, result) is not result:
        raise ValueError(f"two results of {result.candidate.label}")

  def ask(self) -> list[Candidate]:
    """What to try next.

    Distinct candidates of one round, those that have no result yet; the same ones until some have. Empty when the
    budget is used up, or the space is. ValueError for results of candidates that it never asked for.
    """
    while not (waiting := self._without_result(self._rounds[-1:])) and (following := self._next_round()):
      self._rounds.append(following)
    if strangers := set(self._found).difference(*self._rounds):
      raise ValueError(f"not of this search: {', '.join(sorted(candidate.label for candidate in strangers))}")
    return waiting

  @property
  def rounds(self) -> int:
    """Rounds of which there are all results."""
    return sum(not self._without_result([asked]) for asked in self._rounds)

  @property
  def results(self) -> list[Result]:
    """All results, in the order in which they were asked for."""
    return [self._found[candidate] for candidate in itertools.chain(*self._rounds) if candidate in self._found]

  def _without_result(self, rounds: list[list[Candidate]]) -> list[Candidate]:
    return [candidate for candidate in itertools.chain(*rounds) if candidate not in self._found]

  def _next_round(self) -> list[Candidate]:
    known = list(itertools.chain(*self._rounds))
    count = min(self.population, self.budget - len(known))
    if count <= 0:
      return []
    size = min(self.budget, max(self.population, _OPENING))
    anchors = self.space.anchors()[: max(size // 2, 1)]
    opening = anchors + list(itertools.islice(even_sequence(self.space, self.seed), size - len(anchors)))
    new = _fresh(opening, known, min(count, size - len(known)))
    if known and len(new) < count:
      proposals = propose(self.space, self.results, seed=self.seed, number=len(self._rounds), count=_PATIENCE * count)
      new += _fresh(proposals, [*known, *new], count - len(new))
    # A tiny space runs out of candidates, not of points: they are tried for some time, and no longer.
    points = itertools.islice(even_sequence(self.space, self.seed), _PATIENCE * (self.budget + 100))
    return new + _fresh(points, [*known, *new], count - len(new))


def never_stopped(results: Iterable[Result]) -> frozenset[str]:
  """Attacks that get through every usable result; if all do, those that none weakens, unless that is all of them.

  The worst of all attacks says nothing of a schedule while one of them gives everything away under each.
  """
  usable = [result for result in results if result.usable]
  found = frozenset[str]().union(*(result.reid_by_attack for result in usable))
  through = found.intersection(*(result.through for result in usable))
  if through == found:  # then those that nothing weakens either
    least = {name: min(result.reid_by_attack[name] for result in usable) for name in found}
    through = frozenset(name for name in found if least[name] > _WEAKENED)
  return frozenset() if through == found else through


def objectives(result: Result, aside: frozenset[str] = frozenset()) -> tuple[float, float, float]:
  """What a search minimises, of a usable result: utility lost, leakage and compute.

  Utility lost is the largest over attacks on the validation split. Compute is that of the defence as a share of the
  original training. Leakage is the largest
  re-identification, plus a little of how far SSIM lies above that of the mean training image, which says where to go
  while every image, or none, is recognised. A schedule that stops every attack leaks 0: below the floors there is only
  noise to win. Of the attacks set `aside`, since nothing stops them, only a little of their largest re-identification
  is added. What is certified to carry more than `Limits.bytes` leaks as if all were re-identified.
  """
  counted = [reid for name, reid in result.reid_by_attack.items() if name not in aside]
  leakage = 0.0
  if not aside.issuperset(result.through):
    leakage = max(counted) + _SSIM_WEIGHT * max(result.ssim_excess, 0.0)
  leakage += _ASIDE_WEIGHT * max((result.reid_by_attack[name] for name in aside), default=0.0)
  if not result.certified:
    leakage = max(leakage, 1.0)
  return result.lost, leakage, result.compute


def even_sequence(space: Space, seed: int) -> Iterator[Candidate]:
  """Candidates spread evenly over a space, without end, from a start that the seed draws; some may repeat.

  Roberts' additive recurrence in the unit cube, by powers of the generalised golden ratio: even at any length.
  """
  ratio = 1.0
  for _ in range(64):
    ratio = (1 + ratio) ** (1 / (DIMENSIONS + 1))  # converges to the root of x**(d + 1) = x + 1
  step = ratio ** -np.arange(1.0, DIMENSIONS + 1)
  point = np.random.default_rng(seed).random(DIMENSIONS)
  while True:
    point = (point + step) % 1
    yield space.at(point.tolist())


def propose(space: Space, past: list[Result], *, seed: int, number: int, count: int) -> Iterator[Candidate]:
  """A sampler's proposals for a round, from the results of those before in a fixed order; they may repeat."""
  import optuna  # noqa: PLC0415  # takes a third of a second, which --help has not
  from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution  # noqa: PLC0415

  optuna.logging.set_verbosity(logging.WARNING)
  epochs, floors = sorted(space.epochs), sorted(space.floors)
  # Choices that have an order are numbers: the sampler then knows their neighbours.
  distributions: dict[str, Any] = {
    "decay": FloatDistribution(*space.decays),
    "lr_max": FloatDistribution(*space.lrs, log=True),
    "epochs": IntDistribution(0, len(epochs) - 1),
    "shape": CategoricalDistribution(space.shapes),
    "floor": IntDistribution(0, len(floors) - 1),
    "finish": CategoricalDistribution(range(len(space.finishes))),
    "start": CategoricalDistribution(range(len(space.starts))),
  }
  # A sampler and a study of its own for each round, so that nothing but results is carried from one to the next.
  of_round = int(np.random.SeedSequence((seed, number)).generate_state(1)[0])
  sampler = optuna.samplers.TPESampler(seed=of_round, multivariate=True, n_startup_trials=1)
  aside = never_stopped(past)
  found = {result.candidate: objectives(result, aside) for result in past if result.usable}
  # One that is the same of all results leaves no volume to compare them by.
  varied = [i for i, values in enumerate(zip(*found.values(), strict=True)) if len(set(values)) > 1] or [0]
  study = optuna.create_study(directions=["minimize"] * len(varied), sampler=sampler)
  for result in past:
    candidate = result.candidate
    params: dict[str, Any] = {
      "decay": candidate.decay,
      "lr_max": candidate.lr_max,
      "epochs": epochs.index(candidate.epochs),
      "shape": candidate.shape,
      "floor": floors.index(candidate.floor),
      "finish": space.finishes.index(candidate.finish),
      "start": space.starts.index(candidate.start),
    }
    state = optuna.trial.TrialState.COMPLETE if result.usable else optuna.trial.TrialState.FAIL
    values = [found[candidate][i] for i in varied] if result.usable else None
    study.add_trial(optuna.trial.create_trial(state=state, values=values, params=params, distributions=distributions))
  # Trials without a result count as running: the sampler keeps its distance from them.
  for _ in range(count):
    params = study.ask(distributions).params
    choices = (epochs[params["epochs"]], params["shape"], floors[params["floor"]], space.finishes[params["finish"]])
    begins = space.starts[params["start"]]
    yield space.canonical(Candidate(params["decay"], params["lr_max"], *choices, start=begins))


def _fresh(proposals: Iterable[Candidate], known: list[Candidate], count: int) -> list[Candidate]:
  """The first distinct proposals that are not known."""
  found: list[Candidate] = []
  for candidate in proposals if count > 0 else ():
    if candidate not in known and candidate not in found:
      found.append(candidate)
    if len(found) == count:
      break
  return found
