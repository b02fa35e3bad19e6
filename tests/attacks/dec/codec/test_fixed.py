import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lwlrd_jax.attacks.dec.codec.fixed import FixedLengthCode


@pytest.fixture(scope="module")
def images(trained) -> jax.Array:
  return jnp.asarray(trained.images, jnp.float32) / 255


@pytest.fixture(scope="module")
def code(trained, images) -> FixedLengthCode:
  # The last channel is made constant here, so that there is one without bits.
  params = _with_constant_channel(trained.params)
  return FixedLengthCode.fit(trained.codec, params, images, coverage=1)


def _with_constant_channel(params):
  head = params["analysis"]["head"]
  head = {"kernel": head["kernel"].at[:, -1].set(0), "bias": head["bias"].at[-1].set(0.5)}
  return params | {"analysis": params["analysis"] | {"head": head}}


def test_constant_channels_take_no_bits(trained, code, images):
  assert code.channel_bits[-1] == 0
  assert code.offsets[-1] == 4
  latents = code.from_symbols(code.symbols(trained.codec, _with_constant_channel(trained.params), images))
  assert (latents[..., -1] == 4).all()


def test_roundtrip_of_symbols(trained, code, images):
  params = _with_constant_channel(trained.params)
  symbols = code.symbols(trained.codec, params, images)
  bits = code.encode(trained.codec, params, images)
  assert bits.shape == (len(images), code.bits_per_image)
  assert bits.dtype == jnp.uint8
  assert set(np.unique(bits)) <= {0, 1}
  assert symbols.shape[1] == len(code.low) == len(code.high)
  assert (code.symbols_of_bits(bits) == symbols).all()
  # Everything fitted is covered, so the latents come back whole.
  latents = jnp.round(jax.jit(trained.codec.analysis)(params, images))
  assert (code.from_symbols(symbols) == latents).all()
  decoded = jnp.clip(trained.codec.synthesis(params, latents), 0, 1)
  np.testing.assert_allclose(code.decode(trained.codec, {"synthesis": params["synthesis"]}, bits), decoded, atol=1e-6)


def test_layout_is_offset_binary(code):
  bits = jnp.zeros((1, code.bits_per_image), jnp.uint8)
  assert (code.symbols_of_bits(bits)[0] == code.low).all()
  assert (code.symbols_of_bits(bits + 1)[0] == code.high).all()
  first = next(width for width in code.channel_bits if width)
  assert code.symbols_of_bits(bits.at[0, 0].set(1))[0, 0] - code.low[0] == 2 ** (first - 1)


def test_damage_is_local_and_never_nan(trained, code, images):
  params = trained.params
  bits = code.encode(trained.codec, params, images[:1])

  @jax.jit
  def decode_many(keys):
    def decode(key):
      flips = jax.random.bernoulli(key, 0.5, bits.shape).astype(jnp.uint8)
      return code.decode(trained.codec, {"synthesis": params["synthesis"]}, bits ^ flips)[0]

    return jax.vmap(decode)(keys)

  decoded = decode_many(jax.random.split(jax.random.key(0), 16))
  assert decoded.shape == (16, *trained.codec.image_shape)
  assert np.isfinite(decoded).all()
  assert float(decoded.min()) >= 0
  assert float(decoded.max()) <= 1
  # One latent reaches a part of the image only.
  whole, damaged = (code.from_symbols(code.symbols_of_bits(b)) for b in (bits, bits.at[0, 0].set(1 - bits[0, 0])))
  assert int((whole != damaged).sum()) == 1


def test_symbols_off_a_noisy_channel(trained, code):
  symbols = jnp.stack([code.low - 1e9, code.high + jnp.inf, jnp.full_like(code.low, jnp.nan), code.low + 0.25])
  latents = code.from_symbols(symbols)
  assert np.isfinite(latents).all()
  assert np.isfinite(code.decode_latents(trained.codec, trained.params, symbols)).all()
  np.testing.assert_allclose(code.from_symbols(code.low[None] + 0.25)[0], latents[3])


def test_bits_that_are_sure_are_taken_and_bits_that_say_nothing_are_not(trained, code, images):
  bits = code.encode(trained.codec, _with_constant_channel(trained.params), images)
  sure, nothing = (code.expected(bits, jnp.full(bits.shape, rate)) for rate in (0.0, 0.5))
  np.testing.assert_allclose(sure, code.symbols_of_bits(bits), atol=0.05)
  assert (nothing == nothing[0]).all()
  assert ((nothing > code.low) & (nothing < code.high)).all()


def test_posterior_means_against_a_sum_over_all_values(trained, code, images):
  bits = code.encode(trained.codec, trained.params, images[:2])
  rates = jax.random.uniform(jax.random.key(0), bits.shape, minval=0.01, maxval=0.5)
  found = np.asarray(code.expected(bits, rates))
  symbol = bit = 0
  channels = [c for _ in range(code.latent_shape[0] * code.latent_shape[1]) for c in np.flatnonzero(code.channel_bits)]
  for channel in channels[:40]:
    width = code.channel_bits[channel]
    for image in range(2):
      weights, values = [], []
      for candidate in range(2**width):
        value = code.offsets[channel] + candidate
        weight = np.exp(-abs(value - code.means[channel]) / max(code.deviations[channel], 0.1))
        for place in range(width):
          sent = (candidate >> (width - 1 - place)) & 1
          p = float(rates[image, bit + place])
          weight *= 1 - p if sent == int(bits[image, bit + place]) else p
        weights.append(weight)
        values.append(value)
      assert found[image, symbol] == pytest.approx(np.average(values, weights=weights), abs=1e-2)
    symbol, bit = symbol + 1, bit + width


def test_coverage_saves_bits(trained, images):
  wide = FixedLengthCode.fit(trained.codec, trained.params, images, coverage=1)
  narrow = FixedLengthCode.fit(trained.codec, trained.params, images, coverage=0.5)
  assert narrow.bits_per_image < wide.bits_per_image
