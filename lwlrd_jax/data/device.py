"""A split as compiled code reads it."""

import dataclasses
from collections.abc import Callable
from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from lwlrd_jax.data.copies import Copies
from lwlrd_jax.data.dataset import Split
from lwlrd_jax.data.host_images import HostImages

Carry = TypeVar("Carry")
Output = TypeVar("Output")

# Images on the host that a pass over all of them reads at a time.
_CHUNK = 256


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class DeviceSplit:
  """Images and labels of a split."""

  # u8[N, H, W, C], on the host if the device does not hold them; scaled to [0, 1] only when read, a quarter of the
  # memory.
  images: jax.Array | HostImages
  labels: jax.Array  # i32[N], or u8[N, K] for multi-label data, as in `Split`
  copies: Copies | None = None  # None if not known: each image counts as one of its own

  def __len__(self) -> int:
    return len(self.images)

  def subset(self, positions: jax.Array) -> "DeviceSplit":
    """Examples at positions i32[M], to train on. Images stay where they are."""
    if isinstance(self.images, HostImages):
      return DeviceSplit(self.images.subset(np.asarray(positions)), self.labels[positions])
    return DeviceSplit(self.images[positions], self.labels[positions])


def to_device(split: Split, *, stream: bool = False, copies: Copies | None = None) -> DeviceSplit:
  """Copies a split to the default device; if it is to stream, all but its images. `copies` is what it holds of them."""
  images = HostImages(split.images) if stream else jnp.asarray(split.images)
  return DeviceSplit(images, jnp.asarray(split.labels), jax.tree.map(jnp.asarray, copies))


def scale(images: jax.Array) -> jax.Array:
  """u8 in [0, 255] -> f32 in [0, 1]."""
  return images.astype(jnp.float32) / 255


def scan_images(
  step: Callable[[Carry, jax.Array], tuple[Carry, Output]], start: Carry, images: jax.Array | HostImages
) -> tuple[Carry, Output]:
  """`jax.lax.scan` over images u8[N, H, W, C], wherever they are, in their order."""
  if not isinstance(images, HostImages):
    return jax.lax.scan(step, start, images)

  def over(carry: Carry, positions: jax.Array) -> tuple[Carry, Output]:
    return jax.lax.scan(step, carry, images[positions])

  whole = len(images) // _CHUNK * _CHUNK
  positions = jnp.arange(len(images))
  carry, outputs = jax.lax.scan(over, start, positions[:whole].reshape(-1, _CHUNK))
  outputs = jax.tree.map(lambda leaf: leaf.reshape(whole, *leaf.shape[2:]), outputs)
  if whole == len(images):
    return carry, outputs
  carry, rest = over(carry, positions[whole:])
  return carry, jax.tree.map(lambda *leaves: jnp.concatenate(leaves), outputs, rest)


@jax.jit
def mean_image(images: jax.Array | HostImages) -> jax.Array:
  """u8[N, H, W, C] -> f32[H, W, C] in [0, 1]: their mean. Whole numbers first: their sum is exact."""
  total, _ = scan_images(
    lambda total, image: (total + image.astype(jnp.uint32), None), jnp.zeros(images.shape[1:], jnp.uint32), images
  )
  return scale(total) / len(images)
