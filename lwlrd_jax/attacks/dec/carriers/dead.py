"""Bits in weights that the outputs do not depend on: no gradient ever reaches them, so no fine-tuning moves them."""

import dataclasses
import itertools
import math
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from lwlrd_jax.attacks.base import OnSteps
from lwlrd_jax.attacks.dec.carriers.base import Carried, Carrier, Host, Message, Reading, Shape
from lwlrd_jax.attacks.dec.carriers.kernels import MANTISSA_BITS, read_words, write_words
from lwlrd_jax.data.device import DeviceSplit, scale
from lwlrd_jax.errors import UserError
from lwlrd_jax.models.network import Network, Params
from lwlrd_jax.models.task import task_loss

_OFF = -1e6  # far below anything a unit's inputs can add up to: it never fires again
_LARGEST_SHARE = 0.25  # of a layer's units, that an attacker may retire before the task suffers
_SALIENCY_IMAGES = 1024
_PROBES = 16


@dataclasses.dataclass(frozen=True)
class Dead(Carrier):
  """All mantissa planes of the weights into units that never fire, which cost the task nothing.

  Fine-tuning wakes many of the weights that are dead of themselves. So the attacker retires units that the task can
  spare by a large negative bias: behind a ReLU or GELU no gradient reaches their weights again.
  """

  name: ClassVar[str] = "dead"

  def capacity(self, network: Network, params: Params) -> int:
    """Bits in the weights into as many units as an attacker may retire."""
    layer = _layer(network, params)
    units = params[layer]["bias"].size
    return MANTISSA_BITS * (params[layer]["kernel"].size // units) * int(_LARGEST_SHARE * units)

  def write(self, host: Host, message: Message, key: jax.Array, on_steps: OnSteps) -> Carried:
    """Retires as few units as the message needs, and writes into the weights that feed them."""
    del on_steps
    network, params, data = host
    layer = _layer(network, params)
    kernel = params[layer]["kernel"]
    outputs = params[layer]["bias"].size
    needed = math.ceil(math.ceil(len(message.bits) / MANTISSA_BITS) / (kernel.size // outputs))
    spare = _spare_units(network, params, data, layer)[: min(needed, int(_LARGEST_SHARE * outputs))]
    retired = retire(params, layer, spare)
    is_spare = np.zeros(outputs, bool)
    is_spare[spare] = True
    allowed = np.flatnonzero(np.broadcast_to(is_spare, kernel.shape))  # a kernel's last axis is its layer's outputs
    before = sum(params[name]["kernel"].size for name in itertools.takewhile(lambda x: x != layer, network.kernels))
    return write_words(retired, network.kernels, before + allowed, message.bits, 0, MANTISSA_BITS, key)

  def read(self, network: Network, params: Params, places: dict[str, Any], shape: Shape) -> Reading | None:
    """See `Carrier.read`."""
    return read_words(params, network.kernels, places, shape.bits, 0, MANTISSA_BITS)


def retire(params: Params, layer: str, units: np.ndarray) -> Params:
  """Switches units of a layer off for good. The argument is left as it is."""
  bias = jnp.asarray(params[layer]["bias"]).at[jnp.asarray(units)].set(_OFF)
  return {**params, layer: {**params[layer], "bias": bias}}


def _layer(network: Network, params: Params) -> str:
  """Of the layers whose units can be retired, the one whose units own the most weights."""
  outputs = {name: params[name]["kernel"].shape[-1:] for name in network.kernels}
  biased = [name for name in network.kernels if "bias" in params[name] and params[name]["bias"].shape == outputs[name]]
  for name in sorted(biased, key=lambda name: params[name]["kernel"].size // outputs[name][0], reverse=True):
    if _can_be_retired(network, params, name):
      return name
  raise UserError(
    "`attacks` dec-dead: no layer of this network has units that its own bias switches off; allowed: others"
  )


def _can_be_retired(network: Network, params: Params, layer: str) -> bool:
  """Whether a retired unit has no effect at all, and no gradient reaches its weights: so behind a ReLU.

  Random weights and images answer this question of structure; a missing gradient alone does not (`stop_gradient`).
  """
  leaves, tree = jax.tree.flatten(network.weights(params))
  keys = jax.random.split(jax.random.key(0), len(leaves) + 2)
  drawn = [
    jax.random.normal(key, w.shape) / math.sqrt(w.size / w.shape[-1]) if w.ndim > 1 else jnp.ones(w.shape)
    for key, w in zip(keys[2:], leaves, strict=True)
  ]
  images = jax.random.uniform(keys[0], (_PROBES, *network.image_shape))
  retired = retire({**network.declared(params), **jax.tree.unflatten(tree, drawn)}, layer, np.array([0]))
  kernel = retired[layer]["kernel"]
  column = jax.random.normal(keys[1], kernel.shape[:-1])
  other = {**retired, layer: {**retired[layer], "kernel": kernel.at[..., 0].set(column)}}

  def outputs(params: Params) -> tuple[jax.Array, jax.Array]:
    logits = network.forward(params, images)
    return jnp.square(logits).sum(), logits

  grads, logits = jax.grad(outputs, has_aux=True)(retired)
  of_layer = grads[layer]
  has_gradient = (of_layer["kernel"][..., 0] != 0).any() | (of_layer["bias"][0] != 0)
  return not bool(has_gradient | (network.forward(other, images) != logits).any())


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
