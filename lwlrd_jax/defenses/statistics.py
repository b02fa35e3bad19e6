"""Running statistics of batch normalisation, recomputed: whatever an attacker wrote into them is gone."""

import jax
import jax.numpy as jnp

from lwlrd_jax.data.device import scale
from lwlrd_jax.data.host_images import HostImages
from lwlrd_jax.models.network import STATISTICS, Network, Params

_BATCH = 128


def recompute(network: Network, params: Params, images: jax.Array | HostImages) -> Params:
  """The statistics that a model's weights have on given images.

  Means and variances of batches, each layer normalised by its batch, averaged over all full batches in their order
  (Wu and Johnson 2021, arXiv 2105.07576, "precise" statistics). They depend on weights and images alone, and nothing of
  the old ones is kept. Dropout is on, as in the training steps whose running means they stand for, from a fixed key.
  Of images u8[N, H, W, C]: {STATISTICS: ...}, to be laid over the tree; {} of a network without any. Those that
  training does not move are left as they are.
  """
  if not network.statistics:
    return {}
  size = min(_BATCH, len(images))
  batches = jnp.arange(len(images) // size * size).reshape(-1, size)
  weights, shapes = network.weights(params), {STATISTICS: params[STATISTICS]}

  def after_one(old: jax.Array, batch: jax.Array) -> Params:
    # A batch's first image identifies it.
    key = jax.random.fold_in(jax.random.key(0), batch[0]) if network.is_random else None
    filled = jax.tree.map(lambda leaf: jnp.full(leaf.shape, old, leaf.dtype), shapes)
    return network.forward_training({**weights, **filled}, scale(images[batch]), key)[1]

  # Running statistics are m old + (1 - m) new, with a momentum m that is the module's own business: from an old 0 they
  # are (1 - m) new, and of an old one that is so large that no new one counts, m times that. (The derivative would say
  # the same, but modules may stop gradients there.)
  zero, huge = jnp.float32(0), jnp.float32(2.0**80)
  momentum = jax.tree.map(lambda after: after / huge, after_one(huge, batches[0]))

  def add(total: Params, batch: jax.Array) -> tuple[Params, None]:
    return jax.tree.map(jnp.add, total, after_one(zero, batch)), None

  total, _ = jax.lax.scan(add, jax.tree.map(jnp.zeros_like, shapes), batches)

  def mean(summed: jax.Array, m: jax.Array, old: jax.Array) -> jax.Array:
    return jnp.where(m < 1, summed / jnp.where(m < 1, len(batches) * (1 - m), 1), old)

  return jax.tree.map(mean, total, momentum, {STATISTICS: params[STATISTICS]})
