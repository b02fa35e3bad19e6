"""How a model learns its task, before any defense."""

import dataclasses
from typing import Any

import numpy as np


@dataclasses.dataclass(frozen=True, kw_only=True)
class TaskTraining:
  """Training with Adam. Hashable: a static argument of `jax.jit`."""

  steps: int
  batch_size: int = 128  # images a step
  task_lr: float = 1e-3  # largest learning rate
  warmup: float = 0.02  # share of the steps in which the rate climbs linearly
  cooldown: float = 0.25  # share of the steps in which it falls linearly to 0, at the end
  label_smoothing: float = 0.2  # in [0, 1)
  augment: str = "none"  # a name of `data.augment.AUGMENTATIONS`

  def time_shape(self) -> np.ndarray:
    """Course of the learning rate: f32[steps], up, level and down, in (0, 1]."""
    up = np.arange(1, self.steps + 1) / max(self.warmup * self.steps, 1)
    down = np.arange(self.steps, 0, -1) / max(self.cooldown * self.steps, 1)
    return np.minimum(np.minimum(up, down), 1).astype(np.float32)

  def settings(self) -> dict[str, Any]:
    """As JSON. That nothing is augmented is left out: models older than augmentation stay what they are."""
    settings = dataclasses.asdict(self)
    return {name: value for name, value in settings.items() if (name, value) != ("augment", "none")}
