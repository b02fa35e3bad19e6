import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from lwlrd_jax.attacks.dec.codec.blocks import Depthwise, Residual, UpConv


def test_up_conv_keeps_the_scale_and_doubles_the_side():
  layer = UpConv(64, 8, rngs=nnx.Rngs(0))
  x = nnx.relu(jax.random.normal(jax.random.key(0), (4, 7, 7, 64)))
  y = layer(x, (13, 14))
  assert y.shape == (4, 13, 14, 8)
  assert 0.5 < float(jnp.square(y).mean()) < 2


def test_depthwise_against_loops():
  layer = Depthwise(2)
  kernel = jax.random.normal(jax.random.key(0), (3, 3, 2))
  layer.kernel[...] = kernel
  x = np.asarray(jax.random.normal(jax.random.key(1), (1, 4, 5, 2)))
  expected = np.zeros_like(x)
  for row in range(4):
    for column in range(5):
      for i in range(3):
        for j in range(3):
          a, b = row + i - 1, column + j - 1
          if 0 <= a < 4 and 0 <= b < 5:
            expected[0, row, column] += x[0, a, b] * np.asarray(kernel)[i, j]
  np.testing.assert_allclose(layer(jnp.asarray(x)), expected, atol=1e-5)


def test_residual_starts_near_the_identity():
  x = jax.random.normal(jax.random.key(0), (2, 5, 5, 16))
  y = Residual(16, rngs=nnx.Rngs(0))(x)
  assert 0 < float(jnp.square(y - x).mean()) < 0.1
