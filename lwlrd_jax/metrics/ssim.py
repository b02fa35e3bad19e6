"""Structural similarity, as matrix products."""

import jax
import jax.numpy as jnp
import numpy as np
from scipy import linalg

_WINDOW, _SIGMA = 11, 1.5
_C1, _C2 = 0.01**2, 0.03**2


def ssim(a: jax.Array, b: jax.Array) -> jax.Array:
  """Structural similarity of images (Wang et al. 2004), averaged over channels and all whole windows.

  Gaussian windows of 11 x 11 pixels, sigma 1.5, no padding, K1 = 0.01, K2 = 0.03, range 1: what `dm_pix.ssim` computes.
  Blurring is two products with banded matrices, which stays fast under `vmap` and in loops on every backend. Images
  with a side below 11 pixels get a window of that side.
  Of images f32[..., H, W, C] in [0, 1] both, it is f32[...] in [-1, 1].
  """
  rows, columns = (jnp.asarray(_blur_matrix(side)) for side in a.shape[-3:-1])

  def blur(x: jax.Array) -> jax.Array:
    return jnp.einsum("ih,...hwc,jw->...ijc", rows, x, columns)

  mean_a, mean_b = blur(a), blur(b)
  var_a = blur(a * a) - mean_a * mean_a
  var_b = blur(b * b) - mean_b * mean_b
  covariance = blur(a * b) - mean_a * mean_b
  # Rounding must not push a covariance past what its variances allow, nor a variance below zero.
  var_a, var_b = jnp.maximum(var_a, 0), jnp.maximum(var_b, 0)
  limit = jnp.sqrt(var_a * var_b)
  covariance = jnp.clip(covariance, -limit, limit)
  luminance = (2 * mean_a * mean_b + _C1) / (mean_a * mean_a + mean_b * mean_b + _C1)
  contrast_structure = (2 * covariance + _C2) / (var_a + var_b + _C2)
  return (luminance * contrast_structure).mean(axis=(-3, -2, -1))


def _blur_matrix(side: int) -> np.ndarray:
  """f32[side - window + 1, side], a normalised Gaussian window in each row."""
  window = min(_WINDOW, side)
  offsets = np.arange(window) - (window - 1) / 2
  weights = np.exp(-(offsets**2) / (2 * _SIGMA**2))
  return linalg.convolution_matrix(weights / weights.sum(), side, "valid").astype(np.float32)
