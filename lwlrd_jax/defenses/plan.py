"""Which defences and baselines a sweep compares, each as a schedule and what it needs to run."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from lwlrd_jax.defenses.schedules import (
  by_layer,
  lwlrd,
  number_of_units,
  reversed_lwlrd,
  super_finetuning,
  time_shape,
)
from lwlrd_jax.models.depth import LAYER

EARLY, LATE = "early", "late"
RETRAIN = "retrain"
_VANILLA_SHARE = 0.1  # vanilla fine-tuning is at a tenth of the rate the task was trained at, as is usual


@dataclasses.dataclass(frozen=True, eq=False)
class Defense:
  """One schedule of a sweep."""

  name: str  # lwlrd, vanilla, high_lr, reversed, super_ft_long, super_ft_short or retrain
  decay: float | None  # learning-rate factor from one layer to the next; None where the schedule has none
  lr_max: float
  epochs: float
  shape: str  # course of the learning rate over time
  optimizer: str  # the inner one, a name of `engine.optimizer.INNER`
  batch_size: int
  schedule: np.ndarray  # f32[steps, layers]
  floor: float = 0.0  # share of `lr_max` below which no layer's rate falls, in [0, 1]
  granularity: str = LAYER  # what the decay counts: `layer`, or the name of a larger unit, such as `block`
  tells_length: bool = False  # whether the label has epochs and shape: for populations that mix them

  @property
  def label(self) -> str:
    """Unique in a sweep, and fit for a file name.

    >>> Defense("lwlrd", 0.7, 0.03, 6, "cosine", "adam", 128, np.ones((1, 1)), 0.1, "block", True).label
    'lwlrd-lr0.03-d0.7-f0.1-block-e6-cosine'
    """
    length = (self.epochs, self.shape) if self.tells_length else None
    return schedule_label(self.name, self.lr_max, self.decay, self.floor, self.granularity, length)


def schedule_label(
  name: str,
  lr_max: float,
  decay: float | None,
  floor: float = 0.0,
  granularity: str = LAYER,
  length: tuple[float, str] | None = None,
) -> str:
  """Name of a schedule, from what distinguishes it from others: fields of `Defense`, and epochs and shape as `length`.

  >>> schedule_label("lwlrd", 0.02, 0.5, 0.1)
  'lwlrd-lr0.02-d0.5-f0.1'
  """
  parts = [name, f"lr{lr_max:.12g}"]
  if decay is not None:
    parts.append(f"d{decay:.12g}")
  if floor:
    parts.append(f"f{floor:.12g}")
  if granularity != LAYER:
    parts.append(granularity)
  if length is not None:
    parts += [f"e{length[0]:.6g}", length[1]]
  return "-".join(parts)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Grid:
  """Which schedules a sweep compares."""

  decays: tuple[float, ...]  # in (0, 1]
  lrs: tuple[float, ...]  # largest learning rates
  high_lrs: tuple[float, ...]  # those of high-LR
  # Shares of the largest rate below which LWLRD's rates do not fall, in [0, 1]. Baselines have none.
  floors: tuple[float, ...] = (0.0,)
  # Where the decays' largest rates are: `early`, LWLRD, `late`, reversed, both or neither.
  directions: tuple[str, ...] = (EARLY,)
  granularity: str = LAYER  # what LWLRD and reversed count
  # Of all but Super-Fine-Tuning:
  epochs: int
  batch_size: int
  optimizer: str
  shape: str
  baselines: bool  # whether to add them


def plan_defenses(
  grid: Grid, *, task_lr: float, train_size: int, depths: Sequence[int]
) -> tuple[list[Defense], list[Defense]]:
  """Schedules of a sweep: LWLRD for each rate, decay and floor, reversed likewise if asked for; and the baselines.

  As baselines, high-LR stands once for each of its rates, and reversed for each of `lrs`, at the median decay. `depths`
  are the units that layers belong to, see `schedules.by_layer`; `task_lr` is the rate at which the task was trained.
  Raises ValueError for a value out of range.
  """
  over_time = time_shape(grid.shape, grid.epochs * steps_per_epoch(train_size, grid.batch_size))

  def defense(name: str, lr: float, decay: float | None = None, floor: float = 0.0) -> Defense:
    make = reversed_lwlrd if name == "reversed" else lwlrd
    by_unit = make(lr, 1.0 if decay is None else decay, layers=number_of_units(depths), shape=over_time, floor=floor)
    counted = LAYER if decay is None else grid.granularity  # where there is no decay, there is nothing to count
    of_all = (grid.epochs, grid.shape, grid.optimizer, grid.batch_size)
    return Defense(name, decay, lr, *of_all, by_layer(by_unit, depths), floor, counted)

  swept = []
  if EARLY in grid.directions:
    swept += [defense("lwlrd", lr, decay, floor) for lr in grid.lrs for decay in grid.decays for floor in grid.floors]
  if LATE in grid.directions:
    swept += [defense("reversed", lr, decay) for lr in grid.lrs for decay in grid.decays]
  if not grid.baselines:
    return swept, []
  baselines = [defense("vanilla", _VANILLA_SHARE * task_lr)]
  baselines += [defense("high_lr", lr) for lr in grid.high_lrs]
  if LATE not in grid.directions:
    median = sorted(grid.decays)[len(grid.decays) // 2]
    baselines += [defense("reversed", lr, median) for lr in grid.lrs]
  return swept, baselines + _super_finetuning_presets(train_size, len(depths))


def plan_retraining(
  grid: Grid, lengths: Sequence[int], *, task_lr: float, train_size: int, layers: int
) -> list[Defense]:
  """Training on the task again, at its rate for all layers, of so many steps each; the rest is as of `grid`."""
  found = []
  for steps in lengths:
    schedule = lwlrd(task_lr, 1.0, layers=layers, shape=time_shape(grid.shape, steps))
    epochs = float(f"{steps / steps_per_epoch(train_size, grid.batch_size):.4g}")
    of_all = (epochs, grid.shape, grid.optimizer, grid.batch_size)
    found.append(Defense(RETRAIN, None, task_lr, *of_all, schedule, tells_length=True))
  return found


def steps_per_epoch(train_size: int, batch_size: int) -> int:
  """Whole batches in a training set, at least one.

  >>> steps_per_epoch(7007, 128), steps_per_epoch(50, 128)
  (54, 1)
  """
  return max(train_size // batch_size, 1)


def _super_finetuning_presets(train_size: int, layers: int) -> list[Defense]:
  """The two public settings of Sha et al. 2022 (arXiv 2212.09067).

  All is the authors', as under another optimizer their rates would mean something else, but the clipping of gradients.
  """
  per_epoch = steps_per_epoch(train_size, 128)
  long = super_finetuning(3e-2, (2.5, 0.05), (40 * per_epoch, 60 * per_epoch), 10, layers=layers)
  per_epoch = steps_per_epoch(train_size, 256)
  short = super_finetuning(3e-4, (0.1, 1e-3), (3 * per_epoch, 3 * per_epoch), 10, layers=layers)
  return [
    Defense("super_ft_long", None, 2.5, 100, "triangles", "sgd-clip", 128, long),
    Defense("super_ft_short", None, 0.1, 6, "triangles", "momentum-wd-clip", 256, short),
  ]
