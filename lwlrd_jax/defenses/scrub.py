"""Bit scrubbing: random mantissas, as many planes of each layer as the task allows; dead weights are re-initialised."""

import functools
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from lwlrd_jax.models.liveness import small_draw
from lwlrd_jax.models.network import Params

ALL_PLANES = 23
LEVELS = (23, 22, 21, 20, 18, 16, 12, 8, 0)  # numbers of planes that are tried


def scrub(params: Params, key: jax.Array, *, planes: Params, live: Params) -> Params:
  """Replaces the low mantissa planes of live weights by random bits, and dead weights as a whole.

  A dead weight may hold anything in all its 32 bits without costing the task anything, so nothing of it is kept: sign,
  exponent and mantissa are those of a normal number, 2^-20 of the usual size of the array's weights.

  Args:
    params: Weights, f32.
    key: Random key. Knowing it undoes nothing: the old bits are gone.
    planes: Planes to replace, from the least significant: i32[] in [0, 23] for each array.
    live: bool, for each weight, from `models.liveness.live_weights`.

  Returns:
    The weights. What was finite stays finite.
  """
  return take_planes(params, randomise(params, key, live=live), planes=planes, live=live)


def randomise(params: Params, key: jax.Array, *, live: Params) -> Params:
  """The weights with all mantissas random, and dead weights re-initialised: what `scrub` takes planes of."""
  mantissa = np.uint32((1 << ALL_PLANES) - 1)

  def drawn(weights: jax.Array, key: jax.Array, alive: jax.Array) -> jax.Array:
    key_bits, key_new = jax.random.split(key)
    random = jax.random.bits(key_bits, weights.shape, jnp.uint32) & mantissa
    return jnp.where(alive, _from_bits((_bits(weights) & ~mantissa) | random), small_draw(weights, key_new))

  leaves, tree = jax.tree.flatten(params)
  keys = jax.tree.unflatten(tree, list(jax.random.split(key, len(leaves))))
  return jax.tree.map(drawn, params, keys, live)


def take_planes(params: Params, drawn: Params, *, planes: Params, live: Params) -> Params:
  """Live weights with their low planes from `drawn`, dead weights as they are there. Arguments as `scrub`."""

  def mixed(old: jax.Array, new: jax.Array, count: jax.Array, alive: jax.Array) -> jax.Array:
    mask = (jnp.uint32(1) << jnp.asarray(count).astype(jnp.uint32)) - np.uint32(1)
    return jnp.where(alive, _from_bits((_bits(old) & ~mask) | (_bits(new) & mask)), new)

  return jax.tree.map(mixed, params, drawn, planes, live)


def choose_planes(
  loss_of: Callable[[tuple[int, ...]], float], live_counts: Sequence[int], max_loss: float
) -> tuple[int, ...]:
  """How many planes of each layer, of `LEVELS`, may go for at most a stated loss of utility.

  If all can go everywhere, they do. Otherwise each layer's sensitivity is measured, the loss when it alone is scrubbed,
  and layers are spared one level at a time, always the one that saves most utility for each bit left in, until the loss
  measured of all together is within the limit. It is above only where no planes go at all. `loss_of` measures the loss
  of utility for a number of planes of each layer, of all that scrubbing does; `live_counts` are live weights by layer.
  """
  layers = len(live_counts)
  unavoidable = loss_of((0,) * layers)

  @functools.cache
  def alone(layer: int, level: int) -> float:
    planes = tuple(LEVELS[level] if other == layer else 0 for other in range(layers))
    return max(loss_of(planes) - unavoidable, 0.0)

  def saving(layer: int) -> float:
    now, then = levels[layer], levels[layer] + 1
    left_in = (LEVELS[now] - LEVELS[then]) * max(live_counts[layer], 1)
    return (alone(layer, now) - alone(layer, then)) / left_in

  levels = [0] * layers
  joint = loss_of((ALL_PLANES,) * layers)
  while joint > max_loss:
    open_layers = [layer for layer in range(layers) if levels[layer] < len(LEVELS) - 1]
    if not open_layers:
      break
    levels[max(open_layers, key=saving)] += 1
    # Losses add up, roughly: a joint measurement is only worth its time when their sum says it may do.
    if unavoidable + sum(map(alone, range(layers), levels)) <= max_loss:
      joint = loss_of(tuple(LEVELS[level] for level in levels))
  return tuple(LEVELS[level] for level in levels)


def _bits(weights: jax.Array) -> jax.Array:
  return jax.lax.bitcast_convert_type(weights, jnp.uint32)


def _from_bits(bits: jax.Array) -> jax.Array:
  return jax.lax.bitcast_convert_type(bits, jnp.float32)
