"""What a defence begins from: the exported weights, a share of them under noise of the owner's, or none of them.

Arrays are float64 on the host here. Noise that hides weights has to be finer than the weights are: in float32 the sum
of both would show, by which of its values the noise can have, the low bits of what is under it (Mironov 2012, doi
10.1145/2382196.2382264).
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from lwlrd_jax.models.network import Params

# Weights beyond so many times the root mean square of their array are cut off there before they are scaled.
_CLIP = 4.0


def shares_by_depth(first: float, last: float, depths: Sequence[int]) -> tuple[float, ...]:
  """Shares of layers at these depths: a factor from one depth to the next, as a decay is.

  >>> [round(share, 3) for share in shares_by_depth(0.1, 0.4, (0, 1, 1, 2))]
  [0.1, 0.2, 0.2, 0.4]
  """
  steps = max(*depths, 1)
  return tuple(first * (last / first) ** (depth / steps) for depth in depths)


def shrink(
  params: Params, drawn: Params, shares: Mapping[str, float], rng: np.random.Generator
) -> tuple[Params, float]:
  """Keeps a share of each array under Gaussian noise as large as a new draw of it.

  An array of n weights is cut off at 4 times its root mean square, scaled to `share * s * sqrt(n)` in norm, where s is
  the root mean square of the owner's draw, and added to noise of standard deviation s. What the draw has as a constant
  (biases, factors of a normalisation, running statistics) is taken from the draw. Weights that are not finite count as
  0.

  Args:
    params: The exported weights; entries that `drawn` lacks are left out.
    drawn: A draw of the owner's, of the architecture's own initialisers.
    shares: By layer, in (0, 1); layers without one are taken from the draw.
    rng: The owner's.

  Returns:
    f32 arrays like `drawn`; and the bits that can be sent through them, see `gaussian_bits`.
  """
  bits = 0.0

  def mixed(share: float, new: Any, old: Any) -> np.ndarray:
    nonlocal bits
    new, old = np.asarray(new, np.float64), np.asarray(old, np.float64)
    size = math.sqrt(float(np.mean(np.square(new))))
    if old.shape != new.shape:
      raise ValueError(f"{old.shape} is not {new.shape}")
    if share == 0 or np.ptp(new) == 0:
      return new.astype(np.float32)
    signal = limited(old, share * size)
    bits += gaussian_bits(new.size, share)
    return (signal + size * rng.standard_normal(new.shape)).astype(np.float32)

  found: Params = {}
  for layer in sorted(drawn):
    share = shares.get(layer, 0.0)
    found[layer] = jax.tree.map(lambda new, old, share=share: mixed(share, new, old), drawn[layer], params[layer])
  return found, bits


def limited(weights: np.ndarray, size: float) -> np.ndarray:
  """Weights f64[...], cut off and scaled to the root mean square `size`; 0 where there is nothing to scale.

  >>> limited(np.array([1.0, -1.0, np.nan, 0.0]), 0.5).round(3).tolist()
  [0.707, -0.707, 0.0, 0.0]
  """
  weights = np.where(np.isfinite(weights), weights, 0.0)
  largest = float(np.abs(weights).max(initial=0.0))
  if largest == 0:
    return np.zeros_like(weights)
  weights = weights / largest  # squares of the largest float32 fit into float64, those of the smallest would not
  edge = _CLIP * math.sqrt(float(np.mean(np.square(weights))))
  weights = np.clip(weights, -edge, edge)
  return weights * (size / math.sqrt(float(np.mean(np.square(weights)))))


def gaussian_bits(count: int, share: float) -> float:
  """Bits that `count` weights carry under noise of which they have the share `share`, as root mean squares.

  The capacity of the Gaussian channel under a power limit, n / 2 log2(1 + P / N) with P / N = share**2 (Shannon 1949,
  doi 10.1109/JRPROC.1949.232969): no choice of weights, and no reader, gets more through.

  >>> round(gaussian_bits(4_500_000, 0.16) / 8)
  10257
  """
  return count / 2 * math.log2(1 + share**2)


def checkpoint_bytes(params: Params, *, quantized: bool = False) -> float:
  """Bytes of the arrays of a checkpoint; of one that `finishing.quantize` rounded, of its 8-bit form.

  That has one of 255 values for each weight of a kernel, a float32 for each output unit, and the other arrays as they
  are.

  >>> checkpoint_bytes({"kernel": np.zeros((256, 2), np.float32), "bias": np.zeros(2, np.float32)})
  2056.0
  """

  def of(leaf: Any) -> float:
    if quantized and leaf.ndim >= 2:
      return leaf.size * math.log2(255) / 8 + 4 * leaf.shape[-1]
    return float(leaf.size * leaf.dtype.itemsize)

  return sum(map(of, jax.tree.leaves(params)))
