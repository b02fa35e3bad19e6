from collections.abc import Callable
from typing import NamedTuple

import jax
import numpy as np
import pytest

from lwlrd_jax.attacks.dec.codec.training import CodecTraining, train_codec
from lwlrd_jax.attacks.dec.codec.transform import Codec, build_codec
from lwlrd_jax.models.network import Params


class Trained(NamedTuple):
  codec: Codec
  first: Params
  params: Params
  images: np.ndarray  # u8[N, H, W, C]
  reported: list[int]  # what `on_steps` was told

  def __repr__(self) -> str:
    return "Trained(...)"  # hypothesis prints arguments, and all weights are too many


@pytest.fixture(scope="session")
def trained(smooth_split: Callable) -> Trained:
  """A codec after a few steps on small smooth colour images."""
  images = smooth_split(48, (12, 12, 3)).images
  codec, first = build_codec((12, 12, 3), jax.random.key(0))
  settings = CodecTraining(steps=48, batch_size=16, learning_rate=5e-3)
  reported: list[int] = []
  params = train_codec(codec, first, images, jax.random.key(1), settings, reported.append)
  return Trained(codec, first, params, np.asarray(images), reported)
