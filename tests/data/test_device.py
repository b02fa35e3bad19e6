import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lwlrd_jax.data.dataset import Split
from lwlrd_jax.data.device import DeviceSplit, batch_plan, scale, to_device


def _same(a, b):
  np.testing.assert_array_equal(np.asarray(a), np.asarray(b))


def test_to_device_and_back():
  rng = np.random.default_rng(0)
  split = Split(rng.integers(0, 256, (5, 3, 2, 1)).astype(np.uint8), np.arange(5, dtype=np.int32))
  data = to_device(split)
  assert isinstance(data, DeviceSplit)
  assert len(data) == 5
  _same(data.images, split.images)
  _same(data.labels, split.labels)
  assert (data.images.dtype, data.labels.dtype) == (jnp.uint8, jnp.int32)


def test_is_a_tree_of_two_arrays():
  data = DeviceSplit(jnp.zeros((2, 1, 1, 1), jnp.uint8), jnp.zeros(2, jnp.int32))
  assert len(jax.tree.leaves(data)) == 2
  assert isinstance(jax.jit(lambda d: d)(data), DeviceSplit)


def test_scale_of_every_value():
  values = np.arange(256, dtype=np.uint8)
  found = scale(jnp.asarray(values))
  assert found.dtype == jnp.float32
  np.testing.assert_allclose(found, values / 255, rtol=1e-6)
  assert float(found[-1]) == 1


@settings(max_examples=5, deadline=None)
@given(size=st.integers(1, 12), batch=st.integers(1, 15), steps=st.integers(1, 10), seed=st.integers(0, 9))
def test_batch_plan(size, batch, steps, seed):
  plan = np.asarray(batch_plan(jax.random.key(seed), size, batch, steps))
  width = min(batch, size)
  assert plan.shape == (steps, width)
  assert plan.dtype == np.int32
  assert ((plan >= 0) & (plan < size)).all()
  per_epoch = size // width
  for first in range(0, steps, per_epoch):
    epoch = plan[first : first + per_epoch].ravel()
    assert len(set(epoch.tolist())) == len(epoch)  # without replacement


@pytest.mark.parametrize(("short", "long"), [(3, 7)])
def test_a_longer_plan_begins_like_a_shorter_one(short, long):
  key = jax.random.key(5)
  _same(batch_plan(key, 7, 2, long)[:short], batch_plan(key, 7, 2, short))


def test_epochs_and_keys_differ():
  plan = np.asarray(batch_plan(jax.random.key(0), 50, 50, 3))
  assert not np.array_equal(plan[0], plan[1])
  assert not np.array_equal(plan[1], plan[2])
  assert not np.array_equal(plan, batch_plan(jax.random.key(1), 50, 50, 3))
  _same(plan, batch_plan(jax.random.key(0), 50, 50, 3))


def test_every_example_is_drawn_equally_often():
  """What an epoch leaves out is left out at random."""
  plan = np.asarray(batch_plan(jax.random.key(0), 5, 2, 4000))
  counts = np.bincount(plan.ravel(), minlength=5)
  np.testing.assert_allclose(counts, 1600, rtol=0.05)
