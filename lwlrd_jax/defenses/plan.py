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
  uniform,
)
from lwlrd_jax.models.depth import LAYER

EARLY, LATE = "early", "late"
# Vanilla fine-tuning goes on at a tenth of the rate the task was trained at, as is usual.
_VANILLA_SHARE = 0.1


@dataclasses.dataclass(frozen=True, eq=False)
class Defense:
  """One schedule of a sweep.

  Attributes:
    name: What it is: `lwlrd`, `vanilla`, `high_lr`, `reversed`, `super_ft_long` or `super_ft_short`.
    decay: Learning-rate factor from one layer to the next; None where the schedule has none.
    lr_max: Its largest learning rate.
    epochs: Passes over the training set.
    shape: Course of the learning rate over time.
    optimizer: Inner optimizer, a name of `engine.optimizer.INNER`.
    batch_size: Images a step.
    schedule: f32[steps, layers].
    floor: Share of `lr_max` below which no layer's rate falls, in [0, 1]; 0 where the schedule has none.
    granularity: What the decay counts: `layer`, or the name of a larger unit, such as `block`.
    tells_length: Whether the label tells epochs and shape: for populations that mix them.
  """

  name: str
  decay: float | None
  lr_max: float
  epochs: int
  shape: str
  optimizer: str
  batch_size: int
  schedule: np.ndarray
  floor: float = 0.0
  granularity: str = LAYER
  tells_length: bool = False

  @property
  def label(self) -> str:
    """Unique in a sweep, and fit for a file name.

    >>> Defense("lwlrd", 0.7, 0.03, 6, "cosine", "adam", 128, np.ones((1, 1))).label
    'lwlrd-lr0.03-d0.7'
    >>> Defense("lwlrd", 0.7, 0.03, 6, "cosine", "adam", 128, np.ones((1, 1)), 0.1, "block", True).label
    'lwlrd-lr0.03-d0.7-f0.1-block-e6-cosine'
    """
    return schedule_label(
      self.name,
      lr_max=self.lr_max,
      decay=self.decay,
      floor=self.floor,
      granularity=self.granularity,
      length=(self.epochs, self.shape) if self.tells_length else None,
    )


def schedule_label(
  name: str,
  *,
  lr_max: float,
  decay: float | None,
  floor: float = 0.0,
  granularity: str = LAYER,
  length: tuple[int, str] | None = None,
) -> str:
  """Name of a schedule, from what tells it from others; fit for a file name.

  Args:
    name: As of `Defense`, and so on.
    lr_max: Largest learning rate.
    decay: Factor, or None.
    floor: Told unless it is 0.
    granularity: Told unless it is `layer`.
    length: Epochs and shape, if they are to be told.

  >>> schedule_label("lwlrd", lr_max=0.02, decay=0.5, floor=0.1)
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
    parts += [f"e{length[0]}", length[1]]
  return "-".join(parts)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Grid:
  """Which schedules a sweep compares.

  Attributes:
    decays: Factors in (0, 1].
    lrs: Largest learning rates.
    high_lrs: Those of high-LR.
    floors: Shares of the largest rate below which LWLRD's rates do not fall, in [0, 1]. Baselines have none.
    directions: Where the decays' largest rates are: `early`, LWLRD, `late`, reversed, both or neither.
    granularity: Name of the units that LWLRD and reversed count.
    epochs: Passes over the training set, for all but Super-Fine-Tuning.
    batch_size: Images a step, likewise.
    optimizer: Inner optimizer, likewise.
    shape: Course over time, likewise.
    baselines: Whether to add baselines.
  """

  decays: tuple[float, ...]
  lrs: tuple[float, ...]
  high_lrs: tuple[float, ...]
  floors: tuple[float, ...] = (0.0,)
  directions: tuple[str, ...] = (EARLY,)
  granularity: str = LAYER
  epochs: int
  batch_size: int
  optimizer: str
  shape: str
  baselines: bool


def plan_defenses(grid: Grid, *, task_lr: float, train_size: int, depths: Sequence[int]) -> list[Defense]:
  """Every schedule of a sweep: LWLRD for each rate, decay and floor, reversed likewise if asked for, the baselines.

  As baselines, high-LR stands once for each of its rates, and reversed for each of `lrs`, at the median decay.
  Super-Fine-Tuning has an optimizer, a batch size and a length of its own, those of its authors' two settings: under
  another optimizer its rates would mean something else. Only the clipping of gradients is added.

  Args:
    grid: What is compared.
    task_lr: Rate at which the task was trained.
    train_size: Images in the training set.
    depths: Unit that each layer belongs to, see `schedules.by_layer`.

  Returns:
    The schedules, LWLRD first.

  Raises:
    ValueError: A value out of range.
  """
  units = number_of_units(depths)
  over_time = time_shape(grid.shape, grid.epochs * steps_per_epoch(train_size, grid.batch_size))

  def common(name: str, decay: float | None, lr: float, schedule: np.ndarray, floor: float = 0.0) -> Defense:
    return Defense(
      name,
      decay,
      lr,
      grid.epochs,
      grid.shape,
      grid.optimizer,
      grid.batch_size,
      by_layer(schedule, depths),
      floor,
      # Where there is no decay, there is nothing to count.
      granularity=LAYER if decay is None else grid.granularity,
    )

  def late(lr: float, decay: float) -> Defense:
    return common("reversed", decay, lr, reversed_lwlrd(lr, decay, layers=units, shape=over_time))

  plan = []
  if EARLY in grid.directions:
    plan += [
      common("lwlrd", decay, lr, lwlrd(lr, decay, layers=units, shape=over_time, floor=floor), floor)
      for lr in grid.lrs
      for decay in grid.decays
      for floor in grid.floors
    ]
  if LATE in grid.directions:
    plan += [late(lr, decay) for lr in grid.lrs for decay in grid.decays]
  if not grid.baselines:
    return plan
  vanilla_lr = _VANILLA_SHARE * task_lr
  plan.append(common("vanilla", None, vanilla_lr, uniform(vanilla_lr, layers=units, shape=over_time)))
  plan += [common("high_lr", None, lr, uniform(lr, layers=units, shape=over_time)) for lr in grid.high_lrs]
  if LATE not in grid.directions:
    plan += [late(lr, sorted(grid.decays)[len(grid.decays) // 2]) for lr in grid.lrs]
  return plan + _super_finetuning_presets(train_size, len(depths))


def steps_per_epoch(train_size: int, batch_size: int) -> int:
  """Whole batches in a training set, at least one.

  >>> steps_per_epoch(7007, 128), steps_per_epoch(50, 128)
  (54, 1)
  """
  return max(train_size // batch_size, 1)


def _super_finetuning_presets(train_size: int, layers: int) -> list[Defense]:
  """The two public settings of Sha et al. 2022 (arXiv 2212.09067)."""
  per_epoch = steps_per_epoch(train_size, 128)
  long = super_finetuning(3e-2, (2.5, 0.05), (40 * per_epoch, 60 * per_epoch), 10, layers=layers)
  per_epoch = steps_per_epoch(train_size, 256)
  short = super_finetuning(3e-4, (0.1, 1e-3), (3 * per_epoch, 3 * per_epoch), 10, layers=layers)
  return [
    Defense("super_ft_long", None, 2.5, 100, "triangles", "sgd-clip", 128, long),
    Defense("super_ft_short", None, 0.1, 6, "triangles", "momentum-wd-clip", 256, short),
  ]
