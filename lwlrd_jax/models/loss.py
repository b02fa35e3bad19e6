"""The utility task's loss, for single-label and multi-label data."""

import jax
import optax


def task_loss(logits: jax.Array, labels: jax.Array, label_smoothing: float) -> jax.Array:
  """Cross-entropy, averaged over the batch (and over the K findings of multi-label data).

  Label smoothing as Szegedy et al. 2016 (arXiv 1512.00567): a target y becomes (1 - s) y + s / K; for a finding, which
  has two outcomes, (1 - s) y + s / 2.

  Args:
    logits: f32[N, K].
    labels: i32[N] classes, or u8[N, K], 1 where a finding is present.
    label_smoothing: s, in [0, 1).

  Returns:
    f32[].
  """
  if labels.ndim == 1:
    targets = optax.smooth_labels(jax.nn.one_hot(labels, logits.shape[-1], dtype=logits.dtype), label_smoothing)
    return optax.softmax_cross_entropy(logits, targets).mean()
  targets = labels.astype(logits.dtype) * (1 - label_smoothing) + label_smoothing / 2
  return optax.sigmoid_binary_cross_entropy(logits, targets).mean()
