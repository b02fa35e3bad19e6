"""What a thief does to extracted images before looking at them.

Fine-tuning shifts and scales what a network paints long before it destroys it. Each function here undoes some of that
with nothing but public statistics of such images; leakage is what the best of them recovers. All map raw extractions
f32[S, H, W, C] and the statistics to images f32[S, H, W, C] in [0, 1].
"""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp

from lwlrd_jax.data.device import DeviceSplit, scale

_EPS = 1e-6


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class PublicStatistics:
  """What anybody can know of such images. Taken from the training split itself, the best case for the thief.

  Attributes:
    mean: f32[H, W, C], each pixel's mean over images: the mean training image.
    std: f32[H, W, C], each pixel's standard deviation over images.
    image_mean: f32[C], mean over images of an image's mean in each channel.
    image_std: f32[C], mean over images of an image's standard deviation in each channel.
  """

  mean: jax.Array
  std: jax.Array
  image_mean: jax.Array
  image_std: jax.Array


@jax.jit
def public_statistics(data: DeviceSplit) -> PublicStatistics:
  """Statistics of a split, one image at a time."""

  def add(total: jax.Array, image: jax.Array) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    image = scale(image)
    return total + jnp.stack([image, image * image]), (image.mean(axis=(0, 1)), image.std(axis=(0, 1)))

  zero = jnp.zeros((2, *data.images.shape[1:]), jnp.float32)
  (first, second), (means, stds) = jax.lax.scan(add, zero, data.images)
  mean = first / len(data)
  std = jnp.sqrt(jnp.maximum(second / len(data) - mean * mean, 0))
  return PublicStatistics(mean, std, means.mean(axis=0), stds.mean(axis=0))


def raw(images: jax.Array, public: PublicStatistics) -> jax.Array:
  """Nothing but clipping: what the literature reports."""
  del public
  return jnp.clip(images, 0, 1)


def per_image(images: jax.Array, public: PublicStatistics) -> jax.Array:
  """Gives each image's channels the usual mean and contrast."""
  mean = images.mean(axis=(1, 2), keepdims=True)
  std = images.std(axis=(1, 2), keepdims=True)
  return jnp.clip((images - mean) / (std + _EPS) * public.image_std + public.image_mean, 0, 1)


def per_pixel(images: jax.Array, public: PublicStatistics) -> jax.Array:
  """Gives each pixel, over all extracted images, its usual mean and spread."""
  mean = images.mean(axis=0)
  std = images.std(axis=0)
  return jnp.clip((images - mean) / (std + _EPS) * public.std + public.mean, 0, 1)


def per_pixel_then_image(images: jax.Array, public: PublicStatistics) -> jax.Array:
  """Standardises pixels over the set, then restores each image's usual contrast of deviations from the mean image."""
  mean = images.mean(axis=0)
  std = images.std(axis=0)
  deviation = (images - mean) / (std + _EPS) * public.std
  size = jnp.sqrt(jnp.square(deviation).mean(axis=(1, 2, 3), keepdims=True))
  usual = jnp.sqrt(jnp.square(public.std).mean())
  return jnp.clip(deviation / (size + _EPS) * usual + public.mean, 0, 1)


POSTPROCESSINGS: dict[str, Callable[[jax.Array, PublicStatistics], jax.Array]] = {
  "raw": raw,
  "per-image": per_image,
  "per-pixel": per_pixel,
  "per-pixel-then-image": per_pixel_then_image,
}
