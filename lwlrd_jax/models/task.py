"""The utility task: its loss, of one or several labels an image, and its gradient, of a model with or without state."""

from typing import Literal

import jax
import jax.numpy as jnp
import optax

from lwlrd_jax.data.dataset import UNKNOWN
from lwlrd_jax.models.network import Network, Params

# What a training step's passes are computed in, forwards and backwards. Weights, what an optimizer keeps and does, and
# running statistics are float32 in any case, as are sums within normalisations.
Compute = Literal["float32", "bfloat16"]


def task_loss(logits: jax.Array, labels: jax.Array, label_smoothing: float) -> jax.Array:
  """Cross-entropy, averaged over the batch (and over the K findings of multi-label data, where they are known).

  Logits are f32[N, K]; labels i32[N] classes, or u8[N, K], 1 where a finding is present, `UNKNOWN` where unknown; or
  probabilities f32[N, K] of classes, or f32[N, K, 2] of findings that are absent and present, both 0 where unknown. The
  loss is f32[], 0 where nothing is known.

  Label smoothing as Szegedy et al. 2016 (arXiv 1512.00567): a target y becomes (1 - s) y + s / K; for a finding, which
  has two outcomes, (1 - s) y + s / 2; s is in [0, 1).
  """
  if labels.ndim == 3:
    decided = jnp.stack([jax.nn.log_sigmoid(-logits), jax.nn.log_sigmoid(logits)], axis=-1)
    return -(labels * decided).sum() / jnp.maximum(labels.sum(), 1)
  if jnp.issubdtype(labels.dtype, jnp.floating):
    return optax.softmax_cross_entropy(logits, labels).mean()
  if labels.ndim == 1:
    targets = optax.smooth_labels(jax.nn.one_hot(labels, logits.shape[-1], dtype=logits.dtype), label_smoothing)
    return optax.softmax_cross_entropy(logits, targets).mean()
  targets = labels.astype(logits.dtype) * (1 - label_smoothing) + label_smoothing / 2
  known = (labels != UNKNOWN).astype(logits.dtype)
  # The mean over all, times a factor that is exactly 1 where all are known: such data train as if there were no mask.
  share = known.size / jnp.maximum(known.sum(), 1)
  return (known * optax.sigmoid_binary_cross_entropy(logits, targets)).mean() * share


def task_gradient(
  network: Network,
  params: Params,
  images: jax.Array,
  labels: jax.Array,
  label_smoothing: float,
  compute: Compute = "float32",
  key: jax.Array | None = None,
) -> tuple[jax.Array, Params, Params]:
  """The task's loss on a batch, and its gradient.

  Images are f32[B, H, W, C] in [0, 1], labels as of `task_loss`; passes are in `compute`. A random network needs a key.
  The loss is f32[]; the gradient, held as f32, a tree like `network.weights(params)`; third come the statistics after
  this batch, {} of a network without any, to be laid over the tree.
  """
  whole = network.declared(params)

  def loss(weights: Params) -> tuple[jax.Array, Params]:
    # Running statistics stay as they are: a mean of many batches moves by less than bfloat16 can tell.
    weights, seen = jax.tree.map(lambda leaf: leaf.astype(compute), (weights, images))
    logits, statistics = network.forward_training({**whole, **weights}, seen, key)
    return task_loss(logits.astype(jnp.float32), labels, label_smoothing), statistics

  (value, statistics), grads = jax.value_and_grad(loss, has_aux=True)(network.weights(params))
  return value, grads, statistics
