import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lwlrd_jax.data.device import DeviceSplit, scale
from lwlrd_jax.metrics.downstream import downstream_auc


@pytest.fixture(scope="module")
def bright_and_dark():
  """Images whose class is how bright they are, with noise: easy to learn from few."""

  def split(seed, count):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, count).astype(np.int32)
    images = 60 + 60 * labels[:, None, None, None] + rng.normal(0, 25, (count, 6, 6, 1))
    return DeviceSplit(jnp.asarray(images.clip(0, 255).astype(np.uint8)), jnp.asarray(labels))

  return split(0, 90), split(1, 200)


def _auc(images, labels, test):
  return float(downstream_auc(3, images[None], labels, test, test).mean())


def test_real_images_teach_and_useless_ones_do_not(bright_and_dark):
  train, test = bright_and_dark
  images = scale(train.images)
  originals = _auc(images, train.labels, test)
  assert originals > 0.95
  assert _auc(jnp.broadcast_to(images.mean(axis=0), images.shape), train.labels, test) < originals - 0.1
  # The same images with labels that say nothing.
  assert _auc(images, jax.random.permutation(jax.random.key(0), train.labels), test) < originals - 0.1


def test_it_is_reproducible_and_image_by_image(bright_and_dark):
  train, test = bright_and_dark
  first = downstream_auc(3, scale(train.images)[None], train.labels, test, test)
  assert first.shape == (200,)
  np.testing.assert_array_equal(first, downstream_auc(3, scale(train.images)[None], train.labels, test, test))


def test_the_version_counts_that_does_best_on_the_attacker_s_own_images(bright_and_dark):
  train, test = bright_and_dark
  good = scale(train.images)
  versions = jnp.stack([jnp.full_like(good, 0.3), good, 1 - good])
  best = downstream_auc(3, versions, train.labels, train, test)
  np.testing.assert_allclose(best, downstream_auc(3, good[None], train.labels, train, test), atol=1e-6)
  # Whoever goes by images with wrong labels chooses wrongly, and is told what that gives.
  misled = DeviceSplit(train.images, (2 - train.labels).astype(jnp.int32))
  assert float(downstream_auc(3, versions, train.labels, misled, test).mean()) < float(best.mean()) - 0.1


def test_what_is_not_a_number_is_grey(bright_and_dark):
  train, test = bright_and_dark
  images = scale(train.images)
  spoilt = images.at[3, 2, 2, 0].set(jnp.nan)
  grey = images.at[3, 2, 2, 0].set(0.5)
  assert _auc(spoilt, train.labels, test) == _auc(grey, train.labels, test)


def test_several_findings(bright_and_dark):
  train, test = bright_and_dark
  hot = lambda split: DeviceSplit(split.images, jax.nn.one_hot(split.labels, 3, dtype=jnp.uint8))  # noqa: E731
  images, (train, test) = scale(train.images), map(hot, (train, test))
  assert _auc(images, train.labels, test) > 0.9
