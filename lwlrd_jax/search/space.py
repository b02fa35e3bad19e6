"""What a search varies, and within which bounds. Nothing here imports JAX or Optuna."""

import dataclasses
from collections.abc import Sequence
from typing import TypeVar

from lwlrd_jax.config import KEEP, Start
from lwlrd_jax.defenses.member_id import MemberId
from lwlrd_jax.defenses.plan import Defense, schedule_label, steps_per_epoch
from lwlrd_jax.defenses.schedules import SHAPES, by_layer, lwlrd, number_of_units, time_shape
from lwlrd_jax.models.depth import LAYER

# Rates and decays have two digits: labels are short, a row says all of its schedule, and finer differences than these
# are lost in the noise of a fine-tuning.
_DIGITS = 2
_Choice = TypeVar("_Choice")
_NAME = "lwlrd"
# Coordinates of a point, see `Space.at`.
DIMENSIONS = 7
_ANCHOR_DECAYS = (0.5, 0.7, 0.3)


@dataclasses.dataclass(frozen=True)
class Candidate:
  """One schedule of a search, its fields as those of `Defense`, the finishers after it, and what it begins from."""

  decay: float
  lr_max: float
  epochs: int
  shape: str
  floor: float = 0.0
  finish: tuple[str, ...] = ()
  granularity: str = LAYER
  start: Start = KEEP

  @property
  def member(self) -> MemberId:
    """Names its members: everything that a search varies, but for attack and seed."""
    schedule = schedule_label(
      _NAME,
      lr_max=self.lr_max,
      decay=self.decay,
      floor=self.floor,
      granularity=self.granularity,
      length=(self.epochs, self.shape),
    )
    return MemberId(schedule, finish=self.finish, start=str(self.start))

  @property
  def label(self) -> str:
    """Unique in a search.

    >>> Candidate(0.5, 0.02, 12, "cosine", 0.1, ("noise", "scrub")).label
    'lwlrd-lr0.02-d0.5-f0.1-e12-cosine-then-noise+scrub'
    """
    return str(self.member)

  def to_defense(self, *, batch_size: int, optimizer: str, train_size: int, depth_of_layer: Sequence[int]) -> Defense:
    """The schedule for a model whose layers belong to these units, and a training set; without the finishers.

    Raises:
      ValueError: A value out of range.
    """
    over_time = time_shape(self.shape, self.epochs * steps_per_epoch(train_size, batch_size))
    units = number_of_units(depth_of_layer)
    schedule = lwlrd(self.lr_max, self.decay, layers=units, shape=over_time, floor=self.floor)
    return Defense(
      name=_NAME,
      decay=self.decay,
      lr_max=self.lr_max,
      epochs=self.epochs,
      shape=self.shape,
      optimizer=optimizer,
      batch_size=batch_size,
      schedule=by_layer(schedule, depth_of_layer),
      floor=self.floor,
      granularity=self.granularity,
      tells_length=True,
    )


@dataclasses.dataclass(frozen=True)
class Space:
  """Bounds of a search."""

  epochs: tuple[int, ...]  # lengths to try. Few: every length is a compiled program of its own
  units: int  # units that the decay counts: the layers of the model, or its blocks
  finishes: tuple[tuple[str, ...], ...] = (("scrub",),)  # finishers to try, each a tuple of names
  decays: tuple[float, float] = (0.05, 1.0)  # smallest and largest decay, in (0, 1]
  lrs: tuple[float, float] = (1e-3, 1e-1)  # smallest and largest `lr_max`, above 0; searched on a logarithmic scale
  shapes: tuple[str, ...] = SHAPES  # courses over time to try
  floors: tuple[float, ...] = (0.0, 0.03, 0.1, 0.3)  # floors to try, in [0, 1]
  granularity: str = LAYER  # name of what the decay counts
  usual_lr: float = 0.02  # `lr_max` of the schedules that every search begins with
  usual_epochs: int | None = None  # their length. Default: the middle one of `epochs`
  starts: tuple[Start, ...] = (KEEP,)  # what to begin from
  task_lr: float = 1e-3  # `lr_max` of those of them that begin from a draw

  def at(self, point: Sequence[float]) -> Candidate:
    """The candidate at a point of the unit cube: decay, logarithm of the rate, epochs, shape, floor, finish, start."""
    decay, rate, epochs, shape, floor, finish, start = point
    low, high = self.decays
    lr_max = self.lrs[0] * (self.lrs[1] / self.lrs[0]) ** rate
    choices = (_pick(self.epochs, epochs), _pick(self.shapes, shape), _pick(self.floors, floor))
    finishing, begins = _pick(self.finishes, finish), _pick(self.starts, start)
    return self.canonical(Candidate(low + decay * (high - low), lr_max, *choices, finishing, start=begins))

  def canonical(self, candidate: Candidate) -> Candidate:
    """Rounded, within bounds, and written the same way as every other candidate of the same schedule.

    A floor above the decay holds from the second unit on, whatever the decay; a floor below the last unit's rate holds
    nowhere, as does any lower one. Telling such candidates apart would fine-tune one schedule several times.
    """
    decay = _rounded(max(candidate.decay, candidate.floor), self.decays)
    floor = candidate.floor if candidate.floor > decay ** (self.units - 1) else min(self.floors)
    lr_max = _rounded(candidate.lr_max, self.lrs)
    return dataclasses.replace(candidate, decay=decay, lr_max=lr_max, floor=floor, granularity=self.granularity)

  def anchors(self) -> list[Candidate]:
    """Schedules, with `scrub` if it is allowed, that do well on the data sets of docs/search.md, within the bounds.

    Where other starts than `keep` are tried: with one decay of it, and each of the others at the task's rate.
    """
    lengths = sorted(self.epochs)
    epochs = self.usual_epochs if self.usual_epochs in lengths else lengths[len(lengths) // 2]
    shape = "cosine" if "cosine" in self.shapes else self.shapes[0]
    finish = ("scrub",) if ("scrub",) in self.finishes else self.finishes[0]
    low, high = self.decays
    decays = [decay for decay in _ANCHOR_DECAYS if low <= decay <= high]
    drawn = [start for start in self.starts if start.kind != "keep"]
    kept = [start for start in self.starts if start.kind == "keep"]
    usual = [
      Candidate(decay, self.usual_lr, epochs, shape, min(self.floors), finish, start=start)
      for start in kept
      for decay in (decays[:1] if drawn else decays)
    ]
    usual += [Candidate(high, self.task_lr, epochs, shape, min(self.floors), finish, start=start) for start in drawn]
    return list(dict.fromkeys(map(self.canonical, usual)))


def _pick(choices: Sequence[_Choice], at: float) -> _Choice:
  """The choice at a place in [0, 1)."""
  return choices[min(int(at * len(choices)), len(choices) - 1)]


def _rounded(value: float, bounds: tuple[float, float]) -> float:
  """In a few significant digits, unless these lead to a bound or beyond: then the bound.

  >>> _rounded(0.01234, (0.01, 1.0)), _rounded(0.0513, (0.0512, 1.0))
  (0.012, 0.0512)
  """
  low, high = bounds
  rounded = float(f"{value:.{_DIGITS}g}") if low < value < high else value
  return min(max(rounded, low), high)
