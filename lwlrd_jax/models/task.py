"""What a step of training on the utility task needs: the loss and its gradient, of a model with or without state."""

import jax

from lwlrd_jax.models.loss import task_loss
from lwlrd_jax.models.network import Network, Params


def task_gradient(
  network: Network, params: Params, images: jax.Array, labels: jax.Array, label_smoothing: float
) -> tuple[jax.Array, Params, Params]:
  """The task's loss on a batch, and which way it falls.

  Args:
    network: The model's structure.
    params: Its weights, and statistics if it has any.
    images: f32[B, H, W, C] in [0, 1].
    labels: i32[B] or u8[B, K].
    label_smoothing: See `task_loss`.

  Returns:
    The loss, f32[]; its gradient, a tree like `network.weights(params)`; and the statistics after this batch, {} of a
    network without any, to be laid over the tree.
  """
  whole = network.declared(params)

  def loss(weights: Params) -> tuple[jax.Array, Params]:
    logits, statistics = network.forward_training({**whole, **weights}, images)
    return task_loss(logits, labels, label_smoothing), statistics

  (value, statistics), grads = jax.value_and_grad(loss, has_aux=True)(network.weights(params))
  return value, grads, statistics
