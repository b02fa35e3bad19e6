"""Smooth random pictures and soft shapes, the brushes of the phantoms. Coordinates run from -1 to 1 across an image."""

import numpy as np


def pixel_axis(size: int) -> np.ndarray:
  """f32[size], the centres of `size` pixels, from left (or top) to right (or bottom).

  >>> pixel_axis(4).tolist()
  [-0.75, -0.25, 0.25, 0.75]
  """
  return ((2 * np.arange(size) + 1) / size - 1).astype(np.float32)


def soft_step(x: np.ndarray) -> np.ndarray:
  """The logistic function: 0 far below zero, 1 far above.

  Args:
    x: f32[...].

  Returns:
    f32[...] in [0, 1].

  >>> soft_step(np.array([-1000.0, 0.0, 1000.0])).tolist()
  [0.0, 0.5, 1.0]
  """
  # tanh, unlike 1 / (1 + exp(-x)), has no overflow to warn about.
  return 0.5 * (1 + np.tanh(0.5 * x))


def draw_grids(rng: np.random.Generator, count: int, cells: int) -> np.ndarray:
  """What `smooth_field` interpolates: f32[count, cells + 3, cells + 3] of standard normal values.

  Grids do not depend on the image size, so a phantom at 64 pixels shows the same patients as one at 28.
  """
  return rng.standard_normal((count, cells + 3, cells + 3), dtype=np.float32)


def smooth_field(grids: np.ndarray, size: int) -> np.ndarray:
  """Smooth random pictures from coarse grids, by cubic B-splines.

  Args:
    grids: f32[N, cells + 3, cells + 3], see `draw_grids`. More cells, finer grain.
    size: Side of the pictures in pixels.

  Returns:
    f32[N, size, size] with mean 0 and standard deviation 1 over all draws.
  """
  cells = grids.shape[-1] - 3
  position = (pixel_axis(size) + 1) / 2 * cells
  first = np.minimum(position.astype(int), cells - 1)
  t = position - first
  # The four cubic B-splines that are not zero between two knots.
  weights = np.stack([(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3], axis=1) / 6
  weights /= np.linalg.norm(weights, axis=1, keepdims=True)  # independent values of variance 1 keep their variance
  spread = np.zeros((size, cells + 3), np.float32)
  np.put_along_axis(spread, first[:, None] + np.arange(4), weights.astype(np.float32), axis=1)
  return spread @ grids @ spread.T
