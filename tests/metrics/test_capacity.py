import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lwlrd_jax.metrics.capacity import binary_entropy, surviving_bytes

measure = jax.jit(surviving_bytes)


def _weights(seed, scale=0.05):
  rng = np.random.default_rng(seed)
  shapes = {"a": {"kernel": (20, 30), "bias": (30,)}, "b": {"kernel": (7,)}}
  return jax.tree.map(
    lambda shape: (scale * rng.normal(size=shape)).astype(np.float32), shapes, is_leaf=lambda n: isinstance(n, tuple)
  )


def _entropy(p):
  return sum(-q * math.log2(q) for q in (p, 1 - p) if q > 0)


def _naive(before, after):
  groups = [0.0, 0.0, 0.0]
  for a, b in zip(jax.tree.leaves(before), jax.tree.leaves(after), strict=True):
    words = [np.asarray(leaf).ravel().view(np.uint32).tolist() for leaf in (a, b)]
    for plane in range(32):
      flips = sum(((x >> plane) & 1) != ((y >> plane) & 1) for x, y in zip(*words, strict=True))
      groups[(plane >= 23) + (plane >= 31)] += a.size * (1 - _entropy(flips / a.size)) / 8
  return groups


def _count(tree):
  return sum(leaf.size for leaf in jax.tree.leaves(tree))


@pytest.mark.parametrize("step", [1e-9, 1e-5, 1e-2, 1.0])
def test_against_loops_over_bits(step):
  before = _weights(0)
  noise = _weights(1, step)
  after = jax.tree.map(lambda a, b: a + b, before, noise)
  after["b"] = {"kernel": before["b"]["kernel"]}
  np.testing.assert_allclose(jnp.stack(measure(before, after)), _naive(before, after), rtol=1e-4, atol=1e-3)


def test_untouched_weights_keep_four_bytes_each():
  before = _weights(0)
  mantissa, exponent, sign = measure(before, before)
  count = _count(before)
  assert (float(mantissa), float(exponent), float(sign)) == pytest.approx((count * 23 / 8, count, count / 8))


def test_weights_drawn_anew_keep_no_mantissa():
  rng = np.random.default_rng(0)
  before, after = ({"k": rng.uniform(1, 2, 100_000).astype(np.float32)} for _ in range(2))
  mantissa, exponent, sign = measure(before, after)
  assert float(mantissa) < 1e-3 * 100_000 * 23 / 8
  # Exponent and sign are always the same here, and could carry whatever the thief puts there.
  assert float(exponent) == pytest.approx(100_000)
  assert float(sign) == pytest.approx(100_000 / 8)


def test_sign_flips_touch_the_sign_alone():
  before = _weights(0)
  flip = np.random.default_rng(1).random((20, 30)) < 0.5
  after = {**before, "a": {**before["a"], "kernel": np.where(flip, -before["a"]["kernel"], before["a"]["kernel"])}}
  mantissa, exponent, sign = measure(before, after)
  count = _count(before)
  assert float(mantissa) == pytest.approx(count * 23 / 8)
  assert float(exponent) == pytest.approx(count)
  assert float(sign) == pytest.approx((37 + 600 * (1 - _entropy(flip.mean()))) / 8, rel=1e-3)


def test_one_plane():
  """A tenth of the lowest bits of one array flipped."""
  bits = np.arange(1000, dtype=np.uint32) + np.float32(1).view(np.uint32)
  changed = bits ^ (np.arange(1000) % 10 == 0).astype(np.uint32)
  mantissa, _, _ = measure({"k": bits.view(np.float32)}, {"k": changed.view(np.float32)})
  assert float(mantissa) == pytest.approx(1000 * (22 + 1 - _entropy(0.1)) / 8, rel=1e-5)


def test_not_a_number_still_has_bits():
  before = {"k": np.ones(16, np.float32)}
  assert np.isfinite(jnp.stack(measure(before, {"k": np.full(16, np.nan, np.float32)}))).all()


@settings(max_examples=50, deadline=None)
@given(st.floats(0, 1))
def test_binary_entropy(p):
  p = float(np.float32(p))
  found = float(binary_entropy(jnp.float32(p)))
  assert found == pytest.approx(_entropy(p), abs=1e-5)
  assert 0 <= found <= 1 + 1e-6
