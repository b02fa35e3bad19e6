"""What a training step costs, before any is taken."""

from typing import Any

import jax

from lwlrd_jax.models.network import Network, Params


def training_flops(network: Network, params: Params, batch_size: int) -> float:
  """Floating-point operations of a training step on so many images, with weights or their shapes.

  Three times those of the forward pass as XLA counts them: a backward pass is two such passes, one for what layers read
  and one for their weights.
  """
  # Only the CPU's client counts what is not compiled yet.
  with jax.default_device(jax.local_devices(backend="cpu")[0]):
    shapes = jax.eval_shape(lambda params: params, params)  # arrays on another device would be lowered for that one
    cost = jax.jit(_forward(network)).lower(shapes, network.images(batch_size)).cost_analysis()
  assert cost is not None
  return 3 * float(cost["flops"])


def activation_bytes(network: Network, params: Params, batch_size: int) -> int:
  """Bytes that a training step keeps of a batch for its backward pass, as far as no compiler saves any of it."""

  def backward(params: Params, images: jax.Array) -> Any:
    # What a backward function holds is a tree of arrays; weights are among them.
    return jax.vjp(lambda params: _forward(network)(params, images), params)[1]

  kept = jax.tree.leaves(jax.eval_shape(backward, params, network.images(batch_size)))
  return sum(leaf.size * leaf.dtype.itemsize for leaf in kept)


def _forward(network: Network) -> Any:
  key = jax.random.key(0) if network.is_random else None
  return lambda params, images: network.forward_training(params, images, key)[0]
