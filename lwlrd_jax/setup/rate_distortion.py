"""The comparison of image codecs that a study may ask for: bytes against decibels, on images no codec has seen."""

import dataclasses
from typing import Any

import jax

from lwlrd_jax.attacks.dec.codec.fixed import FixedLengthCode
from lwlrd_jax.attacks.dec.codec.rate_distortion import rate_distortion
from lwlrd_jax.attacks.dec.codec.transform import build_codec
from lwlrd_jax.config import Dec
from lwlrd_jax.data import Dataset
from lwlrd_jax.setup.codec import codec_images, learned, training_of

# From blurred to hard to tell from the original.
_LAMBDAS = (0.003, 0.01, 0.03, 0.1)
_IMAGES = 256


def compare_codecs(dec: Dec, data: Dataset) -> list[dict[str, Any]]:
  """The learned codec at several lambdas, PNG, JPEG and WebP, on images of the test split.

  Args:
    dec: What the learned codec is trained on follows from it.
    data: The data set.

  Returns:
    Dicts of codec, setting, bytes_per_image and psnr: see `attacks.dec.codec.rate_distortion.Row`.
  """
  codec, _ = build_codec(data.image_shape, jax.random.key(0))
  images, training = codec_images(dec, data), training_of(dec, data.image_shape)
  trained = {}
  for lmbda in _LAMBDAS:
    weights, table = learned(images, dataclasses.replace(training, lmbda=lmbda), f"the image codec (lambda {lmbda:g})")
    trained[lmbda] = (codec, weights, FixedLengthCode(codec.latent_shape, **table))
  return [row._asdict() for row in rate_distortion(data.test.images[:_IMAGES], trained)]
