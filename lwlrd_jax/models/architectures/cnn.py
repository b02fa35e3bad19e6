"""Convolutional network: strided convolutions down to 8 x 8 or less, then three dense layers.

Where the Transpose attack's own network pools and upsamples, this one strides: the adjoint of a strided convolution is
its own upsampling, and both directions cost a fraction, so that it trains on two CPU cores. Convolutions are trained by
the memory task too; in the attack's public code they are not, because its backward pass reads their kernels detached.
"""

import itertools

import jax
from flax import nnx

from lwlrd_jax.models.architectures.layers import Dense, DownConv, TwoWay, centre, halved, uncentre

_SMALLEST_SIDE = 8


class CNN(TwoWay):
  """Strided 4 x 4 convolutions (two for 28 px, three for 64, five for 224), dense layers of `width`, K outputs.

  The first convolution has `channels` channels, the others twice as many.
  """

  def __init__(
    self, image_shape: tuple[int, int, int], num_outputs: int, *, channels: int = 32, width: int = 1024, rngs: nnx.Rngs
  ):
    sides = [image_shape[:2]]
    while max(sides[-1]) > _SMALLEST_SIDE:
      sides.append(halved(sides[-1]))
    self.sides = tuple(sides)
    depths = [image_shape[2], channels, *([2 * channels] * len(sides))][: len(sides)]
    for i, (fan_in, fan_out) in enumerate(itertools.pairwise(depths)):
      setattr(self, f"conv{i}", DownConv(fan_in, fan_out, rngs=rngs))
    self.grid = (*sides[-1], depths[-1])
    self.dense0 = Dense(sides[-1][0] * sides[-1][1] * depths[-1], width, rngs=rngs)
    self.dense1 = Dense(width, width, rngs=rngs)
    self.dense2 = Dense(width, num_outputs, rngs=rngs)

  @property
  def depth_blocks(self) -> tuple[tuple[str, ...], ...]:
    """Layers of one kind together, in depth order."""
    convolutions = tuple(f"conv{i}" for i in range(len(self.sides) - 1))
    return (convolutions, ("dense0", "dense1"), ("dense2",))

  def __call__(self, images: jax.Array) -> jax.Array:
    """Images f32[N, H, W, C] in [0, 1] -> logits f32[N, K]."""
    x = centre(images)
    for i in range(len(self.sides) - 1):
      x = nnx.relu(getattr(self, f"conv{i}")(x))
    x = x.reshape(len(x), -1)
    x = nnx.relu(self.dense0(x))
    x = nnx.relu(self.dense1(x))
    return self.dense2(x)

  def transpose_stages(self, codes: jax.Array) -> tuple[jax.Array, ...]:
    """f32[N, width] of both hidden layers, f32[N, h, w, c] of each convolution, the smallest first, then images."""
    stages = [nnx.relu(self.dense2.transpose(codes))]
    stages.append(nnx.relu(self.dense1.transpose(stages[-1])))
    x = self.dense0.transpose(stages[-1]).reshape(-1, *self.grid)
    for i in reversed(range(len(self.sides) - 1)):
      stages.append(nnx.relu(x))
      x = getattr(self, f"conv{i}").transpose(stages[-1], self.sides[i])
    return (*stages, uncentre(x))
