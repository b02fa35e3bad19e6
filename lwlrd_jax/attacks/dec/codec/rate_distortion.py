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
  """One codec at one setting, over the same held-out images.

  Attributes:
    codec: "learned", "learned, fixed length", "png", "jpeg" or "webp".
    setting: Lambda of a learned codec, quality of a standard one.
    bytes_per_image: Mean, of everything that a file or a code holds; the learned codec's weights do not count.
    psnr: Mean over images, in dB.
  """

  codec: str
  setting: float
  bytes_per_image: float
  psnr: float


def psnr(images: np.ndarray, painted: np.ndarray) -> float:
  """Mean over images of -10 log10 of the mean squared error on the scale of 0 to 1.

  Args:
    images: u8[N, H, W, C].
    painted: u8[N, H, W, C].

  Returns:
    dB, at most 60.
  """
  error = np.square((images.astype(np.float64) - painted) / 255).mean(axis=(1, 2, 3))
  return float((-10 * np.log10(np.maximum(error, _LEAST_ERROR))).mean())


def rate_distortion(
  images: np.ndarray,
  learned: Mapping[float, tuple[Codec, Params, FixedLengthCode | None]],
  qualities: Iterable[int] = QUALITIES,
) -> list[Row]:
  """Measures codecs on held-out images.

  Args:
    images: u8[N, H, W, C].
    learned: Lambda -> a codec trained with it, its weights, and its fixed-length code if that is wanted as well.
    qualities: Of JPEG and WebP, each.

  Returns:
    Rows in the order learned, standard; PNG last.
  """
  rows = []
  for lmbda, (codec, params, fixed) in learned.items():
    coder = EntropyCoder(codec, params)
    rows.append(_row("learned", lmbda, images, coder))
    if fixed is not None:
      painted = np.asarray(_through(fixed, codec, params, jnp.asarray(images)))
      rows.append(Row("learned, fixed length", lmbda, fixed.bits_per_image / 8, psnr(images, painted)))
  shape = (images.shape[1], images.shape[2], images.shape[3])
  settings: list[tuple[Format, int]] = [("jpeg", quality) for quality in qualities]
  settings += [("webp", quality) for quality in qualities]
  for name, quality in [*settings, ("png", 100)]:
    rows.append(_row(name, quality, images, StandardCodec(name, shape, quality)))
  return rows


@functools.partial(jax.jit, static_argnums=(0, 1))
def _through(fixed: FixedLengthCode, codec: Codec, params: Params, images: jax.Array) -> jax.Array:
  """Encodes and decodes u8[N, H, W, C], the same out."""
  bits = fixed.encode(codec, params, scale(images))
  return jnp.round(255 * fixed.decode(codec, params, bits)).astype(jnp.uint8)


def _row(name: str, setting: float, images: np.ndarray, coder: EntropyCoder | StandardCodec) -> Row:
  codes = coder.encode(images)
  painted = np.stack([coder.decode(code) for code in codes])
  return Row(name, setting, float(np.mean([len(code) for code in codes])), psnr(images, painted))
