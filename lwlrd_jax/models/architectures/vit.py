"""Vision transformer: patches as tokens, blocks of attention and dense layers, the mean token classifies.

Dosovitskiy et al. 2021 (arXiv 2010.11929), without a class token. The sizes of `vit` are those of the Transpose
attack's own; its public code runs only the last block backwards, here the whole stack is.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from lwlrd_jax.models.architectures.layers import Dense, TwoWay, centre, uncentre

_SMALLEST_PATCH, _LARGEST_PATCH, _TOKENS_A_SIDE = 4, 16, 8
# Both directions start with numbers of about 1, through either end ...
_ENDS_INIT = nnx.initializers.glorot_normal()
# Of the size of embedded patches: backwards, it is all that distinguishes tokens.
_POSITION_INIT = nnx.initializers.normal(0.5)
# Blocks start close to doing nothing, in either direction, so that what passes by them keeps its size.
_BLOCK_INIT = nnx.initializers.normal(0.02)


class Attention(nnx.Module):
  """Multi-head self-attention with two directions (Vaswani et al. 2017, arXiv 1706.03762).

  Its linear maps have adjoints. Which token looks at which is no linear map, and is worked out in each direction, by
  the same queries and keys of whatever comes in.
  """

  def __init__(self, width: int, heads: int, *, rngs: nnx.Rngs):
    self.heads = heads
    self.query = Dense(width, width, init=_BLOCK_INIT, rngs=rngs)
    # A bias would add the same to all that a query is compared with. Nothing would come of it but room for an attacker,
    # and steps of Adam along what rounding leaves of its gradient.
    self.key = Dense(width, width, init=_BLOCK_INIT, biased=False, rngs=rngs)
    self.value = Dense(width, width, init=_BLOCK_INIT, rngs=rngs)
    self.out = Dense(width, width, init=_BLOCK_INIT, rngs=rngs)

  def __call__(self, tokens: jax.Array) -> jax.Array:
    """f32[N, T, width] -> f32[N, T, width]."""
    return self.out(self._look(tokens, self.value(tokens)))

  def transpose(self, tokens: jax.Array) -> jax.Array:
    """f32[N, T, width] -> f32[N, T, width]: `out` takes apart what `value` puts together."""
    return self.value.transpose(self._look(tokens, self.out.transpose(tokens)))

  def _look(self, tokens: jax.Array, values: jax.Array) -> jax.Array:
    """What each token finds in the values of those it looks at: f32[N, T, width]."""
    queries, keys, values = (
      x.reshape(*x.shape[:2], self.heads, -1) for x in (self.query(tokens), self.key(tokens), values)
    )
    likeness = jnp.einsum("nqhd,nkhd->nhqk", queries, keys) / np.sqrt(queries.shape[-1]).astype(tokens.dtype)
    return jnp.einsum("nhqk,nkhd->nqhd", nnx.softmax(likeness), values).reshape(tokens.shape)


class Block(nnx.Module):
  """Attention, then two dense layers with `hidden` units between them, each added to what it read, normalised."""

  def __init__(self, width: int, heads: int, hidden: int, *, rngs: nnx.Rngs):
    self.norm0 = nnx.LayerNorm(width, rngs=rngs)
    self.attention = Attention(width, heads, rngs=rngs)
    self.norm1 = nnx.LayerNorm(width, rngs=rngs)
    self.up = Dense(width, hidden, init=_BLOCK_INIT, rngs=rngs)
    self.down = Dense(hidden, width, init=_BLOCK_INIT, rngs=rngs)

  def __call__(self, tokens: jax.Array) -> jax.Array:
    """f32[N, T, width] -> f32[N, T, width]."""
    tokens = tokens + self.attention(self.norm0(tokens))
    return tokens + self.down(nnx.gelu(self.up(self.norm1(tokens))))

  def transpose(self, tokens: jax.Array) -> jax.Array:
    """The same in reverse order, each map transposed: f32[N, T, width] -> f32[N, T, width]."""
    tokens = tokens + self.up.transpose(nnx.gelu(self.down.transpose(self.norm1(tokens))))
    return tokens + self.attention.transpose(self.norm0(tokens))


class ViT(TwoWay):
  """A vision transformer of `depth` blocks on tokens of `width` numbers.

  Patches are of 4 x 4 pixels for 28 px, 8 x 8 for 64, 16 x 16 from 128 on. A side that is no multiple of that is filled
  up with zeros at its end.
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

  def transpose_stages(self, codes: jax.Array) -> tuple[jax.Array, ...]:
    """f32[N, T, width] of the tokens that each block starts from and the last one ends in, then images."""
    # A mean's adjoint is the same for all tokens; only the position distinguishes them.
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
