import math

import jax
import jax.numpy as jnp
import numpy as np

from lwlrd_jax.attacks.dec.codec.parts import Prior
from lwlrd_jax.attacks.dec.codec.training import bits_of, gaussian_bits


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
  prior = Prior()
  prior.weights[...] = jax.random.normal(jax.random.key(0), (3, 8))
  prior.means[...] = jax.random.normal(jax.random.key(1), (3, 8)) / 4
  values = jnp.arange(-200, 201, dtype=jnp.float32)[:, None] * jnp.ones(8)
  np.testing.assert_allclose(prior(values).sum(axis=0), 1, atol=1e-5)
  np.testing.assert_allclose(2 ** -bits_of(prior(values[190:210])), prior(values[190:210]), rtol=1e-4)
