"""Multi-head self-attention with two directions.

Vaswani et al. 2017 (arXiv 1706.03762). Its linear maps have adjoints; which token looks at which is no linear map, and
is worked out anew in each direction, by the same queries and keys of whatever comes in.
"""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from lwlrd_jax.models.architectures.layers import Dense

# Blocks start close to doing nothing, in either direction, so that what passes by them keeps its size.
BLOCK_INIT = nnx.initializers.normal(0.02)


class Attention(nnx.Module):
  """Every token looks at all tokens.

  Args:
    width: Numbers a token; a multiple of `heads`.
    heads: Patterns of looking.
    rngs: Stream `params` initialises the kernels.
  """

  def __init__(self, width: int, heads: int, *, rngs: nnx.Rngs):
    self.heads = heads
    self.query = Dense(width, width, init=BLOCK_INIT, rngs=rngs)
    # A bias would add the same to all that a query is compared with. Nothing would come of it but room for an attacker,
    # and steps of Adam along what rounding leaves of its gradient.
    self.key = Dense(width, width, init=BLOCK_INIT, biased=False, rngs=rngs)
    self.value = Dense(width, width, init=BLOCK_INIT, rngs=rngs)
    self.out = Dense(width, width, init=BLOCK_INIT, rngs=rngs)

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
