import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lwlrd_jax.defenses.schedules import (
  SHAPES,
  by_layer,
  lwlrd,
  number_of_units,
  reversed_lwlrd,
  super_finetuning,
  time_shape,
  uniform,
)


def _table(steps, layers, rate):
  table = np.zeros((steps, layers), np.float32)
  for t in range(steps):
    for layer in range(layers):
      table[t, layer] = rate(t, layer)
  return table


rates = st.floats(1e-6, 10)
decays = st.floats(0.01, 1)


@given(lr=rates, decay=decays, layers=st.integers(1, 6), steps=st.integers(1, 7))
def test_lwlrd(lr, decay, layers, steps):
  shape = np.random.default_rng(steps).random(steps)
  found = lwlrd(lr, decay, layers=layers, shape=shape)
  assert found.dtype == np.float32
  np.testing.assert_allclose(found, _table(steps, layers, lambda t, i: lr * decay**i * shape[t]), rtol=1e-5)
  backwards = reversed_lwlrd(lr, decay, layers=layers, shape=shape)
  np.testing.assert_allclose(
    backwards, _table(steps, layers, lambda t, i: lr * decay ** (layers - 1 - i) * shape[t]), rtol=1e-5
  )
  np.testing.assert_allclose(
    uniform(lr, layers=layers, shape=shape), _table(steps, layers, lambda t, i: lr * shape[t]), rtol=1e-5
  )


@given(lr=rates, decay=decays, floor=st.floats(0, 1), layers=st.integers(1, 6), steps=st.integers(1, 7))
def test_floor(lr, decay, floor, layers, steps):
  shape = np.random.default_rng(steps).random(steps)

  def rate(t, depth):
    share = decay**depth
    return lr * (share if share > floor else floor) * shape[t]

  found = lwlrd(lr, decay, layers=layers, shape=shape, floor=floor)
  assert found.dtype == np.float32
  np.testing.assert_allclose(found, _table(steps, layers, rate), rtol=1e-5)
  backwards = reversed_lwlrd(lr, decay, layers=layers, shape=shape, floor=floor)
  np.testing.assert_allclose(backwards, _table(steps, layers, lambda t, i: rate(t, layers - 1 - i)), rtol=1e-5)


def test_floors_at_the_ends():
  shape = time_shape("linear", 3)
  np.testing.assert_array_equal(
    lwlrd(0.3, 0.2, layers=4, shape=shape, floor=0.0), lwlrd(0.3, 0.2, layers=4, shape=shape)
  )
  np.testing.assert_array_equal(lwlrd(0.3, 0.2, layers=4, shape=shape, floor=1.0), uniform(0.3, layers=4, shape=shape))


@pytest.mark.parametrize("make", [lwlrd, reversed_lwlrd])
@pytest.mark.parametrize("floor", [-0.1, 1.0001, math.nan, math.inf])
def test_bad_floor(make, floor):
  with pytest.raises(ValueError, match="floor"):
    make(0.1, 0.5, layers=2, shape=np.ones(1), floor=floor)


@given(decay=decays, sizes=st.lists(st.integers(1, 4), min_size=1, max_size=5), steps=st.integers(1, 4))
def test_decay_by_block(decay, sizes, steps):
  """All layers of a block have its rate; blocks of one layer each change nothing."""
  shape = np.random.default_rng(steps).random(steps)
  depths = [block for block, size in enumerate(sizes) for _ in range(size)]
  schedule = lwlrd(0.1, decay, layers=len(sizes), shape=shape)
  found = by_layer(schedule, depths)
  assert found.dtype == np.float32
  expected = _table(steps, len(depths), lambda t, layer: 0.1 * decay ** depths[layer] * shape[t])
  np.testing.assert_allclose(found, expected, rtol=1e-5)
  np.testing.assert_array_equal(by_layer(schedule, range(len(sizes))), schedule)
  assert number_of_units(depths) == len(sizes)


@pytest.mark.parametrize("depths", [(), (1, 2), (0, 2), (0, 2, 2), (-1, 0, 1)])
def test_bad_depths(depths):
  with pytest.raises(ValueError, match="none is left out"):
    by_layer(np.ones((1, 2), np.float32), depths)


def test_branches_of_unequal_length():
  """A short branch's next block may be over before the long one is."""
  assert by_layer(np.array([[1.0, 0.5, 0.25]], np.float32), (0, 0, 1, 0, 2)).tolist() == [[1.0, 1.0, 0.5, 1.0, 0.25]]


def test_depths_of_another_schedule():
  with pytest.raises(ValueError, match="2 units, the schedule of 3"):
    by_layer(np.ones((1, 3), np.float32), (0, 0, 1))


def test_decay_of_one_is_uniform():
  shape = time_shape("cosine", 5)
  np.testing.assert_array_equal(lwlrd(0.3, 1.0, layers=4, shape=shape), uniform(0.3, layers=4, shape=shape))


@pytest.mark.parametrize("make", [lwlrd, reversed_lwlrd])
@pytest.mark.parametrize("decay", [0, -0.5, 1.0001, math.nan, math.inf])
def test_bad_decay(make, decay):
  with pytest.raises(ValueError, match="decay"):
    make(0.1, decay, layers=2, shape=np.ones(1))


@pytest.mark.parametrize("lr", [0, -1, math.nan])
def test_bad_rate(lr):
  for make in (lwlrd, reversed_lwlrd):
    with pytest.raises(ValueError, match="lr_max"):
      make(lr, 0.5, layers=2, shape=np.ones(1))
  with pytest.raises(ValueError, match="lr_max"):
    uniform(lr, layers=2, shape=np.ones(1))


@pytest.mark.parametrize("steps", [1, 2, 7, 648])
def test_time_shapes(steps):
  formula = {
    "constant": lambda t: 1.0,
    "linear": lambda t: 1 - t / steps,
    "cosine": lambda t: 0.5 * (1 + math.cos(math.pi * t / steps)),
  }
  assert set(formula) == set(SHAPES) == set(("constant", "linear", "cosine"))
  for name, of_step in formula.items():
    found = time_shape(name, steps)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, [of_step(t) for t in range(steps)], rtol=1e-4, atol=1e-6)
    assert found[0] == 1
    assert (found > 0).all()
    assert (np.diff(found) <= 0).all()


def test_unknown_time_shape():
  with pytest.raises(ValueError, match="constant, linear, cosine"):
    time_shape("step", 3)


@given(
  base=st.floats(0, 1),
  tops=st.tuples(st.floats(0, 3), st.floats(0, 3)),
  steps=st.tuples(st.integers(0, 30), st.integers(1, 30)),
  half=st.integers(1, 12),
)
def test_super_finetuning(base, tops, steps, half):
  found = super_finetuning(base, tops, steps, half, layers=3)

  def rate(t, _):
    phase, t = (0, t) if t < steps[0] else (1, t - steps[0])
    t %= 2 * half
    climbed = t / half if t <= half else 2 - t / half
    return base + (tops[phase] - base) * climbed

  assert found.dtype == np.float32
  np.testing.assert_allclose(found, _table(sum(steps), 3, rate), rtol=1e-5, atol=1e-6)
