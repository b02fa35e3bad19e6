"""The utility task's loss, for single-label and multi-label data."""

import jax
import jax.numpy as jnp
import optax

from lwlrd_jax.data.dataset import UNKNOWN


def task_loss(logits: jax.Array, labels: jax.Array, label_smoothing: float) -> jax.Array:
  """Cross-entropy, averaged over the batch (and over the K findings of multi-label data, where they are known).

  Label smoothing as Szegedy et al. 2016 (arXiv 1512.00567): a target y becomes (1 - s) y + s / K; for a finding, which
  has two outcomes, (1 - s) y + s / 2.

  Args:
    logits: f32[N, K].
    labels: i32[N] classes, or u8[N, K], 1 where a finding is present, `UNKNOWN` where nobody knows.
    label_smoothing: s, in [0, 1).

  Returns:
    f32[], 0 where nothing is known.
  """
  if labels.ndim == 1:
    targets = optax.smooth_labels(jax.nn.one_hot(labels, logits.shape[-1], dtype=logits.dtype), label_smoothing)
    return optax.softmax_cross_entropy(logits, targets).mean()
  targets = labels.astype(logits.dtype) * (1 - label_smoothing) + label_smoothing / 2
  known = (labels != UNKNOWN).astype(logits.dtype)
  # The mean over all, times a factor that is exactly 1 where all are known: such data train as if there were no mask.
  share = known.size / jnp.maximum(known.sum(), 1)
  return (known * optax.sigmoid_binary_cross_entropy(logits, targets)).mean() * share
