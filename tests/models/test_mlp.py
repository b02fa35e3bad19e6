import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lwlrd_jax.models import build_model


def _relu(x):
  return np.maximum(x, 0)


def _with_biases(params):
  rng = np.random.default_rng(0)
  return {
    name: {"kernel": layer["kernel"], "bias": jnp.asarray(rng.normal(size=layer["bias"].shape), jnp.float32)}
    for name, layer in params.items()
  }


@pytest.mark.parametrize("image_shape", [(12, 12, 1), (5, 7, 3)])
def test_forward_by_hand(tiny_network, image_shape):
  network, params = tiny_network("mlp", image_shape, 4)
  params = _with_biases(params)
  images = np.random.default_rng(1).random((6, *image_shape)).astype(np.float32)
  p = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), params)
  x = (images.astype(np.float64) * 2 - 1).reshape(6, -1)
  for name in ("dense0", "dense1", "dense2"):
    x = _relu(x @ p[name]["kernel"] + p[name]["bias"])
  expected = x @ p["dense3"]["kernel"] + p["dense3"]["bias"]
  np.testing.assert_allclose(network.forward(params, jnp.asarray(images)), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("image_shape", [(12, 12, 1), (5, 7, 3)])
def test_transpose_by_hand(tiny_network, image_shape):
  network, params = tiny_network("mlp", image_shape, 4)
  params = _with_biases(params)  # must not matter
  codes = np.random.default_rng(1).random((6, 4)).astype(np.float32)
  p = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), params)
  x: np.ndarray = codes.astype(np.float64)
  for name in ("dense3", "dense2", "dense1"):
    x = _relu(x @ p[name]["kernel"].T)
  expected = ((x @ p["dense0"]["kernel"].T + 1) / 2).reshape(6, *image_shape)
  np.testing.assert_allclose(network.transpose(params, jnp.asarray(codes)), expected, rtol=1e-4, atol=1e-4)


def test_size_is_that_of_the_published_network():
  network, params = build_model("mlp", (28, 28, 1), 10, jax.random.key(0))
  assert [params[name]["kernel"].shape for name in network.layers] == [
    (784, 1024),
    (1024, 1024),
    (1024, 1024),
    (1024, 10),
  ]
