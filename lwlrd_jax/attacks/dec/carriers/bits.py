"""Bits in float32 weights: as mantissa planes, and as words of them."""

import jax
import jax.numpy as jnp
import numpy as np

MANTISSA_BITS = 23
_EXPONENT = np.uint32(0x7F800000)


def check_finite(weights: np.ndarray) -> None:
  """Refuses infinities and NaNs: with other mantissa bits an infinity becomes a NaN.

  Raises:
    ValueError: There is one.
  """
  if not np.isfinite(weights).all():
    raise ValueError("weights that are not finite cannot carry bits")


def write_planes(weights: jax.Array, words: jax.Array, low: int, high: int) -> jax.Array:
  """Replaces the mantissa planes low .. high - 1 of each weight f32[n], finite, by a word u32[n].

  Plane 0 is the least significant. Sign and exponent stay, so what was finite stays finite: zeros and denormals become
  zeros or denormals.

  >>> written = write_planes(jnp.float32([1.5, -0.0]), jnp.uint32([5, 7]), 0, 3)
  >>> read_planes(written, 0, 3).tolist()
  [5, 7]
  """
  if not 0 <= low < high <= MANTISSA_BITS:
    raise ValueError(f"mantissa planes are 0 to {MANTISSA_BITS}, not {low} to {high}")
  mask = np.uint32(((1 << (high - low)) - 1) << low)
  raw = jax.lax.bitcast_convert_type(weights, jnp.uint32)
  return jax.lax.bitcast_convert_type((raw & ~mask) | ((words << np.uint32(low)) & mask), jnp.float32)


def read_planes(weights: jax.Array, low: int, high: int) -> jax.Array:
  """The word in planes low .. high - 1 of each weight: f32[n] -> u32[n]."""
  raw = jax.lax.bitcast_convert_type(weights, jnp.uint32)
  return (raw >> np.uint32(low)) & np.uint32((1 << (high - low)) - 1)


def bits_to_words(bits: jax.Array, width: int) -> jax.Array:
  """Packs bits u8[n] into words u32[ceil(n / width)], the first bit highest; zeros fill the last word up.

  >>> bits_to_words(jnp.uint8([1, 0, 1, 1]), 3).tolist()
  [5, 4]
  """
  padded = jnp.pad(bits, (0, -len(bits) % width)).reshape(-1, width).astype(jnp.uint32)
  return (padded << _places(width)).sum(axis=1, dtype=jnp.uint32)


def words_to_bits(words: jax.Array, width: int, count: int) -> jax.Array:
  """The inverse of `bits_to_words`: u32[m] -> u8[count], count at most m * width."""
  bits = (words[:, None] >> _places(width)) & np.uint32(1)
  return bits.reshape(-1)[:count].astype(jnp.uint8)


def _places(width: int) -> np.ndarray:
  return np.arange(width - 1, -1, -1, dtype=np.uint32)
