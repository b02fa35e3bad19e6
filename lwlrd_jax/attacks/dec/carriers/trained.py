"""Numbers as the weights' own values, or bits as their signs: the task is trained around them."""

import dataclasses
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from lwlrd_jax.attacks.base import OnSteps
from lwlrd_jax.attacks.dec.carriers.base import Carried, Carrier, Host, Message, Reading, Shape
from lwlrd_jax.attacks.dec.carriers.hold import Hold, train_held
from lwlrd_jax.attacks.dec.carriers.kernels import kernels, keyed_places, layer_numbers, unset, with_kernels
from lwlrd_jax.models.network import Network, Params

# The largest number is this many standard deviations of its kernel's weights: numbers spread about as weights do.
_REACH = 2.0
# How far outside of what was written a number may be read: so far, it still shows how noisy the others are.
_OUTSIDE = 1.5


@dataclasses.dataclass(frozen=True)
class Values(Carrier):
  """A weight a number, scaled to its kernel's own spread; all other weights are trained on to keep the task.

  What fine-tuning moves a little is read a little wrong: unlike bits in mantissas, numbers fade.
  """

  steps: int = 400  # training steps around the held weights
  name: ClassVar[str] = "values"
  sends_numbers: ClassVar[bool] = True

  def capacity(self, network: Network, params: Params) -> int:
    """A number a weight."""
    return len(kernels(params, network.kernels))

  def write(self, host: Host, message: Message, key: jax.Array, on_steps: OnSteps) -> Carried:
    """Sets weights, and trains the others. A kernel without a spread is refused too."""
    network, params, _ = host
    layers, shape = network.kernels, message.shape
    flat = kernels(params, layers)
    places = keyed_places(jax.random.fold_in(key, 0), np.arange(len(flat)), shape.numbers)
    reach = jnp.concatenate([jnp.full(params[x]["kernel"].size, _REACH * jnp.std(params[x]["kernel"])) for x in layers])
    reach = reach[places]
    if not bool((jnp.isfinite(reach) & (reach > 0)).all()):
      raise ValueError("numbers are scaled to a kernel's spread, and one of these has none, or one beyond f32")
    value = 2 * shape.joined(message.bits).astype(jnp.float32) / shape.largest() - 1
    written = with_kernels(params, layers, flat.at[places].set(value * reach))
    fixed = with_kernels(unset(network, params, bool), layers, jnp.zeros(len(flat), bool).at[places].set(True))
    hold = Hold(fixed, unset(network, params, jnp.int8))
    trained = train_held(host._replace(params=written), jax.random.fold_in(key, 1), hold, self.steps, on_steps)
    return Carried(trained, {"weights": places, "reach": reach})

  def read(self, network: Network, params: Params, places: dict[str, Any], shape: Shape) -> Reading | None:
    """See `Carrier.read`. Bits of one layer are a group."""
    layers = network.kernels
    value = kernels(params, layers)[places["weights"]] / places["reach"]
    value = jnp.clip(jnp.nan_to_num(value, nan=0.0), -_OUTSIDE, _OUTSIDE)
    largest = shape.largest()
    numbers = (value + 1) / 2 * largest
    bits = shape.split(jnp.round(jnp.clip(numbers, 0, largest)).astype(jnp.uint32))
    return Reading(bits, layer_numbers(params, layers, places["weights"]), len(layers), numbers)


@dataclasses.dataclass(frozen=True)
class Signs(Carrier):
  """A bit a weight, its sign (Song et al. 2017, arXiv 1709.07886): paid for in training, not precision."""

  steps: int = 400  # training steps with the penalty on wrong signs
  name: ClassVar[str] = "signs"

  def capacity(self, network: Network, params: Params) -> int:
    """One bit a weight."""
    return len(kernels(params, network.kernels))

  def write(self, host: Host, message: Message, key: jax.Array, on_steps: OnSteps) -> Carried:
    """Trains the signs in."""
    network, params, _ = host
    layers, size = network.kernels, self.capacity(network, params)
    places = keyed_places(jax.random.fold_in(key, 0), np.arange(size), len(message.bits))
    wanted = jnp.zeros(size, jnp.int8).at[places].set(2 * message.bits.astype(jnp.int8) - 1)
    hold = Hold(unset(network, params, bool), with_kernels(unset(network, params, jnp.int8), layers, wanted))
    trained = train_held(host, jax.random.fold_in(key, 1), hold, self.steps, on_steps)
    return Carried(trained, {"weights": places})

  def read(self, network: Network, params: Params, places: dict[str, Any], shape: Shape) -> Reading | None:
    """See `Carrier.read`. Bits of one layer are a group."""
    del shape
    raw = jax.lax.bitcast_convert_type(kernels(params, network.kernels)[places["weights"]], jnp.uint32)
    bits = (np.uint32(1) - (raw >> np.uint32(31))).astype(jnp.uint8)  # a set sign bit is a minus, a bit of 0
    return Reading(bits, layer_numbers(params, network.kernels, places["weights"]), len(network.kernels))
