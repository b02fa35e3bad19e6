import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from lwlrd_jax.models.architectures.layers import Dense, DownConv, centre, uncentre


def _normal(seed, *shape):
  return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def _dot(a, b):
  return float((np.asarray(a, np.float64) * np.asarray(b, np.float64)).sum())


def _with_bias(layer):
  layer.bias[...] = jnp.asarray(_normal(9, *layer.bias.shape))
  return layer


def test_centre_is_inverted():
  images = jnp.linspace(0, 1, 7)
  np.testing.assert_allclose(centre(images), np.linspace(-1, 1, 7), atol=1e-7)
  np.testing.assert_allclose(uncentre(centre(images)), images, atol=1e-7)


def test_dense_is_affine():
  layer = _with_bias(Dense(5, 3, rngs=nnx.Rngs(0)))
  x = _normal(0, 4, 5)
  expected = x @ np.asarray(layer.kernel[...]) + np.asarray(layer.bias[...])
  np.testing.assert_allclose(layer(jnp.asarray(x)), expected, rtol=1e-5, atol=1e-6)


def test_dense_adjoint():
  layer = _with_bias(Dense(7, 4, rngs=nnx.Rngs(0)))
  x, y = _normal(1, 3, 7), _normal(2, 3, 4)
  linear = layer(jnp.asarray(x)) - layer(jnp.zeros((3, 7)))
  assert _dot(linear, y) == pytest.approx(_dot(x, layer.transpose(jnp.asarray(y))), rel=1e-4, abs=1e-4)


SIDES = [(6, 6), (7, 7), (5, 8), (1, 1)]


@pytest.mark.parametrize("side", SIDES)
def test_convolution_adjoint(side):
  layer = _with_bias(DownConv(3, 2, rngs=nnx.Rngs(0)))
  out = tuple((s + 1) // 2 for s in side)
  x, y = _normal(1, 2, *side, 3), _normal(2, 2, *out, 2)
  linear = jax.jit(lambda x: layer(x) - layer(jnp.zeros_like(x)))(x)
  assert linear.shape == y.shape
  back = jax.jit(lambda y: layer.transpose(y, side))(y)
  assert back.shape == x.shape
  assert _dot(linear, y) == pytest.approx(_dot(x, back), rel=1e-4, abs=1e-4)


@pytest.mark.parametrize("side", [(6, 6), (8, 4)])
def test_convolution_is_that_of_jax_on_even_sides(side):
  layer = _with_bias(DownConv(3, 5, rngs=nnx.Rngs(0)))
  x = jnp.asarray(_normal(1, 2, *side, 3))
  expected = jax.lax.conv_general_dilated(
    x, layer.kernel[...], (2, 2), ((1, 1), (1, 1)), dimension_numbers=("NHWC", "HWIO", "NHWC")
  )
  np.testing.assert_allclose(jax.jit(layer)(x), expected + layer.bias[...], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("side", [(5, 7), (6, 5)])
def test_convolution_by_hand(side):
  layer = _with_bias(DownConv(2, 3, rngs=nnx.Rngs(0)))
  x = _normal(1, 2, *side, 2)
  kernel, bias = np.asarray(layer.kernel[...]), np.asarray(layer.bias[...])
  rows, columns = -(-side[0] // 2), -(-side[1] // 2)
  expected = np.tile(bias, (2, rows, columns, 1))
  for i, j, u, v in itertools.product(range(rows), range(columns), range(4), range(4)):
    row, column = 2 * i + u - 1, 2 * j + v - 1
    if 0 <= row < side[0] and 0 <= column < side[1]:
      expected[:, i, j] += x[:, row, column] @ kernel[u, v]
  np.testing.assert_allclose(jax.jit(layer)(x), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("layer", [Dense(64, 400, rngs=nnx.Rngs(0)), DownConv(4, 400, rngs=nnx.Rngs(0))])
def test_initial_scale(layer):
  kernel = np.asarray(layer.kernel[...])
  assert kernel.std() == pytest.approx(np.sqrt(2 / 64), rel=0.03)  # both meet 64 inputs
  assert abs(kernel.mean()) < 0.01
  assert not np.asarray(layer.bias[...]).any()
