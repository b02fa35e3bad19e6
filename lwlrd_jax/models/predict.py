"""A model's answers to a whole split."""

import jax
import jax.numpy as jnp

from lwlrd_jax.data.device import scale
from lwlrd_jax.data.host_images import HostImages
from lwlrd_jax.models.network import Network, Params

# Images classified at a time: bounds the memory that activations need.
CHUNK = 512


def predict(network: Network, params: Params, images: jax.Array | HostImages) -> jax.Array:
  """Logits of a split, a chunk at a time: u8[N, H, W, C] -> f32[N, K]."""
  size = len(images)
  chunk = min(CHUNK, size)
  chunks = -(-size // chunk)
  # The last chunk is filled up with the last image.
  positions = jnp.minimum(jnp.arange(chunks * chunk), size - 1).reshape(chunks, chunk)
  logits = jax.lax.map(lambda part: network.forward(params, scale(images[part])), positions)
  return logits.reshape(chunks * chunk, -1)[:size]
