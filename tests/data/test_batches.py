import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lwlrd_jax.data import batches
from lwlrd_jax.data.augment import move
from lwlrd_jax.data.batches import Batches, batch_plan, read, task_batches
from lwlrd_jax.data.device import scale


def _same(a, b):
  np.testing.assert_array_equal(np.asarray(a), np.asarray(b))


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


def test_without_augmentation_a_batch_is_what_the_plan_says(smooth_split):
  data = smooth_split(10)
  planned = task_batches(jax.random.key(1), data, 4, 3, "none")
  assert planned.moves is None
  _same(planned.positions, batch_plan(jax.random.key(1), 10, 4, 3))
  images, labels = read(data, Batches(planned.positions[1], None))
  _same(images, scale(data.images[planned.positions[1]]))
  _same(labels, data.labels[planned.positions[1]])


def test_augmentation_changes_images_and_neither_order_nor_labels(smooth_split):
  data = smooth_split(10)
  planned = task_batches(jax.random.key(1), data, 4, 3, "dihedral")
  _same(planned.positions, batch_plan(jax.random.key(1), 10, 4, 3))
  now = jax.tree.map(lambda leaf: leaf[2], planned)
  images, labels = read(data, now)
  _same(images, move(scale(data.images[now.positions]), now.moves))
  assert not np.array_equal(images, scale(data.images[now.positions]))
  _same(labels, data.labels[now.positions])
  longer = task_batches(jax.random.key(1), data, 4, 7, "dihedral")
  jax.tree.map(lambda a, b: _same(a, b[:3]), planned, longer)


def test_moves_are_drawn_from_a_key_that_no_epoch_has(smooth_split, monkeypatch):
  """Else an image's place in the order would say how it is moved."""
  asked = []

  def noted(key, *args):
    asked.append(jax.random.key_data(key).tolist())

  monkeypatch.setattr(batches, "draw_moves", noted)
  key = jax.random.key(3)
  task_batches(key, smooth_split(10), 4, 500, "flip")
  (used,) = asked
  assert used not in [jax.random.key_data(jax.random.fold_in(key, epoch)).tolist() for epoch in range(250)]
  assert used != jax.random.key_data(key).tolist()
