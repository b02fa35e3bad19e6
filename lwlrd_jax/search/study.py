"""Asking for schedules, a population a round, and being told what became of them.

The sampler is Optuna's. It is asked through `ask` only: who runs a candidate, and where, is not its business.
"""

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
# Candidates before the sampler's first: fewer tell it nothing.
_OPENING = 8
# How often a sampler is asked for each candidate of a round before points of the sequence take over: in a small space
# it would propose for ever what is known already.
_PATIENCE = 8


class Search:
  """A search for the schedules that trade utility for privacy best.

  What it asks for is a function of its arguments and of the results it was told, and of nothing else: not of the order
  in which they came, nor of how many objects like this one they were told to. A search that is built again from the
  rows of a stopped run goes on as if it had never stopped, in the middle of a round too.

  The opening is the first round, or the first 8 candidates if that is more: the anchors of the space, half of it at
  most, and points of a sequence that fills the space evenly. What follows, from the second round on and beside what is
  left of the opening, are proposals of multi-objective, multivariate TPE (Ozaki et al. 2022, doi
  10.1613/jair.1.13188). On made-up trade-offs like that of `tests/search/test_study.py` its
  schedules dominate more than those of independent TPE, NSGA-II, the even sequence alone and random search, at budgets
  from 24 to 64. At 12 nothing beats the even sequence.

  Args:
    space: Bounds.
    budget: Candidates in all, at least 1.
    population: Candidates a round at most, at least 1.
    seed: Number from 0.

  Raises:
    ValueError: A number out of range.
  """

  def __init__(self, space: Space, *, budget: int, population: int, seed: int = 0):
    if budget < 1 or population < 1 or seed < 0:
      raise ValueError(f"budget and population are 1 or more, seed 0 or more, not {budget}, {population}, {seed}")
    self.space = space
    self.budget = budget
    self.population = population
    self.seed = seed
    self._told: dict[Candidate, Result] = {}
    # Rounds asked for so far; all of them told, but for the last.
    self._rounds: list[list[Candidate]] = []

  def tell(self, results: Iterable[Result]) -> None:
    """Takes results in, in any order and number.

    Raises:
      ValueError: Another result of the same candidate was told before.
    """
    for result in results:
      if self._told.setdefault(result.candidate, result) is not result:
        raise ValueError(f"told twice: {result.candidate.label}")

  def ask(self) -> list[Candidate]:
    """What to try next.

    Returns:
      Distinct candidates of one round, those of them that no result was told of; the same ones until some are told.
      Empty when the budget is used up, or the space is.

    Raises:
      ValueError: It was told results of candidates that it never asked for: they are of another search.
    """
    while not (open_ones := self._open()) and (following := self._next_round()):
      self._rounds.append(following)
    strangers = set(self._told).difference(*self._rounds)
    if strangers:
      raise ValueError(f"not of this search: {', '.join(sorted(candidate.label for candidate in strangers))}")
    return open_ones

  @property
  def rounds(self) -> int:
    """Rounds of which all results were told."""
    return sum(all(candidate in self._told for candidate in asked) for asked in self._rounds)

  @property
  def results(self) -> list[Result]:
    """What was told, in the order in which it was asked for."""
    return [self._told[candidate] for asked in self._rounds for candidate in asked if candidate in self._told]

  def _open(self) -> list[Candidate]:
    """Those of the last round that no result was told of."""
    return [candidate for candidate in self._rounds[-1] if candidate not in self._told] if self._rounds else []

  def _next_round(self) -> list[Candidate]:
    known = [candidate for asked in self._rounds for candidate in asked]
    count = min(self.population, self.budget - len(known))
    if count <= 0:
      return []
    new = _fresh(self._opening(), known, min(count, self._opening_size() - len(known)))
    if known and len(new) < count:
      past = [self._told[candidate] for candidate in known]
      proposals = propose(self.space, past, seed=self.seed, number=len(self._rounds), count=_PATIENCE * count)
      new += _fresh(proposals, [*known, *new], count - len(new))
    # A tiny space runs out of candidates, not of points: they are looked at for some time, and no longer.
    points = itertools.islice(even_sequence(self.space, self.seed), _PATIENCE * (self.budget + 100))
    return new + _fresh(points, [*known, *new], count - len(new))

  def _opening_size(self) -> int:
    return min(self.budget, max(self.population, _OPENING))

  def _opening(self) -> list[Candidate]:
    size = self._opening_size()
    anchors = self.space.anchors()[: max(size // 2, 1)]
    return anchors + list(itertools.islice(even_sequence(self.space, self.seed), size - len(anchors)))


def never_stopped(results: Iterable[Result]) -> frozenset[str]:
  """Attacks that get through every usable result, unless all attacks do.

  The worst of all attacks says nothing of a schedule while one of them gives everything away under each.
  """
  usable = [result for result in results if result.usable]
  found = frozenset[str]().union(*(result.reid_by_attack for result in usable))
  through = found.intersection(*(result.through for result in usable))
  return frozenset() if through == found else through


def objectives(result: Result, aside: frozenset[str] = frozenset()) -> tuple[float, float]:
  """What a search minimises: utility lost and leakage.

  Args:
    result: A usable one.
    aside: Attacks that count for little: those that nothing stops.

  Returns:
    The largest drop of AUC over attacks on the validation split; and the largest re-identification, plus a little of
    how far SSIM lies above that of the mean training image, which says where to go while every image, or none, is
    recognised. A schedule that stops every attack leaks 0: below the floors there is only noise to win. Of attacks set
    aside a little of their largest re-identification is added.
  """
  counted = [reid for name, reid in result.reid_by_attack.items() if name not in aside]
  leakage = 0.0
  if not aside.issuperset(result.through):
    leakage = max(counted) + _SSIM_WEIGHT * max(result.ssim_excess, 0.0)
  leakage += _ASIDE_WEIGHT * max((result.reid_by_attack[name] for name in aside), default=0.0)
  return result.auc_drop_val, leakage


def even_sequence(space: Space, seed: int) -> Iterator[Candidate]:
  """Candidates spread evenly over a space, without end; some may repeat where there are few.

  Roberts' additive recurrence in the unit cube: powers of the generalised golden ratio, from a random start. Unlike a
  lattice or a Sobol sequence it is even at any length.

  Args:
    space: Bounds.
    seed: Of the start.
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
  """A sampler's proposals, one after the other; they may repeat.

  Args:
    space: Bounds.
    past: Results of the rounds before, in a fixed order.
    seed: Of the search.
    number: Of the round, from 1.
    count: Proposals at most.

  Yields:
    Candidates.
  """
  import optuna  # noqa: PLC0415  # takes a third of a second, which --help has not

  optuna.logging.set_verbosity(logging.WARNING)
  # A sampler and a study of its own for each round, so that nothing but results is carried from one to the next.
  of_round = int(np.random.SeedSequence((seed, number)).generate_state(1)[0])
  sampler = optuna.samplers.TPESampler(seed=of_round, multivariate=True, n_startup_trials=1)
  study = optuna.create_study(directions=["minimize", "minimize"], sampler=sampler)
  distributions = _distributions(space)
  aside = never_stopped(past)
  for result in past:
    study.add_trial(_trial(space, result, distributions, aside))
  # Trials that are asked for and not told count as running: the sampler keeps its distance from them.
  for _ in range(count):
    yield _candidate(space, study.ask(distributions).params)


def _fresh(proposals: Iterable[Candidate], known: list[Candidate], count: int) -> list[Candidate]:
  """The first distinct proposals that are not known."""
  found: dict[Candidate, None] = {}
  if count <= 0:
    return []
  for candidate in proposals:
    if candidate not in known:
      found[candidate] = None
    if len(found) == count:
      break
  return list(found)


def _distributions(space: Space) -> dict[str, Any]:
  """The space in Optuna's terms. Choices that have an order are numbers: the sampler then knows their neighbours."""
  from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution  # noqa: PLC0415

  return {
    "decay": FloatDistribution(*space.decays),
    "lr_max": FloatDistribution(*space.lrs, log=True),
    "epochs": IntDistribution(0, len(space.epochs) - 1),
    "shape": CategoricalDistribution(space.shapes),
    "floor": IntDistribution(0, len(space.floors) - 1),
    "finish": CategoricalDistribution(range(len(space.finishes))),
  }


def _trial(space: Space, result: Result, distributions: dict[str, Any], aside: frozenset[str]) -> Any:
  """A result as a finished trial."""
  import optuna  # noqa: PLC0415

  params = {
    "decay": result.candidate.decay,
    "lr_max": result.candidate.lr_max,
    "epochs": sorted(space.epochs).index(result.candidate.epochs),
    "shape": result.candidate.shape,
    "floor": sorted(space.floors).index(result.candidate.floor),
    "finish": space.finishes.index(result.candidate.finish),
  }
  if not result.usable:
    return optuna.trial.create_trial(params=params, distributions=distributions, state=optuna.trial.TrialState.FAIL)
  values = list(objectives(result, aside))
  return optuna.trial.create_trial(params=params, distributions=distributions, values=values)


def _candidate(space: Space, params: dict[str, Any]) -> Candidate:
  """A trial's parameters as a candidate."""
  return space.canonical(
    Candidate(
      params["decay"],
      params["lr_max"],
      sorted(space.epochs)[params["epochs"]],
      params["shape"],
      sorted(space.floors)[params["floor"]],
      space.finishes[params["finish"]],
    )
  )
