import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lwlrd_jax.attacks.dec.codec.training import CodecTraining, mirrored, rate_and_distortion
from lwlrd_jax.attacks.dec.codec.transform import build_codec


@pytest.fixture(scope="module")
def loss_and_grads(trained):
  images = jnp.asarray(trained.images, jnp.float32) / 255

  def loss_fn(params):
    losses = rate_and_distortion(trained.codec, params, images, jax.random.key(7))
    return losses.bits_per_pixel + 0.04 * losses.squared_error

  return jax.jit(jax.value_and_grad(loss_fn))


def test_training_lowers_the_loss(trained, loss_and_grads):
  assert loss_and_grads(trained.params)[0] < 0.5 * loss_and_grads(trained.first)[0]


def test_every_parameter_has_a_gradient(trained, loss_and_grads):
  for path, grads in jax.tree_util.tree_leaves_with_path(loss_and_grads(trained.first)[1]):
    assert np.isfinite(grads).all(), path
    assert np.abs(grads).max() > 0, path


def test_steps_are_reported_and_the_callers_weights_stay(trained):
  assert sum(trained.reported) == 48
  assert max(trained.reported) <= 32
  _, first = build_codec(trained.codec.image_shape, jax.random.key(0))
  assert jax.tree.all(jax.tree.map(lambda a, b: bool((a == b).all()), first, trained.first))


@pytest.mark.parametrize(("turns", "symmetries"), [(True, 8), (False, 2)])
def test_augmentation_draws_every_symmetry(turns: bool, symmetries: int):
  image = jnp.arange(16, dtype=jnp.float32).reshape(1, 4, 4, 1)
  drawn = np.asarray(mirrored(jnp.repeat(image, 100, axis=0), jax.random.key(0), turns=turns))
  assert len(np.unique(drawn.reshape(100, -1), axis=0)) == symmetries
  assert (np.sort(drawn.reshape(100, -1), axis=1) == np.arange(16)).all()


def test_rate_course():
  course = CodecTraining(steps=100, warmup=0.1).rate_shape()
  assert course.argmax() in range(7, 11)
  assert course[0] == pytest.approx(0.1)
  assert 0 < course[-1] < 0.001
