import contextlib
import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from lwlrd_jax.attacks.dec.codec import CodeError
from lwlrd_jax.attacks.dec.codec.standard import Format, StandardCodec
from lwlrd_jax.setup.rate_distortion import psnr

_FORMATS: tuple[Format, ...] = ("png", "jpeg", "webp")


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", _FORMATS)
def test_roundtrip(smooth_split, name: Format, channels: int):
  images = np.asarray(smooth_split(3, (28, 24, channels)).images)
  codec = StandardCodec(name, (28, 24, channels), 90)
  decoded = np.stack([codec.decode(code) for code in codec.encode(images)])
  assert decoded.shape == images.shape
  assert decoded.dtype == np.uint8
  if name == "png":
    assert (decoded == images).all()
  else:
    assert psnr(images, decoded) > 30


def test_quality_buys_bytes(smooth_split):
  images = np.asarray(smooth_split(3, (28, 28, 3)).images)
  for name in ("jpeg", "webp"):
    sizes = [sum(map(len, StandardCodec(name, (28, 28, 3), quality).encode(images))) for quality in (10, 90)]
    assert sizes[0] < sizes[1]


@pytest.mark.parametrize("name", _FORMATS)
def test_other_shapes_are_refused(name: Format):
  codec = StandardCodec(name, (16, 16, 3))
  for shape in ((16, 17), (4000, 4000)):
    file = io.BytesIO()
    Image.new("RGB", shape).save(file, name)
    with pytest.raises(CodeError):
      codec.decode(file.getvalue())


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(_FORMATS), st.integers(0, 2000), st.integers(1, 255))
def test_damage(name: Format, place: int, flip: int):
  codec = StandardCodec(name, (16, 16, 3))
  code = bytearray(codec.encode(np.arange(768, dtype=np.uint8).reshape(1, 16, 16, 3))[0])
  code[place % len(code)] ^= flip
  for damaged in (bytes(code), bytes(code[: place % len(code)])):
    with contextlib.suppress(CodeError):
      assert codec.decode(damaged).shape == (16, 16, 3)


def test_another_format_is_refused():
  with pytest.raises(CodeError):
    StandardCodec("png", (16, 16, 1)).decode(
      StandardCodec("jpeg", (16, 16, 1)).encode(np.zeros((1, 16, 16, 1), np.uint8))[0]
    )


def test_settings():
  with pytest.raises(ValueError, match="channels"):
    StandardCodec("png", (16, 16, 2))
  with pytest.raises(ValueError, match="quality"):
    StandardCodec("jpeg", (16, 16, 1), 101)
