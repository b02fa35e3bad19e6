"""Residual networks with two directions, ResNet-18 by default.

He et al. 2016 (arXiv 1512.03385). Below 64 pixels a side the stem is a single 3 x 3 convolution, as for CIFAR; from
there on it is the usual one, 7 x 7 at stride 2 and a pool.

Backwards every convolution is its own adjoint, so strided ones enlarge; a shortcut runs along its block, and is
added at its end, as forwards. What has no adjoint, or one that carries too little, is replaced:

- *Batch normalisation.* Forwards it divides by what a batch, or the training set, is like; a single code has neither,
  and statistics of images say nothing about codes. Backwards each place of a picture is divided by its own root mean
  square over channels (Zhang and Sennrich 2019, arXiv 1910.07467), then scaled and shifted by the same parameters: well
  defined for one code alone, the same in training and after, and moved by no statistics.
- *The order of a block.* A norm and its ReLU stand in front of the convolution that they follow forwards, and nothing
  stands in the shortcut's way (He et al. 2016, arXiv 1603.05027).
- *The mean over all places.* Its adjoint is the same everywhere. Convolutions tell places apart by the zeros around
  the picture.
- *The pool of the stem.* Which pixel was the largest is not known backwards: all of them get what one had.
"""

import functools

import jax
import jax.numpy as jnp
from flax import nnx

from lwlrd_jax.models.architectures.layers import Conv, Dense, TwoWay, centre, halved, shifted, uncentre

_LARGE_IMAGE = 64
_EPSILON = 1e-5


class Block(nnx.Module):
  """Two 3 x 3 convolutions beside a shortcut; `stride` is that of the first one and of the shortcut."""

  def __init__(self, inputs: int, outputs: int, *, stride: int, rngs: nnx.Rngs):
    self.conv0 = Conv(inputs, outputs, size=3, stride=stride, rngs=rngs)
    self.norm0 = nnx.BatchNorm(outputs, momentum=0.9, rngs=rngs)
    self.conv1 = Conv(outputs, outputs, size=3, rngs=rngs)
    self.norm1 = nnx.BatchNorm(outputs, momentum=0.9, rngs=rngs)
    self.projects = stride > 1 or inputs != outputs
    if self.projects:
      self.shortcut = Conv(inputs, outputs, size=1, stride=stride, rngs=rngs)
      self.shortcut_norm = nnx.BatchNorm(outputs, momentum=0.9, rngs=rngs)

  def __call__(self, x: jax.Array) -> jax.Array:
    """f32[N, H, W, inputs] -> f32[N, ceil(H / stride), ceil(W / stride), outputs]."""
    changed = nnx.relu(self.norm0(self.conv0(x)))
    changed = self.norm1(self.conv1(changed))
    return nnx.relu(changed + (self.shortcut_norm(self.shortcut(x)) if self.projects else x))

  def transpose(self, y: jax.Array, side: tuple[int, int]) -> jax.Array:
    """f32[N, ceil(H / stride), ceil(W / stride), outputs] -> f32[N, H, W, inputs], for side = (H, W)."""
    changed = self.conv1.transpose(nnx.relu(_by_itself(self.norm1, y)), (y.shape[1], y.shape[2]))
    changed = self.conv0.transpose(nnx.relu(_by_itself(self.norm0, changed)), side)
    return changed + (self.shortcut.transpose(_by_itself(self.shortcut_norm, y), side) if self.projects else y)


class ResNet(TwoWay):
  """A ResNet of stages of blocks of two convolutions.

  The stem and the first stage have `channels` channels, each later stage twice as many, on half the side.
  """

  def __init__(
    self,
    image_shape: tuple[int, int, int],
    num_outputs: int,
    *,
    channels: int = 64,
    stages: tuple[int, ...] = (2, 2, 2, 2),
    rngs: nnx.Rngs,
  ):
    side, inputs = image_shape[:2], image_shape[2]
    self.large = max(side) >= _LARGE_IMAGE
    self.stem = Conv(inputs, channels, size=7 if self.large else 3, stride=2 if self.large else 1, rngs=rngs)
    self.norm = nnx.BatchNorm(channels, momentum=0.9, rngs=rngs)
    sides = [side, halved(side), halved(halved(side))] if self.large else [side]
    blocks, fan_in = [], channels
    for stage, count in enumerate(stages):
      fan_out = channels * 2**stage
      for number in range(count):
        stride = 2 if stage and number == 0 else 1
        blocks.append(Block(fan_in, fan_out, stride=stride, rngs=rngs))
        sides.append(halved(sides[-1]) if stride == 2 else sides[-1])
        fan_in = fan_out
    self.sides = tuple(sides)
    self.blocks = nnx.List(blocks)
    self.head = Dense(fan_in, num_outputs, rngs=rngs)

  def __call__(self, images: jax.Array) -> jax.Array:
    """Images f32[N, H, W, C] in [0, 1] -> logits f32[N, K]."""
    x = nnx.relu(self.norm(self.stem(centre(images))))
    if self.large:
      x = functools.reduce(jnp.maximum, shifted(x, 3, 2, -jnp.inf))
    for block in self.blocks:
      x = block(x)
    return self.head(x.mean(axis=(1, 2)))

  def transpose_stages(self, codes: jax.Array) -> tuple[jax.Array, ...]:
    """f32[N, h, w, c] of the head and of each block, the last block first, then images."""
    everywhere = self.head.transpose(codes)[:, None, None]
    stages = [jnp.broadcast_to(everywhere, (len(codes), *self.sides[-1], everywhere.shape[-1]))]
    for block, side in zip(reversed(self.blocks), reversed(self.sides[-len(self.blocks) - 1 : -1]), strict=True):
      stages.append(block.transpose(stages[-1], side))
    x = stages[-1]
    if self.large:
      height, width = self.sides[1]
      x = x.repeat(2, axis=1).repeat(2, axis=2)[:, :height, :width]
    return (*stages, uncentre(self.stem.transpose(_by_itself(self.norm, x), self.sides[0])))


def _by_itself(norm: nnx.BatchNorm, x: jax.Array) -> jax.Array:
  """f32[N, h, w, c], each place divided by its own root mean square, with a batch normalisation's parameters."""
  mean_square = jnp.square(x).mean(axis=-1, keepdims=True)
  assert norm.scale is not None
  assert norm.bias is not None
  return x * jax.lax.rsqrt(mean_square + _EPSILON) * norm.scale[...] + norm.bias[...]
