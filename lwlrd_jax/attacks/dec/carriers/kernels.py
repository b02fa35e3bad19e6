"""Kernels of a model as one row of weights, places in it that only a key gives, and bits in their mantissas."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lwlrd_jax.attacks.dec.carriers.base import Carried, Reading
from lwlrd_jax.models.network import Network, Params

MANTISSA_BITS = 23


def layers_of(network: Network, where: str) -> tuple[str, ...]:
  """Layers with a kernel by where they stand: `all`, `early` (the first half, and the middle one) or `late` (the rest).

  A network of a single layer has no late ones: its one layer is both.
  """
  layers = network.kernels
  half = (len(layers) + 1) // 2
  return {"all": layers, "early": layers[:half], "late": layers[half:] or layers}[where]


def kernels(params: Params, layers: Sequence[str]) -> jax.Array:
  """The kernels of some layers, one after another: f32[N]. Biases are few, and begin as zeros: they carry nothing."""
  return jnp.concatenate([jnp.asarray(params[layer]["kernel"]).reshape(-1) for layer in layers])


def with_kernels(params: Params, layers: Sequence[str], flat: jax.Array) -> Params:
  """The tree with those kernels replaced: the inverse of `kernels`. The argument is left as it is."""
  changed = {name: dict(entry) for name, entry in params.items()}
  first = 0
  for layer in layers:
    kernel = params[layer]["kernel"]
    changed[layer]["kernel"] = flat[first : first + kernel.size].reshape(kernel.shape)
    first += kernel.size
  return changed


def layer_numbers(params: Params, layers: Sequence[str], places: jax.Array) -> jax.Array:
  """Which of these layers each place in `kernels` lies in, by number: i32[n] -> i32[n]."""
  ends = np.cumsum([params[layer]["kernel"].size for layer in layers])
  return jnp.searchsorted(jnp.asarray(ends, jnp.int32), places, side="right").astype(jnp.int32)


def unset(network: Network, params: Params, dtype: Any) -> Params:
  """Zeros of this type in place of the weights."""
  return jax.tree.map(lambda w: jnp.zeros(w.shape, dtype), network.weights(params))


def keyed_places(key: jax.Array, allowed: np.ndarray, count: int) -> jax.Array:
  """Draws places i32[count] from the allowed ones i[M], without replacement, in an order that the key alone gives.

  Raises ValueError if there are fewer.
  """
  if count > len(allowed):
    raise ValueError(f"{count} weights are needed, the carrier has {len(allowed)}")
  return jnp.asarray(allowed, jnp.int32)[jax.random.permutation(key, len(allowed))[:count]]


def check_finite(weights: np.ndarray) -> None:
  """Raises ValueError for infinities and NaNs: with other mantissa bits an infinity becomes a NaN."""
  if not np.isfinite(weights).all():
    raise ValueError("weights that are not finite cannot carry bits")


def write_words(
  params: Params, layers: tuple[str, ...], allowed: np.ndarray, bits: jax.Array, low: int, high: int, key: jax.Array
) -> Carried:
  """Writes bits into planes of weights that the key chooses among the allowed ones of these layers' kernels."""
  flat = kernels(params, layers)
  check_finite(np.asarray(flat))
  words = bits_to_words(bits, high - low)
  places = keyed_places(key, allowed, len(words))
  flat = flat.at[places].set(write_planes(flat[places], words, low, high))
  return Carried(with_kernels(params, layers, flat), {"weights": places})


def read_words(
  params: Params, layers: tuple[str, ...], places: dict[str, Any], count: int, low: int, high: int
) -> Reading:
  """Reads what `write_words` wrote. Bits of one layer and plane are a group."""
  width = high - low
  words = read_planes(kernels(params, layers)[places["weights"]], low, high)
  planes = jnp.arange(width, dtype=jnp.int32)
  groups = width * layer_numbers(params, layers, places["weights"])[:, None] + planes
  return Reading(words_to_bits(words, width, count), groups.reshape(-1)[:count], width * len(layers), word=width)


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
