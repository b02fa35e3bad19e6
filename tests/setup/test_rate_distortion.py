import math
import os
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lwlrd_jax.attacks.dec.codec.fixed import FixedLengthCode
from lwlrd_jax.attacks.dec.codec.training import CodecTraining, train_codec
from lwlrd_jax.attacks.dec.codec.transform import build_codec
from lwlrd_jax.data.device import scale
from lwlrd_jax.setup.rate_distortion import psnr, rate_distortion


def test_rows(smooth_split):
  images = smooth_split(8, (12, 12, 3)).images
  codec, weights = build_codec((12, 12, 3), jax.random.key(0))
  fixed = FixedLengthCode.fit(codec, weights, scale(images))
  rows = rate_distortion(np.asarray(images[:4]), {0.03: (codec, weights, fixed)}, qualities=(20, 80))
  names = [row.codec for row in rows]
  assert names == ["learned", "learned, fixed length", "jpeg", "jpeg", "webp", "webp", "png"]
  assert rows[-1].psnr == pytest.approx(60)
  assert all(row.bytes_per_image > 0 and math.isfinite(row.psnr) for row in rows)


def test_psnr():
  black = np.zeros((2, 4, 4, 1), np.uint8)
  off = black.copy()
  off[1] = 255
  assert psnr(black, off) == pytest.approx(30)  # 60 dB at most, and 0
  off[1] = 51
  assert psnr(black, off) == pytest.approx((60 - 20 * math.log10(0.2)) / 2)


def psnr_at(rows, codec, bytes_per_image):
  """A codec's PSNR at a given size, linear between its settings; nan outside of them."""
  curve = sorted((row.bytes_per_image, row.psnr) for row in rows if row.codec == codec)
  sizes, decibels = zip(*curve, strict=True)
  return float(np.interp(bytes_per_image, sizes, decibels, left=np.nan, right=np.nan))


@pytest.mark.slow
@pytest.mark.realdata
def test_beats_webp_and_jpeg_on_real_skin(realdata: Path):
  with np.load(os.fspath(realdata / "dermamnist_rebuilt_28.npz")) as data:
    train, test = data["train_images"], data["test_images"][:100]
  codec, params = build_codec((28, 28, 3), jax.random.key(0))
  params = train_codec(codec, params, jnp.asarray(train), jax.random.key(1), CodecTraining(steps=600))
  rows = rate_distortion(test, {0.015: (codec, params, None)})
  learned = rows[0]
  assert learned.psnr > psnr_at(rows, "webp", learned.bytes_per_image) + 1
  # JPEG's tables alone take more bytes than the whole learned code; at three times its size JPEG is still not as sharp.
  jpeg = [row for row in rows if row.codec == "jpeg" and row.bytes_per_image <= 3 * learned.bytes_per_image]
  assert all(row.bytes_per_image > learned.bytes_per_image and row.psnr < learned.psnr for row in jpeg)
