"""Kernels of a model as one row of weights, and places in it that only a key tells."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lwlrd_jax.models.network import Network, Params


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
  """Draws places i32[count] from the allowed ones i[M], without replacement, in an order that the key alone tells.

  Raises:
    ValueError: More than there are.
  """
  if count > len(allowed):
    raise ValueError(f"{count} weights are needed, the carrier has {len(allowed)}")
  return jnp.asarray(allowed, jnp.int32)[jax.random.permutation(key, len(allowed))[:count]]
