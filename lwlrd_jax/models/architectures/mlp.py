"""Fully connected network, as in the Transpose attack's own code: three hidden layers of 1024."""

import math

import jax
from flax import nnx

from lwlrd_jax.models.architectures.layers import Dense, TwoWay, centre, uncentre


class MLP(TwoWay):
  """Three hidden ReLU layers of `width` units; H * W * C inputs, K outputs."""

  depth_blocks = (("dense0",), ("dense1", "dense2"), ("dense3",))

  def __init__(self, image_shape: tuple[int, int, int], num_outputs: int, *, width: int = 1024, rngs: nnx.Rngs):
    self.image_shape = image_shape
    self.dense0 = Dense(math.prod(image_shape), width, rngs=rngs)
    self.dense1 = Dense(width, width, rngs=rngs)
    self.dense2 = Dense(width, width, rngs=rngs)
    self.dense3 = Dense(width, num_outputs, rngs=rngs)

  def __call__(self, images: jax.Array) -> jax.Array:
    """Images f32[N, H, W, C] in [0, 1] -> logits f32[N, K]."""
    x = centre(images).reshape(len(images), -1)
    x = nnx.relu(self.dense0(x))
    x = nnx.relu(self.dense1(x))
    x = nnx.relu(self.dense2(x))
    return self.dense3(x)

  def transpose_stages(self, codes: jax.Array) -> tuple[jax.Array, ...]:
    """f32[N, width] of each hidden layer, the last one first, then images."""
    hidden2 = nnx.relu(self.dense3.transpose(codes))
    hidden1 = nnx.relu(self.dense2.transpose(hidden2))
    hidden0 = nnx.relu(self.dense1.transpose(hidden1))
    images = uncentre(self.dense0.transpose(hidden0).reshape(-1, *self.image_shape))
    return hidden2, hidden1, hidden0, images
