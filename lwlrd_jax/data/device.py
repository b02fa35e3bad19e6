"""A split on the device, and the order in which training reads it."""

import dataclasses

import jax
import jax.numpy as jnp

from lwlrd_jax.data.dataset import Split


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class DeviceSplit:
  """Images and labels of a split as device arrays.

  Attributes:
    images: u8[N, H, W, C]; scaled to [0, 1] only when read, a quarter of the memory.
    labels: i32[N], or u8[N, K] for multi-label data, as in `Split`.
  """

  images: jax.Array
  labels: jax.Array

  def __len__(self) -> int:
    return len(self.images)

  def __getitem__(self, positions: jax.Array) -> "DeviceSplit":
    """Some of its examples, by position: i32[M] -> M of them."""
    return DeviceSplit(self.images[positions], self.labels[positions])


def to_device(split: Split) -> DeviceSplit:
  """Copies a split to the default device."""
  return DeviceSplit(jnp.asarray(split.images), jnp.asarray(split.labels))


def scale(images: jax.Array) -> jax.Array:
  """u8 in [0, 255] -> f32 in [0, 1]."""
  return images.astype(jnp.float32) / 255


@jax.jit
def mean_image(images: jax.Array) -> jax.Array:
  """u8[N, H, W, C] -> f32[H, W, C] in [0, 1]: their mean. Whole numbers first: their sum is exact."""
  total, _ = jax.lax.scan(
    lambda total, image: (total + image.astype(jnp.uint32), None), jnp.zeros(images.shape[1:], jnp.uint32), images
  )
  return scale(total) / len(images)


def batch_plan(key: jax.Array, size: int, batch_size: int, steps: int) -> jax.Array:
  """Which examples each training step reads: epochs of a fresh permutation, whose incomplete last batch is left out.

  A set smaller than a batch gives batches of its own size.

  Args:
    key: Random key; epoch e is drawn from `fold_in(key, e)`, so a longer plan begins like a shorter one.
    size: Examples in the set, at least 1.
    batch_size: Examples a step, at least 1.
    steps: Steps, at least 1.

  Returns:
    i32[steps, min(batch_size, size)], each in [0, size).

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
