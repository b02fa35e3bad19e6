import math

import numpy as np
import pytest
from scipy import integrate, stats

from lwlrd_jax.defenses.start import checkpoint_bytes, gaussian_bits, limited, shrink


def information(density, share):
  """Bits of the input, of the density of a signal of the power `share`^2 plus standard normal noise: h(Y) - h(Z)."""

  def entropy(y):
    value = density(y)
    return -value * math.log2(value) if value > 0 else 0.0

  total, _ = integrate.quad(entropy, -12, 12, points=[-share, 0, share], limit=200)
  return total - 0.5 * math.log2(2 * math.pi * math.e)


@pytest.mark.parametrize("share", [0.05, 0.1, 0.3, 1.0])
def test_the_formula_is_what_a_normal_signal_carries_and_no_other_carries_more(share):
  bound = gaussian_bits(1, share)
  normal = information(stats.norm(scale=math.sqrt(1 + share**2)).pdf, share)
  assert normal == pytest.approx(bound, rel=1e-5)
  two = information(lambda y: (stats.norm.pdf(y - share) + stats.norm.pdf(y + share)) / 2, share)
  width = share * math.sqrt(3)
  even = information(lambda y: (stats.norm.cdf(y + width) - stats.norm.cdf(y - width)) / (2 * width), share)
  assert 0 < two < bound * (1 + 1e-5)
  assert 0 < even < bound * (1 + 1e-5)


def draw(rng):
  kernel = rng.normal(0, 0.2, (64, 32)).astype(np.float32)
  return {"a": {"kernel": kernel, "bias": np.zeros(32, np.float32)}, "batch-statistics": {"a": {"mean": np.zeros(32)}}}


@pytest.mark.parametrize("value", ["usual", "huge", "tiny", "one large", "infinite", "zero"])
def test_no_weights_get_past_the_power_limit(value):
  rng = np.random.default_rng(0)
  weights = rng.normal(0, 1, (64, 32)).astype(np.float32)
  if value == "huge":
    weights *= 1e37
  elif value == "tiny":
    weights *= 1e-40
  elif value == "one large":
    weights[0, 0] = 3e38
  elif value == "infinite":
    weights[:2] = np.array([[np.inf], [np.nan]])
  elif value == "zero":
    weights[:] = 0
  signal = limited(weights.astype(np.float64), 0.02)
  assert np.isfinite(signal).all()
  assert float(np.mean(np.square(signal))) <= 0.02**2 * (1 + 1e-12)
  assert (float(np.mean(np.square(signal))) > 0) == (value != "zero")


def test_shrunk_arrays_are_a_share_under_noise_as_large_as_a_draw():
  rng = np.random.default_rng(1)
  drawn, exported = draw(rng), draw(rng)
  exported["a"]["bias"] += 5
  exported["batch-statistics"]["a"]["mean"] = np.full(32, 7.0)
  exported["extra"] = {"codes": np.ones(1000, np.float32)}
  found, bits = shrink(exported, drawn, {"a": 0.3}, np.random.default_rng(2))
  assert bits == gaussian_bits(64 * 32, 0.3)
  assert set(found) == {"a", "batch-statistics"}
  assert (found["a"]["bias"] == 0).all()
  assert (found["batch-statistics"]["a"]["mean"] == 0).all()
  kernel = found["a"]["kernel"]
  assert kernel.dtype == np.float32
  assert kernel.std() == pytest.approx(0.2 * math.sqrt(1 + 0.3**2), rel=0.05)
  signal = limited(exported["a"]["kernel"].astype(np.float64), 0.3 * np.sqrt(np.mean(drawn["a"]["kernel"] ** 2.0)))
  noise = kernel - signal
  assert abs(np.corrcoef(noise.ravel(), signal.ravel())[0, 1]) < 0.08
  # By layer: what has no share is drawn.
  assert shrink(exported, drawn, {}, np.random.default_rng(2))[1] == 0


def test_noise_is_finer_than_the_weights_it_hides():
  """With noise of 32 bits a reader tells which of two weights is under it, however near: the sum has few values."""
  noise = np.random.default_rng(0).standard_normal(10_000)
  assert np.mean(noise.astype(np.float32) != noise) > 0.999
  few, _ = shrink(
    {"a": {"kernel": np.full(4096, 1.0)}},
    {"a": {"kernel": np.random.default_rng(1).normal(0, 0.2, 4096).astype(np.float32)}},
    {"a": 0.5},
    np.random.default_rng(3),
  )
  last_bits = few["a"]["kernel"].view(np.uint32) & 1
  assert abs(last_bits.mean() - 0.5) < 0.05


def test_size_of_a_checkpoint_in_eight_bits():
  params = {"a": {"kernel": np.zeros((1000, 10), np.float32), "bias": np.zeros(10, np.float32)}}
  assert checkpoint_bytes(params) == 4 * 10_010
  assert checkpoint_bytes(params, quantized=True) == pytest.approx(10_000 * math.log2(255) / 8 + 4 * 10 + 40)
