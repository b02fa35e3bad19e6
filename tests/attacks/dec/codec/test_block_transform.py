import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lwlrd_jax.attacks.dec.codec.blocks import BlockTransform, cosine_patterns


@pytest.mark.parametrize("channels", [1, 3])
def test_patterns_are_orthonormal_and_the_first_is_flat(channels: int):
  patterns = cosine_patterns(4, channels, 14)
  np.testing.assert_allclose(patterns.T @ patterns, np.eye(14), atol=1e-5)
  np.testing.assert_allclose(patterns[:, 0], patterns[0, 0], atol=1e-6)


def test_all_patterns_give_the_image_back():
  transform = BlockTransform(4, 3, 48)
  images = jax.random.normal(jax.random.key(0), (2, 9, 12, 3))
  latents = transform(images)
  assert latents.shape == (2, 3, 3, 48)
  np.testing.assert_allclose(transform.transpose(latents, (9, 12)), images, atol=1e-5)


def test_transpose_is_the_adjoint():
  transform = BlockTransform(4, 1, 5)
  x = jax.random.normal(jax.random.key(0), (1, 8, 7, 1))
  y = jax.random.normal(jax.random.key(1), (1, 2, 2, 5))
  np.testing.assert_allclose((transform(x) * y).sum(), (x * transform.transpose(y, (8, 7))).sum(), rtol=1e-5)


def test_more_outputs_than_patterns():
  assert not cosine_patterns(2, 1, 6)[:, 4:].any()
  assert jnp.isfinite(BlockTransform(2, 1, 6)(jnp.ones((1, 8, 8, 1)))).all()
