"""The comparison of image codecs that a study may ask for: bytes against decibels, on images no codec has seen."""

import dataclasses
from typing import Any

from lwlrd_jax.attacks.dec.codec.rate_distortion import rate_distortion
from lwlrd_jax.config import Dec
from lwlrd_jax.data import Dataset
from lwlrd_jax.setup.codec import codec_images, learned, training_of

# From blurred to hard to tell from the original.
_LAMBDAS = (0.003, 0.01, 0.03, 0.1)
_IMAGES = 256


def compare_codecs(dec: Dec, data: Dataset) -> list[dict[str, Any]]:
  """The learned codec at several lambdas, PNG, JPEG and WebP, on images of the test split: `Row`s as dicts."""
  images, training = codec_images(dec, data), training_of(dec, data.image_shape)
  trained = {
    lmbda: learned(images, dataclasses.replace(training, lmbda=lmbda), f"the image codec (lambda {lmbda:g})")
    for lmbda in _LAMBDAS
  }
  return [row._asdict() for row in rate_distortion(data.test.images[:_IMAGES], trained)]
