"""What each codec needs in bytes, and what that buys in decibels."""

import functools
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lwlrd_jax.attacks.dec.codec.entropy import EntropyCoder
from lwlrd_jax.attacks.dec.codec.fixed import FixedLengthCode
from lwlrd_jax.attacks.dec.codec.standard import Format, StandardCodec
from lwlrd_jax.attacks.dec.codec.transform import Codec
from lwlrd_jax.data.device import scale
from lwlrd_jax.models.network import Params

# Caps the PSNR of a perfect image at 60 dB, so that one does not decide about a mean.
_LEAST_ERROR = 1e-6
QUALITIES = (1, 5, 10, 20, 30, 40, 50, 60, 70, 80, 90, 95)


class Row(NamedTuple):
  """One codec at one setting (a lambda or a quality): means over the same held-out images.

  `codec` is "learned", "learned, fixed length", "png", "jpeg" or "webp". Its weights do not count as bytes.
  """

  codec: str
  setting: float
  bytes_per_image: float
  psnr: float


def psnr(images: np.ndarray, decoded: np.ndarray) -> float:
  """Mean over images u8[N, H, W, C] of -10 log10 of the mean squared error on the scale of 0 to 1: dB, at most 60."""
  error = np.square((images.astype(np.float64) - decoded) / 255).mean(axis=(1, 2, 3))
  return float((-10 * np.log10(np.maximum(error, _LEAST_ERROR))).mean())


def rate_distortion(
  images: np.ndarray,
  learned: Mapping[float, tuple[Codec, Params, FixedLengthCode | None]],
  qualities: Iterable[int] = QUALITIES,
) -> list[Row]:
  """Measures codecs on held-out images u8[N, H, W, C]: the learned ones, JPEG and WebP at these qualities, and PNG.

  `learned` has a codec by the lambda that it was trained with, its weights, and its fixed-length code if that is wanted
  as well.
  """
  rows = []
  for lmbda, (codec, params, fixed) in learned.items():
    rows.append(_row("learned", lmbda, images, EntropyCoder(codec, params)))
    if fixed is not None:
      decoded = np.asarray(_through(fixed, codec, params, jnp.asarray(images)))
      rows.append(Row("learned, fixed length", lmbda, fixed.bits_per_image / 8, psnr(images, decoded)))
  shape = (images.shape[1], images.shape[2], images.shape[3])
  formats: tuple[Format, ...] = ("jpeg", "webp")
  standard = [StandardCodec(name, shape, quality) for name in formats for quality in qualities]
  for coder in [*standard, StandardCodec("png", shape, 100)]:
    rows.append(_row(coder.format, coder.quality, images, coder))
  return rows


@functools.partial(jax.jit, static_argnums=(0, 1))
def _through(fixed: FixedLengthCode, codec: Codec, params: Params, images: jax.Array) -> jax.Array:
  """Encodes and decodes u8[N, H, W, C], the same out."""
  bits = fixed.encode(codec, params, scale(images))
  return jnp.round(255 * fixed.decode(codec, params, bits)).astype(jnp.uint8)


def _row(name: str, setting: float, images: np.ndarray, coder: EntropyCoder | StandardCodec) -> Row:
  codes = coder.encode(images)
  decoded = np.stack([coder.decode(code) for code in codes])
  return Row(name, setting, float(np.mean([len(code) for code in codes])), psnr(images, decoded))
