"""Fine-tuning schedules: functions that return a matrix of learning rates, f32[steps, layers].

All that distinguishes one defence or baseline from another is in its matrix, so that any mix of them is one population.
"""

from collections.abc import Sequence

import numpy as np

SHAPES = ("constant", "linear", "cosine")


def time_shape(name: str, steps: int) -> np.ndarray:
  """Course of the learning rate over time, f32[steps] in (0, 1]: 1 at the first step, towards 0 after the last.

  Raises ValueError if `name` is none of `SHAPES`.

  >>> time_shape("linear", 4).tolist()
  [1.0, 0.75, 0.5, 0.25]
  """
  done = np.arange(steps, dtype=np.float32) / steps
  if name == "constant":
    return np.ones(steps, np.float32)
  if name == "linear":
    return 1 - done
  if name == "cosine":
    return (1 + np.cos(np.pi * done)) / 2
  raise ValueError(f"shape is one of {', '.join(SHAPES)}, not {name}")


def lwlrd(lr_max: float, decay: float, *, layers: int, shape: np.ndarray, floor: float = 0.0) -> np.ndarray:
  """Layer-wise learning-rate decay, largest at the input.

  Thellier et al. 2025 (arXiv 2509.00027) describe it in words; the formula is ours:
  lr_max * max(decay**layer, floor) * shape[step].

  Args:
    lr_max: Learning rate of layer 0 at the top of `shape`, > 0.
    decay: Factor from one layer to the next, in (0, 1]. 1 is uniform.
    layers: Number of layers, counted from the input; or of units of several layers each, for `by_layer`.
    shape: f32[steps], the schedule over time, usually in [0, 1].
    floor: Share of `lr_max` below which no layer's rate falls, in [0, 1]: a small decay leaves the late layers, and
      what is hidden in them, as they were. 0 is none, 1 uniform.

  Returns:
    f32[steps, layers].

  Raises:
    ValueError: decay is outside (0, 1], floor outside [0, 1], or lr_max is not positive.

  >>> lwlrd(1.0, 0.25, layers=3, shape=np.ones(1)).tolist()
  [[1.0, 0.25, 0.0625]]
  >>> lwlrd(1.0, 0.25, layers=3, shape=np.ones(1), floor=0.125).tolist()
  [[1.0, 0.25, 0.125]]
  """
  if not 0 < decay <= 1:
    raise ValueError(f"decay is in (0, 1], not {decay}")
  if not lr_max > 0:
    raise ValueError(f"lr_max is positive, not {lr_max}")
  if not 0 <= floor <= 1:
    raise ValueError(f"floor is in [0, 1], not {floor}")
  shares = np.maximum(decay ** np.arange(layers), floor)
  return np.outer(shape, lr_max * shares).astype(np.float32)


def uniform(lr: float, *, layers: int, shape: np.ndarray) -> np.ndarray:
  """One rate for all layers: vanilla fine-tuning at the training rate, high-LR fine-tuning at LWLRD's largest.

  Arguments, errors and result as of `lwlrd`.

  >>> uniform(0.5, layers=2, shape=np.ones(1)).tolist()
  [[0.5, 0.5]]
  """
  return lwlrd(lr, 1.0, layers=layers, shape=shape)


def reversed_lwlrd(lr_max: float, decay: float, *, layers: int, shape: np.ndarray, floor: float = 0.0) -> np.ndarray:
  """The decay counted from the output: the usual one of transfer learning, which spares the early layers.

  Arguments, errors and result as of `lwlrd`.

  >>> reversed_lwlrd(1.0, 0.5, layers=3, shape=np.ones(1)).tolist()
  [[0.25, 0.5, 1.0]]
  """
  return lwlrd(lr_max, decay, layers=layers, shape=shape, floor=floor)[:, ::-1].copy()


def by_layer(schedule: np.ndarray, depth_of_layer: Sequence[int]) -> np.ndarray:
  """Spreads a schedule over units, such as residual blocks, to the layers they are made of.

  In a network of many layers a decay counted by layer is either next to 1 or leaves nothing for the late layers;
  counted by block it means what it means in a small network.

  Args:
    schedule: f32[steps, units].
    depth_of_layer: Unit of each layer, in the layers' order: numbers from 0, none left out.

  Returns:
    f32[steps, layers].

  Raises:
    ValueError: The units are not numbered so, or are not those of the schedule.

  >>> by_layer(lwlrd(1.0, 0.5, layers=2, shape=np.ones(1)), (0, 0, 1)).tolist()
  [[1.0, 1.0, 0.5]]
  """
  units = schedule.shape[1]
  if number_of_units(depth_of_layer) != units:
    raise ValueError(f"depths are of {number_of_units(depth_of_layer)} units, the schedule of {units}")
  return schedule[:, list(depth_of_layer)]


def number_of_units(depth_of_layer: Sequence[int]) -> int:
  """How many units layers belong to. Arguments and errors as of `by_layer`.

  >>> number_of_units((0, 1, 1, 2))
  3
  """
  found = set(depth_of_layer)
  if not found or found != set(range(len(found))):
    raise ValueError(f"depths are numbers from 0 of which none is left out, not {list(depth_of_layer)}")
  return len(found)


def super_finetuning(
  base: float, maxima: tuple[float, float], phase_steps: tuple[int, int], half_period: int, *, layers: int
) -> np.ndarray:
  """Super-Fine-Tuning: two phases of triangles between a base rate and the phase's maximum, the same for all layers.

  Sha et al. 2022 (arXiv 2212.09067): a first phase of large rates to forget, a second of small ones to recover.
  Triangles climb for `half_period` steps, and fall for as many.

  Returns:
    f32[steps, layers], steps the sum of both phases'.

  >>> super_finetuning(0.0, (1.0, 0.5), (4, 3), 2, layers=1).ravel().tolist()
  [0.0, 0.5, 1.0, 0.5, 0.0, 0.25, 0.5]
  """
  phases = []
  for top, steps in zip(maxima, phase_steps, strict=True):
    position = np.arange(steps) % (2 * half_period)
    height = 1 - np.abs(position / half_period - 1)
    phases.append(base + (top - base) * height)
  return np.repeat(np.concatenate(phases)[:, None], layers, axis=1).astype(np.float32)
