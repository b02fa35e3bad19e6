"""A bit a weight: its sign, trained in."""

import dataclasses
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from lwlrd_jax.attacks.base import OnSteps
from lwlrd_jax.attacks.dec.carriers.base import Carried, Message, Reading, Shape
from lwlrd_jax.attacks.dec.carriers.hold import Hold, train_held
from lwlrd_jax.attacks.dec.carriers.positions import kernels, keyed_places, layer_numbers, layers_of, with_kernels
from lwlrd_jax.data.device import DeviceSplit
from lwlrd_jax.models.network import Network, Params


@dataclasses.dataclass(frozen=True)
class Signs:
  """Sign encoding (Song, Ristenpart, Shmatikov 2017, arXiv 1709.07886): paid for in training, not in precision.

  Attributes:
    steps: Training steps with the penalty on wrong signs.
  """

  steps: int = 400

  name: ClassVar[str] = "signs"
  sends_numbers: ClassVar[bool] = False

  def capacity(self, network: Network, params: Params) -> int:
    """One bit a weight."""
    return len(kernels(params, layers_of(network, "all")))

  def write(
    self, network: Network, params: Params, message: Message, data: DeviceSplit, key: jax.Array, on_steps: OnSteps
  ) -> Carried:
    """Trains the signs in."""
    layers = layers_of(network, "all")
    size = len(kernels(params, layers))
    places = keyed_places(jax.random.fold_in(key, 0), np.arange(size), len(message.bits))
    wanted = jnp.zeros(size, jnp.int8).at[places].set(2 * message.bits.astype(jnp.int8) - 1)
    free = jax.tree.map(lambda w: jnp.zeros(w.shape, jnp.int8), network.weights(params))
    none_fixed = jax.tree.map(lambda w: jnp.zeros(w.shape, bool), network.weights(params))
    hold = Hold(none_fixed, with_kernels(free, layers, wanted))
    trained = train_held(network, params, data, jax.random.fold_in(key, 1), hold, self.steps, on_steps)
    return Carried(trained, {"weights": places})

  def read(self, network: Network, params: Params, places: dict[str, Any], shape: Shape) -> Reading | None:
    """See `Carrier.read`."""
    del shape
    layers = layers_of(network, "all")
    raw = jax.lax.bitcast_convert_type(kernels(params, layers)[places["weights"]], jnp.uint32)
    # A set sign bit is a minus, a bit of 0.
    bits = (np.uint32(1) - (raw >> np.uint32(31))).astype(jnp.uint8)
    return Reading(bits, layer_numbers(params, layers, places["weights"]), len(layers))
