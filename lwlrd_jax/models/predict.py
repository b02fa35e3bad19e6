"""A model's answers to a whole split."""

import jax
import jax.numpy as jnp

from lwlrd_jax.data.device import scale
from lwlrd_jax.models.network import Network, Params

# Images classified at a time: bounds the memory that activations need.
_CHUNK = 512


def predict(network: Network, params: Params, images: jax.Array) -> jax.Array:
  """Logits of a split, a chunk at a time: u8[N, H, W, C] -> f32[N, K]."""
  size = len(images)
  chunk = min(_CHUNK, size)
  chunks = -(-size // chunk)
  padded = jnp.pad(images, ((0, chunks * chunk - size), (0, 0), (0, 0), (0, 0)))
  padded = padded.reshape(chunks, chunk, *images.shape[1:])
  logits = jax.lax.map(lambda part: network.forward(params, scale(part)), padded)
  return logits.reshape(chunks * chunk, -1)[:size]
