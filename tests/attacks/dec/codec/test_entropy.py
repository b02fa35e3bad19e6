import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lwlrd_jax.attacks.dec.codec.entropy import EntropyCoder
from lwlrd_jax.attacks.dec.codec.errors import CodeError
from lwlrd_jax.attacks.dec.codec.likelihood import gaussian_bits

_SLOW = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def coder(trained) -> EntropyCoder:
  return EntropyCoder(trained.codec, trained.params)


@pytest.fixture(scope="module")
def codes(trained, coder) -> list[bytes]:
  return coder.encode(trained.images[:8])


def test_roundtrip(trained, coder, codes):
  images = trained.images[:8]
  for image, code in zip(images, codes, strict=True):
    assert (coder.decode(code) == coder.reconstruct(coder.symbols(image))).all()
  assert coder.encode(images[3:4]) == codes[3:4]


def test_length_is_the_estimated_rate(trained, coder):
  def estimate(images):
    latents = trained.codec.analysis(trained.params, images)
    hyper = jnp.round(trained.codec.hyper_analysis(trained.params, latents))
    mean, deviation = trained.codec.hyper_synthesis(trained.params, hyper)
    bits = gaussian_bits(jnp.round(latents - mean), deviation).sum()
    return bits + trained.codec.prior(trained.params).bits(hyper).sum()

  bits = jax.jit(estimate)(jnp.asarray(trained.images, jnp.float32) / 255)
  actual = sum(len(code) for code in coder.encode(trained.images))
  # Whole bytes cost half of one an image, and the end of the range coder's interval another half.
  assert actual == pytest.approx(float(bits) / 8 + len(trained.images), rel=0.03)


def test_values_beyond_all_limits_are_clipped(trained):
  params = jax.tree.map(lambda x: x, trained.params)
  for part in ("analysis", "hyper_analysis"):
    params[part]["head"] = {"kernel": 1e4 * params[part]["head"]["kernel"], "bias": params[part]["head"]["bias"]}
  coder = EntropyCoder(trained.codec, params)
  code = coder.encode(trained.images[:1])[0]
  assert coder.decode(code).shape == trained.codec.image_shape


@_SLOW
@given(st.binary(max_size=300))
def test_arbitrary_bytes(coder, code: bytes):
  _image_or_error(coder, code)


@_SLOW
@given(st.integers(0, 7), st.integers(0, 400), st.integers(0, 255))
def test_damage(coder, codes, which: int, place: int, flip: int):
  code = bytearray(codes[which])
  code[place % len(code)] ^= flip
  _image_or_error(coder, bytes(code))
  _image_or_error(coder, bytes(code[: place % len(code)]))


def test_extended_codes_are_refused(coder, codes):
  code = codes[0]
  for wrong in (code + b"\0", code + b"\1", code + bytes(10**6), b""):
    with pytest.raises(CodeError):
      coder.decode(wrong)


def _image_or_error(coder: EntropyCoder, code: bytes) -> None:
  try:
    image = coder.decode(code)
  except CodeError:
    return
  assert image.shape == coder.codec.image_shape
  assert image.dtype == np.uint8
