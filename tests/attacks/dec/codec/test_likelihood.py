import math

import jax
import jax.numpy as jnp
import numpy as np

from lwlrd_jax.attacks.dec.codec.likelihood import LogisticMixture, gaussian_bits


def test_gaussian_bits_against_the_error_function():
  for offset in (-9.0, -1.0, 0.0, 0.3, 4.0):
    for scale in (0.2, 1.0, 7.0):
      upper, lower = (abs(offset) - 0.5) / scale, (abs(offset) + 0.5) / scale
      probability = (math.erfc(upper / 2**0.5) - math.erfc(lower / 2**0.5)) / 2
      bits = gaussian_bits(jnp.asarray(offset), jnp.asarray(scale))
      np.testing.assert_allclose(bits, -math.log2(max(probability, 1e-9)), rtol=1e-3, atol=1e-4)


def test_gaussian_bits_have_finite_gradients_far_out():
  grads = jax.grad(gaussian_bits, argnums=(0, 1))(jnp.asarray(500.0), jnp.asarray(0.11))
  assert np.isfinite(grads).all()


def test_mixture_sums_to_one():
  weights = jax.nn.softmax(jax.random.normal(jax.random.key(0), (3, 2)), axis=0)
  mixture = LogisticMixture(weights, jnp.asarray([[0.0, 1.0], [3.0, -2.0], [0.5, 0.0]]), jnp.ones((3, 2)) * 2)
  values = jnp.arange(-100, 101, dtype=jnp.float32)[:, None] * jnp.ones(2)
  np.testing.assert_allclose(mixture.probability(values).sum(axis=0), 1, atol=1e-5)
  np.testing.assert_allclose(2 ** -mixture.bits(values[90:110]), mixture.probability(values[90:110]), rtol=1e-4)
