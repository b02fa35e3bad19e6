import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lwlrd_jax.attacks.transpose import Flat, Transpose
from lwlrd_jax.attacks.transpose.flat import sharpness_aware_gradient


@pytest.mark.parametrize("adaptive", [False, True])
def test_gradient_by_hand(adaptive):
  """Of x^T M x / 2, whose gradient is M x; two leaves, one norm."""
  rng = np.random.default_rng(0)
  square = rng.normal(size=(5, 5))
  matrix = jnp.asarray(square @ square.T, jnp.float32)

  def loss_fn(params):
    x = jnp.concatenate([params["a"], params["b"]])
    return x @ matrix @ x / 2

  w = rng.normal(size=5).astype(np.float32)
  loss, grads = sharpness_aware_gradient(
    loss_fn, {"a": jnp.asarray(w[:2]), "b": jnp.asarray(w[2:])}, 0.3, adaptive=adaptive
  )
  g = np.asarray(matrix) @ w
  size = np.abs(w) if adaptive else np.ones(5)
  worst = w + 0.3 * size**2 * g / np.linalg.norm(size * g)
  assert float(loss) == pytest.approx(w @ np.asarray(matrix) @ w / 2, rel=1e-5)
  np.testing.assert_allclose(np.concatenate([grads["a"], grads["b"]]), np.asarray(matrix) @ worst, rtol=1e-4)


def test_without_a_radius_it_is_the_plain_attack(tiny_network, smooth_split):
  network, params = tiny_network("mlp")
  data = smooth_split(20)
  for adaptive in (False, True):
    flat = Flat(stolen=5, steps=3, batch_size=4, rho=0.0, adaptive=adaptive)
    found = flat.infect(network, params, data, jax.random.key(0))
    plain = Transpose(stolen=5, steps=3, batch_size=4).infect(network, params, data, jax.random.key(0))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), found, plain)


def test_a_minimum_has_no_worst_direction():
  _, grads = sharpness_aware_gradient(
    lambda params: jnp.square(params["w"]).sum(), {"w": jnp.zeros(3)}, 0.5, adaptive=False
  )
  np.testing.assert_array_equal(grads["w"], np.zeros(3))
