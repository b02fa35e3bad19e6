"""In which order training reads a split, and what it does to the images."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp

from lwlrd_jax.data.augment import draw_moves, move
from lwlrd_jax.data.device import DeviceSplit, scale

# No epoch has these numbers.
_MOVES, _KEYS = 2**31 - 1, 2**31 - 2


class Batches(NamedTuple):
  """What training steps read. A step's own has no leading axis."""

  positions: jax.Array  # i32[steps, B], examples of a split
  moves: jax.Array | None  # i16[steps, B, 3], what is done to each image, see `data.augment`; None if nothing is
  keys: jax.Array | None = None  # [steps], of what a network draws at each step; None for one that draws nothing


def task_batches(
  key: jax.Array, data: DeviceSplit, batch_size: int, steps: int, augment: str, *, is_random: bool = False
) -> Batches:
  """What each step of training on the utility task reads; see `batch_plan` and `data.augment.draw_moves`.

  A longer plan begins like a shorter one. Keys are drawn if the network that is trained draws random numbers.
  """
  positions = batch_plan(key, len(data), batch_size, steps)
  moves = draw_moves(jax.random.fold_in(key, _MOVES), augment, positions.shape, data.images.shape[1])
  return Batches(positions, moves, step_keys(key, steps) if is_random else None)


def step_keys(key: jax.Array, steps: int) -> jax.Array:
  """Random keys [steps] of what a network draws at each training step, from the key of the batches.

  More steps begin like fewer.
  """
  return jax.vmap(functools.partial(jax.random.fold_in, jax.random.fold_in(key, _KEYS)))(jnp.arange(steps))


def read(data: DeviceSplit, batch: Batches) -> tuple[jax.Array, jax.Array]:
  """One step's images, f32[B, H, W, C] in [0, 1], and labels."""
  images = scale(data.images[batch.positions])
  return (images if batch.moves is None else move(images, batch.moves)), data.labels[batch.positions]


def batch_plan(key: jax.Array, size: int, batch_size: int, steps: int) -> jax.Array:
  """Which examples each training step reads: epochs of a fresh permutation, whose incomplete last batch is left out.

  A set smaller than a batch gives batches of its own size. Epoch e is drawn from `fold_in(key, e)`, so a longer plan
  begins like a shorter one. i32[steps, min(batch_size, size)], each in [0, size).

  >>> plan = batch_plan(jax.random.key(0), size=7, batch_size=3, steps=4)
  >>> plan.shape, len(set(plan[:2].ravel().tolist()))
  ((4, 3), 6)
  """
  batch_size = min(batch_size, size)
  per_epoch = size // batch_size
  epochs = -(-steps // per_epoch)
  keys = jax.vmap(lambda epoch: jax.random.fold_in(key, epoch))(jnp.arange(epochs))
  orders = jax.vmap(lambda k: jax.random.permutation(k, size))(keys)
  plan = orders[:, : per_epoch * batch_size].reshape(epochs * per_epoch, batch_size)
  return plan[:steps].astype(jnp.int32)
