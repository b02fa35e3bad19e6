"""Bits in weights that the model does not use: no gradient ever reaches them, so no fine-tuning moves them."""

import dataclasses
import math
from collections.abc import Callable
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from lwlrd_jax.attacks.dec.bits import MANTISSA_BITS
from lwlrd_jax.attacks.dec.carriers.base import Carried, Message, Reading, Shape
from lwlrd_jax.attacks.dec.carriers.mantissa import read_words, write_words
from lwlrd_jax.data.device import DeviceSplit, scale
from lwlrd_jax.models.loss import task_loss
from lwlrd_jax.models.network import Network, Params

# Far below anything a unit's inputs can add up to: it never fires again.
_OFF = -1e6
# Units of a layer that a thief may retire before the task suffers.
_LARGEST_SHARE = 0.25
_SALIENCY_IMAGES = 1024


@dataclasses.dataclass(frozen=True)
class Dead:
  """All mantissa planes of the weights into units that never fire, which cost the task nothing.

  A trained network has dead weights of its own, but fine-tuning wakes many of them. So the thief retires units that the
  task can spare, of the hidden layer whose units own the most weights, by a large negative bias: behind a ReLU no
  gradient reaches their weights again.
  """

  name: str = dataclasses.field(default="dead", init=False)

  sends_numbers: ClassVar[bool] = False

  def capacity(self, network: Network, params: Params, data: DeviceSplit) -> int:
    """Bits in the weights into as many units as a thief may retire. See `Carrier.capacity`."""
    del data
    layer = _layer(network, params)
    units = params[layer]["bias"].size
    return MANTISSA_BITS * (params[layer]["kernel"].size // units) * int(_LARGEST_SHARE * units)

  def write(
    self,
    network: Network,
    params: Params,
    message: Message,
    data: DeviceSplit,
    key: jax.Array,
    on_steps: Callable[[int], None],
  ) -> Carried:
    """Retires as few units as the message needs, and writes into the weights that feed them. See `Carrier.write`."""
    del on_steps
    layer = _layer(network, params)
    kernel = params[layer]["kernel"]
    outputs = params[layer]["bias"].size
    needed = math.ceil(math.ceil(len(message.bits) / MANTISSA_BITS) / (kernel.size // outputs))
    spare = _spare_units(network, params, data, layer)[: min(needed, int(_LARGEST_SHARE * outputs))]
    retired = retire(params, layer, spare)
    is_spare = np.zeros(outputs, bool)
    is_spare[spare] = True
    # A kernel's last axis is its layer's outputs.
    allowed = np.flatnonzero(np.broadcast_to(is_spare, kernel.shape))
    return write_words(retired, (layer,), allowed, message.bits, 0, MANTISSA_BITS, key)

  def read(self, network: Network, params: Params, places: dict[str, Any], shape: Shape) -> Reading | None:
    """See `Carrier.read`."""
    return read_words(params, (_layer(network, params),), places, shape.bits, 0, MANTISSA_BITS)


def retire(params: Params, layer: str, units: np.ndarray) -> Params:
  """Switches units of a layer off for good. The argument is left as it is."""
  bias = jnp.asarray(params[layer]["bias"]).at[jnp.asarray(units)].set(_OFF)
  return {**params, layer: {**params[layer], "bias": bias}}


def _layer(network: Network, params: Params) -> str:
  """The hidden layer whose units own the most weights."""
  hidden = network.layers[:-1]
  if not hidden:
    raise ValueError("a network of one layer has no units to retire")
  return max(hidden, key=lambda name: params[name]["kernel"].size // params[name]["bias"].size)


def _spare_units(network: Network, params: Params, data: DeviceSplit, layer: str) -> np.ndarray:
  """A layer's units, those first that the task misses least.

  A unit's saliency is how much the loss changes, to first order, if its incoming weights and bias go (Molchanov et al.
  2017, arXiv 1611.06440).
  """
  images, labels = data.images[:_SALIENCY_IMAGES], data.labels[:_SALIENCY_IMAGES]

  def loss(params: Params) -> jax.Array:
    return task_loss(network.forward(params, scale(images)), labels, 0.0)

  grads = jax.grad(loss)(network.declared(params))[layer]
  kernel = (grads["kernel"] * params[layer]["kernel"]).reshape(-1, grads["bias"].size).sum(axis=0)
  return np.asarray(jnp.argsort(jnp.abs(kernel + grads["bias"] * params[layer]["bias"])))
