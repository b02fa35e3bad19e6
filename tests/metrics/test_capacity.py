import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lwlrd_jax.metrics.capacity import binary_entropy, mutual_information, survival

LAYERS = ("a", "b")
BIAS = 1 / (2 * math.log(2))
find = jax.jit(survival, static_argnums=3)


def _weights(seed, scale=0.05):
  rng = np.random.default_rng(seed)
  shapes = {"a": {"kernel": (20, 30), "bias": (30,)}, "b": {"kernel": (4, 3, 7)}}
  return jax.tree.map(
    lambda shape: (scale * rng.normal(size=shape)).astype(np.float32), shapes, is_leaf=lambda n: isinstance(n, tuple)
  )


def _live(tree, share=1.0, seed=5):
  rng = np.random.default_rng(seed)
  return jax.tree.map(lambda leaf: rng.random(leaf.shape) < share, tree)


def _entropy(p):
  return sum(-q * math.log2(q) for q in (p, 1 - p) if q > 0)


def _naive(before, after, live):
  """Weight by weight, in loops: bits by plane, and in dead weights."""
  planes, dead_bits = [0.0] * 32, 0.0
  for layer in LAYERS:
    for name in before[layer]:
      columns = before[layer][name].shape[-1] if before[layer][name].ndim > 1 else 1
      old, new = (np.asarray(t[layer][name]).reshape(-1, columns).view(np.uint32) for t in (before, after))
      alive = live[layer][name].reshape(-1, columns)
      informed = 0.0
      for plane in range(32):
        symmetric = [0.0, 0.0]
        for column in range(columns):
          for state in (True, False):
            rows = [row for row in range(len(old)) if alive[row, column] == state]
            pairs = [((old[r, column] >> plane) & 1, (new[r, column] >> plane) & 1) for r in rows]
            if not pairs:
              continue
            flips = sum(x != y for x, y in pairs)
            bits = len(pairs) * (1 - _entropy(flips / len(pairs)))
            symmetric[state] += bits - (BIAS if 0 < flips < len(pairs) else 0)
            if not state:
              kinds = {pair: pairs.count(pair) / len(pairs) for pair in set(pairs)}
              said = 0.0
              for (x, y), p in kinds.items():
                px = sum(q for (a, _), q in kinds.items() if a == x)
                py = sum(q for (_, b), q in kinds.items() if b == y)
                said += p * math.log2(p / (px * py))
              ones = sum(x for x, _ in pairs)
              certain = flips in (0, len(pairs)) or ones in (0, len(pairs))
              informed += len(pairs) * said - (0 if certain else BIAS)
        planes[plane] += max(symmetric[0], 0) + max(symmetric[1], 0)
      dead_bits += max(informed, 0)
  return [sum(planes[:23]) / 8, sum(planes[23:31]) / 8, planes[31] / 8, dead_bits / 8]


def _count(tree):
  return sum(leaf.size for leaf in jax.tree.leaves(tree))


@pytest.mark.parametrize("share", [1.0, 0.6])
@pytest.mark.parametrize("step", [1e-9, 1e-5, 1e-2])
def test_against_loops_over_bits(step, share):
  before = _weights(0)
  after = jax.tree.map(lambda a, b: a + b, before, _weights(1, step))
  live = _live(before, share)
  found = find(before, after, live, LAYERS).bytes
  np.testing.assert_allclose(jnp.stack(found[:4]), _naive(before, after, live), rtol=1e-3, atol=0.02)


def test_untouched_weights_keep_four_bytes_each():
  before = _weights(0)
  found = find(before, before, _live(before), LAYERS)
  count = _count(before)
  assert [float(x) for x in found.bytes[:3]] == pytest.approx([count * 23 / 8, count, count / 8])
  assert float(found.bytes.dead) == 0
  np.testing.assert_allclose(found.planes, 1, rtol=1e-6)


def test_units_that_are_spared_get_their_bits_through_whatever_happens_to_the_others():
  """One rate over the whole array would see a flip rate of a quarter and count less than a fifth."""
  rng = np.random.default_rng(0)
  before, anew = (rng.uniform(1, 2, (4000, 8)).astype(np.float32) for _ in range(2))
  after = np.where(np.arange(8) < 4, before, anew)
  live = {"a": {"k": np.ones(before.shape, bool)}}
  found = find({"a": {"k": before}}, {"a": {"k": after}}, live, ("a",)).bytes
  assert float(found.mantissa) == pytest.approx(before.size * 23 / 8 / 2, rel=1e-2)


def test_dead_weights_drawn_anew_say_nothing_in_any_plane():
  rng = np.random.default_rng(0)
  before, anew = (rng.normal(size=(4000, 16)).astype(np.float32) for _ in range(2))
  dead = {"a": {"k": np.zeros(before.shape, bool)}}
  kept = find({"a": {"k": before}}, {"a": {"k": before}}, dead, ("a",)).bytes
  redrawn = find({"a": {"k": before}}, {"a": {"k": anew}}, dead, ("a",)).bytes
  assert float(kept.dead) > 24 * before.size / 8
  assert float(redrawn.dead) < 1e-3 * float(kept.dead)
  # The symmetric channel takes agreement by chance for capacity; that is why there is the other count.
  assert float(redrawn.exponent) > 0.2 * float(kept.exponent)


def test_sign_flips_touch_the_sign_alone():
  before = _weights(0)
  flip = np.random.default_rng(1).random((20, 30)) < 0.5
  after = {**before, "a": {**before["a"], "kernel": np.where(flip, -before["a"]["kernel"], before["a"]["kernel"])}}
  found = find(before, after, _live(before), LAYERS).bytes
  count = _count(before)
  assert float(found.mantissa) == pytest.approx(count * 23 / 8)
  assert float(found.exponent) == pytest.approx(count)
  assert float(found.sign) == pytest.approx((count - 600) / 8, abs=5)


def test_entries_of_no_layer_count_as_long_as_they_are_there():
  before = {**_weights(0), "more": {"buffer": np.arange(100, dtype=np.uint8)}}
  live = _live(_weights(0))
  assert float(find(before, before, live, LAYERS).bytes.extra) == 100
  assert float(find(before, _weights(0), live, LAYERS).bytes.extra) == 0


def test_not_a_number_still_has_bits():
  before = {"a": {"k": np.ones(16, np.float32)}}
  found = find(before, {"a": {"k": np.full(16, np.nan, np.float32)}}, _live(before), ("a",))
  assert np.isfinite(jnp.stack(found.bytes)).all()


@given(st.lists(st.integers(0, 50), min_size=4, max_size=4))
@settings(max_examples=30, deadline=None)
def test_information_is_between_nothing_and_a_bit(counts):
  found = float(mutual_information(jnp.asarray(counts, jnp.float32).reshape(2, 2)))
  assert -1e-5 <= found <= 1 + 1e-5


@settings(max_examples=50, deadline=None)
@given(st.floats(0, 1))
def test_binary_entropy(p):
  p = float(np.float32(p))
  found = float(binary_entropy(jnp.float32(p)))
  assert found == pytest.approx(_entropy(p), abs=1e-5)
  assert 0 <= found <= 1 + 1e-6
