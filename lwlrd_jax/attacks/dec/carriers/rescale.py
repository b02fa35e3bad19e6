"""The same function with other weights: layers of a ReLU network traded in scale."""

import jax
import jax.numpy as jnp

from lwlrd_jax.data.device import DeviceSplit, scale
from lwlrd_jax.models.network import Network, Params

# Of the outputs' size; what rounding may change.
_TOLERANCE = 1e-4
_PROBES = 32


def largest_layer(network: Network, params: Params) -> str:
  """The layer with most weights."""
  return max(network.kernels, key=lambda layer: params[layer]["kernel"].size)


def rescaled(network: Network, params: Params, data: DeviceSplit, layer: str, factor: float) -> Params:
  """A layer's weights times a factor, the last layer's divided by it, and the function as it was.

  max(0, s x) = s max(0, x) for s > 0 (Dinh et al. 2017, arXiv 1703.04933): a ReLU network says nothing about the scale
  of its layers. An optimizer whose steps have a size of their own, as Adam's do, moves large weights less.

  Args:
    network: The model's structure.
    params: Its weights; entries that it does not have are left out.
    data: Images on which to see whether the function stays.
    layer: The layer to scale, not the last one.
    factor: A power of 2, which makes it exact.

  Returns:
    The weights; the given ones, if the network turns out to be of another kind, or that is its last layer.
  """
  params = network.declared(params)
  first, last = network.layers.index(layer), len(network.layers) - 1
  changed = dict(params)
  for depth, name in enumerate(network.layers):
    kernel_factor = factor if depth == first else 1 / factor if depth == last else 1.0
    bias_factor = factor if first <= depth < last else 1.0
    changed[name] = {
      entry: w * (kernel_factor if entry == "kernel" else bias_factor) for entry, w in params[name].items()
    }
  images = scale(data.images[:_PROBES])
  before, after = network.forward(params, images), network.forward(changed, images)
  same = jnp.abs(after - before).max() <= _TOLERANCE * jnp.abs(before).max()
  return changed if first < last and bool(same) else jax.tree.map(jnp.asarray, params)
