"""Which defences and baselines a sweep compares, each as a schedule and what it needs to run."""

import dataclasses

import numpy as np

from lwlrd_jax.defenses.schedules import lwlrd, reversed_lwlrd, super_finetuning, time_shape, uniform

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
  """

  name: str
  decay: float | None
  lr_max: float
  epochs: int
  shape: str
  optimizer: str
  batch_size: int
  schedule: np.ndarray

  @property
  def label(self) -> str:
    """Unique in a sweep, and fit for a file name.

    >>> Defense("lwlrd", 0.7, 0.03, 6, "cosine", "adam", 128, np.ones((1, 1))).label
    'lwlrd-lr0.03-d0.7'
    """
    decay = "" if self.decay is None else f"-d{self.decay:.12g}"
    return f"{self.name}-lr{self.lr_max:.12g}{decay}"


def plan_defenses(
  *,
  decays: tuple[float, ...],
  lrs: tuple[float, ...],
  epochs: int,
  batch_size: int,
  optimizer: str,
  shape: str,
  baselines: bool,
  task_lr: float,
  train_size: int,
  layers: int,
) -> list[Defense]:
  """Every schedule of a sweep: LWLRD for each pair of a rate and a decay, then the baselines.

  High-LR and reversed stand once for each of `lrs`, reversed at the median decay. Super-Fine-Tuning has an optimizer, a
  batch size and a length of its own, those of its authors' two settings: under another optimizer its rates would mean
  something else. Only the clipping of gradients is added.

  Args:
    decays: Factors in (0, 1].
    lrs: Largest learning rates.
    epochs: Passes over the training set, for all but Super-Fine-Tuning.
    batch_size: Images a step, likewise.
    optimizer: Inner optimizer, likewise.
    shape: Course over time, likewise.
    baselines: Whether to add baselines.
    task_lr: Rate at which the task was trained.
    train_size: Images in the training set.
    layers: Layers of the model.

  Returns:
    The schedules, LWLRD first.
  """
  steps = epochs * steps_per_epoch(train_size, batch_size)
  over_time = time_shape(shape, steps)

  def common(name: str, decay: float | None, lr: float, schedule: np.ndarray) -> Defense:
    return Defense(name, decay, lr, epochs, shape, optimizer, batch_size, schedule)

  plan = [common("lwlrd", d, lr, lwlrd(lr, d, layers=layers, shape=over_time)) for lr in lrs for d in decays]
  if not baselines:
    return plan
  vanilla_lr = _VANILLA_SHARE * task_lr
  plan.append(common("vanilla", None, vanilla_lr, uniform(vanilla_lr, layers=layers, shape=over_time)))
  plan += [common("high_lr", None, lr, uniform(lr, layers=layers, shape=over_time)) for lr in lrs]
  middle = sorted(decays)[len(decays) // 2]
  plan += [common("reversed", middle, lr, reversed_lwlrd(lr, middle, layers=layers, shape=over_time)) for lr in lrs]
  return plan + _super_finetuning_presets(train_size, layers)


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
