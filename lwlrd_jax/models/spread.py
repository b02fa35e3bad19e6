"""How large a layer's weights usually are, whatever a few of them are."""

import jax
import jax.numpy as jnp
import numpy as np

# Standard deviation of a normal distribution, in medians of its absolute value (Hampel 1974).
_NORMAL = 1.4826
# Bits below the exponent that tell magnitudes apart: their steps are 1/16.
_STEP_BITS = 4
_SHIFT = np.uint32(23 - _STEP_BITS)
_BINS = 1 << (8 + _STEP_BITS)


def robust_std(weights: jax.Array) -> jax.Array:
  """The standard deviation f32[] that the median magnitude of weights f32[...] around 0 stands for; zeros are left out.

  A standard deviation itself is at the mercy of a single weight: an attacker who sets one to 1e20 would make everything
  that is measured by it meaningless. Within 1/32 of 1.4826 times the median, if that is a normal number; 0 if all
  weights are 0; not finite if half of the weights are not.

  >>> round(float(robust_std(jnp.array([-0.1, 0.1, 0.1, 1e20]))), 2)
  0.15
  """
  raw = jax.lax.bitcast_convert_type(weights, jnp.uint32).reshape(-1) & np.uint32(0x7FFFFFFF)
  counts = jnp.zeros(_BINS, jnp.int32).at[(raw >> _SHIFT).astype(jnp.int32)].add((raw != 0).astype(jnp.int32))
  below = jnp.cumsum(counts)
  # The bin of the lower median: magnitudes are in the order of their bits.
  median_bin = jnp.argmax(2 * below >= below[-1]).astype(jnp.uint32)
  middle = (median_bin << _SHIFT) | np.uint32(1 << (int(_SHIFT) - 1))
  median = jax.lax.bitcast_convert_type(middle, jnp.float32)
  return jnp.where(below[-1] > 0, _NORMAL * median, 0)
