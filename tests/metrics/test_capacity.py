import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import hypergeom

from lwlrd_jax.metrics.capacity import binary_entropy, by_chance, mutual_information, survival

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


def _groups(alive):
  """Cells (row, column) of weights that are counted together: live ones, dead ones, those out of silent units."""
  rows, columns = alive.shape
  silent = [row for row in range(rows) if not alive[row].any()]
  if columns < 20 and len(silent) > columns:
    silent = []
  live = [[(r, c) for r in range(rows) if alive[r, c]] for c in range(columns)]
  dead = [[(r, c) for r in range(rows) if not alive[r, c] and r not in silent] for c in range(columns)]
  return live, dead, [[(r, c) for c in range(columns)] for r in silent]


def _informed(pairs, flips):
  """Mutual information of the pairs, without what chance makes of it."""
  kinds = {pair: pairs.count(pair) / len(pairs) for pair in set(pairs)}
  said = 0.0
  for (x, y), p in kinds.items():
    px = sum(q for (a, _), q in kinds.items() if a == x)
    py = sum(q for (_, b), q in kinds.items() if b == y)
    said += p * math.log2(p / (px * py))
  table = np.array([[pairs.count((x, y)) for y in (0, 1)] for x in (0, 1)], np.float32)
  certain = flips in (0, len(pairs)) and len(pairs) >= 20
  return len(pairs) * said - (0 if certain else float(by_chance(jnp.asarray(table))))


def _naive(before, after, live):
  """Weight by weight, in loops: bits by plane, and in dead weights."""
  planes, dead_bits = [0.0] * 32, 0.0
  for layer in LAYERS:
    for name in before[layer]:
      columns = before[layer][name].shape[-1] if before[layer][name].ndim > 1 else 1
      old, new = (np.asarray(t[layer][name]).reshape(-1, columns).view(np.uint32) for t in (before, after))
      alive = live[layer][name].reshape(-1, columns)
      informed = 0.0
      live_groups, *dead_groups = _groups(alive)
      for plane in range(32):
        for groups in (live_groups, *dead_groups):
          symmetric = 0.0
          for group in groups:
            pairs = [((old[cell] >> plane) & 1, (new[cell] >> plane) & 1) for cell in group]
            if not pairs:
              continue
            flips = sum(x != y for x, y in pairs)
            bits = len(pairs) * (1 - _entropy(flips / len(pairs)))
            symmetric += bits - (BIAS if 0 < flips < len(pairs) else 0)
            if groups is not live_groups:
              informed += _informed(pairs, flips)
          planes[plane] += max(symmetric, 0)
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


@pytest.mark.parametrize(("rows", "share"), [(6, 0.01), (30, 0.001), (300, 0.001)])
def test_small_groups_and_rare_bits_do_not_pass_for_capacity(rows, share):
  """A few dead weights of each of many units, their exponents far apart: what a real model leaves after a scrub."""
  rng = np.random.default_rng(0)
  before = rng.normal(size=(rows, 3000)).astype(np.float32)
  anew = (2.0**-20 * rng.normal(size=(rows, 3000))).astype(np.float32)
  dead = {"a": {"k": np.zeros(before.shape, bool)}}
  kept = find({"a": {"k": before}}, {"a": {"k": before}}, dead, ("a",)).bytes
  redrawn = find({"a": {"k": before}}, {"a": {"k": anew}}, dead, ("a",)).bytes
  assert float(redrawn.dead) < share * float(kept.dead)


@pytest.mark.parametrize(("count", "within"), [(8, 0.2), (30, 0.15), (1000, 0.15)])
def test_chance_against_the_exact_mean_over_all_tables(count, within):
  for first in {1, 2, count // 4, count // 2}:
    for second in {1, 3, count // 4, count // 2, count - 1}:
      both = np.arange(max(0, first + second - count), min(first, second) + 1)
      tables = np.array([[count - first - second + both, second - both], [first - both, both]], np.float32)
      bits = count * np.asarray(mutual_information(jnp.asarray(tables)))
      exact = (hypergeom.pmf(both, count, first, second) * bits).sum()
      found = float(by_chance(jnp.asarray(tables[..., 0])))
      # Never far above: that would hide capacity. Tables with two rare bits weigh next to nothing.
      assert found <= (1 + within) * exact + 0.15
      if min(first, second, count - second) > 2:
        assert found == pytest.approx(exact, rel=within)


@pytest.mark.parametrize("rows", [1, 3])
def test_what_leads_out_of_a_silent_unit_is_counted_by_that_unit(rows):
  """By columns these groups would have 1 or 3 weights, of which no rate can be told."""
  rng = np.random.default_rng(0)
  before, anew = (rng.normal(size=(400, 400)).astype(np.float32) for _ in range(2))
  live = np.ones(before.shape, bool)
  live[:rows] = False
  spared = np.where(live, anew, before)
  found, gone = (
    find({"a": {"k": before}}, {"a": {"k": new}}, {"a": {"k": live}}, ("a",)).bytes for new in (spared, anew)
  )
  assert float(found.dead) > 0.85 * rows * 400 * 4  # exponents of a normal distribution have less to tell than 8 bits
  assert float(found.mantissa) == pytest.approx(rows * 400 * 23 / 8, rel=0.02, abs=150)
  assert float(gone.dead) < 10


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
