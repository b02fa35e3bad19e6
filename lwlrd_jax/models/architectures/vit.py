"""Vision transformer: patches as tokens, blocks of attention and dense layers, the mean token classifies.

Dosovitskiy et al. 2021 (arXiv 2010.11929), without a class token. The sizes of `vit` are those of the Transpose
attack's own; its public code runs only the last block backwards, here the whole stack is.
"""

import math

import jax
import jax.numpy as jnp
from flax import nnx

from lwlrd_jax.models.architectures.attention import BLOCK_INIT, Attention
from lwlrd_jax.models.architectures.layers import Dense, centre, uncentre

_SMALLEST_PATCH, _LARGEST_PATCH, _TOKENS_A_SIDE = 4, 16, 8
# Both directions start with numbers of about 1, through either end ...
_ENDS_INIT = nnx.initializers.glorot_normal()
# Of the size of embedded patches: backwards, it is all that tells tokens apart.
_POSITION_INIT = nnx.initializers.normal(0.5)


class Block(nnx.Module):
  """Attention, then two dense layers, each added to what it read, normalised.

  Args:
    width: Numbers a token.
    heads: Of attention.
    hidden: Units between the dense layers.
    rngs: Stream `params` initialises the kernels.
  """

  def __init__(self, width: int, heads: int, hidden: int, *, rngs: nnx.Rngs):
    self.norm0 = nnx.LayerNorm(width, rngs=rngs)
    self.attention = Attention(width, heads, rngs=rngs)
    self.norm1 = nnx.LayerNorm(width, rngs=rngs)
    self.up = Dense(width, hidden, init=BLOCK_INIT, rngs=rngs)
    self.down = Dense(hidden, width, init=BLOCK_INIT, rngs=rngs)

  def __call__(self, tokens: jax.Array) -> jax.Array:
    """f32[N, T, width] -> f32[N, T, width]."""
    tokens = tokens + self.attention(self.norm0(tokens))
    return tokens + self.down(nnx.gelu(self.up(self.norm1(tokens))))

  def transpose(self, tokens: jax.Array) -> jax.Array:
    """The same in reverse order, each map transposed: f32[N, T, width] -> f32[N, T, width]."""
    tokens = tokens + self.up.transpose(nnx.gelu(self.down.transpose(self.norm1(tokens))))
    return tokens + self.attention.transpose(self.norm0(tokens))


class ViT(nnx.Module):
  """A vision transformer; sizes are those of the Transpose attack's own code.

  Patches are of 4 x 4 pixels for 28 px, 8 x 8 for 64, 16 x 16 from 128 on. A side that is no multiple of that is filled
  up with zeros at its end.

  Args:
    image_shape: (H, W, C).
    num_outputs: K, classes or findings.
    width: Numbers a token.
    depth: Blocks.
    heads: Of attention.
    hidden: Units between the dense layers of a block.
    rngs: Stream `params` initialises the kernels.
  """

  def __init__(
    self,
    image_shape: tuple[int, int, int],
    num_outputs: int,
    *,
    width: int = 384,
    depth: int = 7,
    heads: int = 12,
    hidden: int = 1152,
    rngs: nnx.Rngs,
  ):
    self.image_shape = image_shape
    self.patch = patch_side(max(image_shape[:2]))
    self.grid = (-(-image_shape[0] // self.patch), -(-image_shape[1] // self.patch))
    self.embedding = Dense(self.patch**2 * image_shape[2], width, init=_ENDS_INIT, rngs=rngs)
    self.position = nnx.Param(_POSITION_INIT(rngs.params(), (math.prod(self.grid), width), jnp.float32))
    self.blocks = nnx.List([Block(width, heads, hidden, rngs=rngs) for _ in range(depth)])
    self.norm = nnx.LayerNorm(width, rngs=rngs)
    self.head = Dense(width, num_outputs, init=_ENDS_INIT, rngs=rngs)

  def __call__(self, images: jax.Array) -> jax.Array:
    """Images f32[N, H, W, C] in [0, 1] -> logits f32[N, K]."""
    tokens = self.embedding(self._patches(centre(images))) + self.position[...]
    for block in self.blocks:
      tokens = block(tokens)
    return self.head(self.norm(tokens).mean(axis=1))

  def transpose(self, codes: jax.Array) -> jax.Array:
    """Codes f32[N, K] -> images f32[N, H, W, C], not clipped."""
    return self.transpose_stages(codes)[-1]

  def transpose_stages(self, codes: jax.Array) -> tuple[jax.Array, ...]:
    """What each layer of the backward pass makes of codes f32[N, K], from the code's side on.

    Returns:
      f32[N, T, width] of the tokens that each block starts from and the last one ends in, then images f32[N, H, W, C],
      not clipped.
    """
    # A mean's adjoint says the same to all tokens. Where each of them is, only the position can say.
    stages = [self.norm(self.head.transpose(codes))[:, None] + self.position[...]]
    for block in reversed(self.blocks):
      stages.append(block.transpose(stages[-1]))
    return (*stages, uncentre(self._images(self.embedding.transpose(stages[-1]))))

  def _patches(self, images: jax.Array) -> jax.Array:
    """f32[N, H, W, C] -> f32[N, T, patch * patch * C]."""
    (rows, columns), side = self.grid, self.patch
    count, height, width, channels = images.shape
    images = jnp.pad(images, ((0, 0), (0, rows * side - height), (0, columns * side - width), (0, 0)))
    patches = images.reshape(count, rows, side, columns, side, channels).transpose(0, 1, 3, 2, 4, 5)
    return patches.reshape(count, rows * columns, side * side * channels)

  def _images(self, patches: jax.Array) -> jax.Array:
    """f32[N, T, patch * patch * C] -> f32[N, H, W, C]: the inverse of `_patches`."""
    (rows, columns), side = self.grid, self.patch
    height, width, channels = self.image_shape
    images = patches.reshape(-1, rows, columns, side, side, channels).transpose(0, 1, 3, 2, 4, 5)
    return images.reshape(-1, rows * side, columns * side, channels)[:, :height, :width]


def patch_side(side: int) -> int:
  """Pixels a side of a patch.

  >>> [patch_side(side) for side in (28, 64, 128, 224)]
  [4, 8, 16, 16]
  """
  wanted = 2 ** math.ceil(math.log2(max(side / _TOKENS_A_SIDE, 1)))
  return min(max(wanted, _SMALLEST_PATCH), _LARGEST_PATCH)
