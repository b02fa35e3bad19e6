"""What an attacker does to extracted images before looking at them.

Fine-tuning shifts and scales reconstructions long before it destroys them. Each function here undoes some of that with
nothing but public statistics of such images; leakage is what the best of them recovers. All map raw extractions
f32[S, H, W, C] and the statistics to images f32[S, H, W, C] in [0, 1].
"""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp

from lwlrd_jax.attacks.transpose.unmix import faint, matched_filter
from lwlrd_jax.data.device import DeviceSplit, scale, scan_images

_EPS = 1e-6
# What is standardised: each image's channels, or each pixel over the set.
_OF_IMAGE, _OF_PIXEL = (1, 2), (0,)
# Of `unmixed`: of 1e-4 to 1e-1 what recognised most, on models it was not chosen on too.
_PENALTY = 1e-3


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class PublicStatistics:
  """What is publicly known of such images. Taken from the training split itself, the best case for the attacker."""

  mean: jax.Array  # f32[H, W, C], each pixel's mean over images: the mean training image
  std: jax.Array  # f32[H, W, C], each pixel's standard deviation over images
  image_mean: jax.Array  # f32[C], mean over images of an image's mean in each channel
  image_std: jax.Array  # f32[C], mean over images of an image's standard deviation in each channel


@jax.jit
def public_statistics(data: DeviceSplit) -> PublicStatistics:
  """Statistics of a split, one image at a time.

  Two passes, and whole numbers where they are exact: a running sum of squares in f32 would lose small spreads.
  """
  count = len(data)

  def add(total: jax.Array, image: jax.Array) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    scaled = scale(image)
    return total + image.astype(jnp.uint32), (scaled.mean(axis=(0, 1)), scaled.std(axis=(0, 1)))

  def add_square(total: jax.Array, image: jax.Array) -> tuple[jax.Array, None]:
    return total + jnp.square(scale(image) - mean), None

  shape = data.images.shape[1:]
  total, (means, stds) = scan_images(add, jnp.zeros(shape, jnp.uint32), data.images)
  mean = total.astype(jnp.float32) / (255 * count)
  squares, _ = scan_images(add_square, jnp.zeros(shape, jnp.float32), data.images)
  return PublicStatistics(mean, jnp.sqrt(squares / count), means.mean(axis=0), stds.mean(axis=0))


def raw(images: jax.Array, _: PublicStatistics) -> jax.Array:
  """Nothing but clipping: what the literature reports."""
  return jnp.clip(images, 0, 1)


def per_image(images: jax.Array, public: PublicStatistics) -> jax.Array:
  """Gives each image's channels the usual mean and contrast."""
  return jnp.clip(_standardised(images, _OF_IMAGE) * public.image_std + public.image_mean, 0, 1)


def per_pixel(images: jax.Array, public: PublicStatistics) -> jax.Array:
  """Gives each pixel, over all extracted images, its usual mean and spread."""
  return jnp.clip(_standardised(images, _OF_PIXEL) * public.std + public.mean, 0, 1)


def per_image_then_pixel(images: jax.Array, public: PublicStatistics) -> jax.Array:
  """Evens out each image's gain before it does what `per_pixel` does."""
  return per_pixel(_standardised(images, _OF_IMAGE), public)


def per_pixel_then_image(images: jax.Array, public: PublicStatistics) -> jax.Array:
  """What `per_pixel` does, then gives each image the usual size of deviations from the mean image."""
  deviation = _standardised(images, _OF_PIXEL) * public.std
  size = jnp.sqrt(jnp.square(deviation).mean(axis=(1, 2, 3), keepdims=True))
  usual = jnp.sqrt(jnp.square(public.std).mean())
  return jnp.clip(deviation / (size + _EPS) * usual + public.mean, 0, 1)


def whitened(images: jax.Array, public: PublicStatistics) -> jax.Array:
  """Makes all directions in which the extracted images differ equally strong, then does what `per_pixel` does.

  Fine-tuning adds to every image much of the same few patterns. They are what one sees, and what pixelwise statistics
  measure; underneath, the images may still be there. At small decays this recovers most images where every other
  post-processing here is at chance.
  """
  # Not standardised first: that weights pixels by noise, and recovers a tenth fewer images.
  flat = _scaled(images, None).reshape(len(images), -1)
  left, strengths, right = jnp.linalg.svd(flat - flat.mean(axis=0), full_matrices=False)
  # Directions below rounding error are noise of the arithmetic, and the mean's removal leaves one that is exactly that.
  kept = (strengths > 1e-5 * strengths[0]).astype(flat.dtype)
  return per_pixel(((left * kept) @ right).reshape(images.shape), public)


def unmixed(images: jax.Array, public: PublicStatistics) -> jax.Array:
  """Divides extracted images by their own covariance, where `whitened` divides by its root; see `matched_filter`."""
  return faint(matched_filter(images, _PENALTY), jnp.sqrt(jnp.square(public.std).mean()), public.mean)


POSTPROCESSINGS: dict[str, Callable[[jax.Array, PublicStatistics], jax.Array]] = {
  "raw": raw,
  "per-image": per_image,
  "per-pixel": per_pixel,
  "per-image-then-pixel": per_image_then_pixel,
  "per-pixel-then-image": per_pixel_then_image,
  "whitened": whitened,
  "unmixed": unmixed,
}


def _standardised(images: jax.Array, axes: tuple[int, ...]) -> jax.Array:
  """Mean 0 and spread 1 along some axes; 0 where nothing differs."""
  # Each group by its own largest value: one wild pixel must not push the others below rounding.
  images = _scaled(images, axes)
  centred = images - images.mean(axis=axes, keepdims=True)
  return centred / (centred.std(axis=axes, keepdims=True) + _EPS)


def _scaled(images: jax.Array, axes: tuple[int, ...] | None) -> jax.Array:
  """Within [-1, 1] along some axes, or all: squares of what a wild model puts out overflow."""
  return images / jnp.maximum(jnp.abs(images).max(axis=axes, keepdims=True), jnp.finfo(images.dtype).tiny)
