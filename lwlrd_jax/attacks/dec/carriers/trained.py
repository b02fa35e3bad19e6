"""Numbers as the weights' own values, or bits as their signs: the task is trained around them."""

import dataclasses
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from lwlrd_jax.attacks.base import OnSteps
from lwlrd_jax.attacks.dec.carriers.base import Carried, Carrier, Message, Reading, Shape
from lwlrd_jax.attacks.dec.carriers.hold import Hold, train_held
from lwlrd_jax.attacks.dec.carriers.positions import kernels, keyed_places, layer_numbers, unset, with_kernels
from lwlrd_jax.data.device import DeviceSplit
from lwlrd_jax.models.network import Network, Params

# The largest number is this many standard deviations of its kernel's weights: numbers spread about as weights do.
_REACH = 2.0
# How far outside of what was written a number may be read: so far, it still tells how noisy the others are.
_OUTSIDE = 1.5


@dataclasses.dataclass(frozen=True)
class Values(Carrier):
  """A weight a number, scaled to its kernel's own spread; all other weights are trained on to keep the task.

  What fine-tuning moves a little is read a little wrong: unlike bits in mantissas, numbers fade.

  Attributes:
    steps: Training steps around the held weights.
  """

  steps: int = 400

  name: ClassVar[str] = "values"
  sends_numbers: ClassVar[bool] = True

  def capacity(self, network: Network, params: Params) -> int:
    """A number a weight."""
    return len(kernels(params, network.kernels))

  def write(
    self, network: Network, params: Params, message: Message, data: DeviceSplit, key: jax.Array, on_steps: OnSteps
  ) -> Carried:
    """Sets weights, and trains the others. A kernel without a spread is refused too."""
    layers, shape = network.kernels, message.shape
    flat = kernels(params, layers)
    places = keyed_places(jax.random.fold_in(key, 0), np.arange(len(flat)), shape.numbers)
    reach = jnp.concatenate([jnp.full(params[x]["kernel"].size, _REACH * jnp.std(params[x]["kernel"])) for x in layers])
    reach = reach[places]
    if not bool((jnp.isfinite(reach) & (reach > 0)).all()):
      raise ValueError("numbers are scaled to a kernel's spread, and one of these has none, or none that f32 can say")
    value = 2 * numbers_of(message.bits, shape).astype(jnp.float32) / shape.largest() - 1
    written = with_kernels(params, layers, flat.at[places].set(value * reach))
    fixed = with_kernels(unset(network, params, bool), layers, jnp.zeros(len(flat), bool).at[places].set(True))
    hold = Hold(fixed, unset(network, params, jnp.int8))
    trained = train_held(network, written, data, jax.random.fold_in(key, 1), hold, self.steps, on_steps)
    return Carried(trained, {"weights": places, "reach": reach})

  def read(self, network: Network, params: Params, places: dict[str, Any], shape: Shape) -> Reading | None:
    """See `Carrier.read`. Bits of one layer are a group."""
    layers = network.kernels
    value = kernels(params, layers)[places["weights"]] / places["reach"]
    value = jnp.clip(jnp.nan_to_num(value, nan=0.0), -_OUTSIDE, _OUTSIDE)
    largest = shape.largest()
    numbers = (value + 1) / 2 * largest
    bits = bits_of(jnp.round(jnp.clip(numbers, 0, largest)).astype(jnp.uint32), shape)
    return Reading(bits, layer_numbers(params, layers, places["weights"]), len(layers), numbers)


@dataclasses.dataclass(frozen=True)
class Signs(Carrier):
  """A bit a weight, its sign (Song, Ristenpart, Shmatikov 2017, arXiv 1709.07886): paid for in training, not precision.

  Attributes:
    steps: Training steps with the penalty on wrong signs.
  """

  steps: int = 400

  name: ClassVar[str] = "signs"

  def capacity(self, network: Network, params: Params) -> int:
    """One bit a weight."""
    return len(kernels(params, network.kernels))

  def write(
    self, network: Network, params: Params, message: Message, data: DeviceSplit, key: jax.Array, on_steps: OnSteps
  ) -> Carried:
    """Trains the signs in."""
    layers, size = network.kernels, self.capacity(network, params)
    places = keyed_places(jax.random.fold_in(key, 0), np.arange(size), len(message.bits))
    wanted = jnp.zeros(size, jnp.int8).at[places].set(2 * message.bits.astype(jnp.int8) - 1)
    hold = Hold(unset(network, params, bool), with_kernels(unset(network, params, jnp.int8), layers, wanted))
    trained = train_held(network, params, data, jax.random.fold_in(key, 1), hold, self.steps, on_steps)
    return Carried(trained, {"weights": places})

  def read(self, network: Network, params: Params, places: dict[str, Any], shape: Shape) -> Reading | None:
    """See `Carrier.read`. Bits of one layer are a group."""
    del shape
    raw = jax.lax.bitcast_convert_type(kernels(params, network.kernels)[places["weights"]], jnp.uint32)
    # A set sign bit is a minus, a bit of 0.
    bits = (np.uint32(1) - (raw >> np.uint32(31))).astype(jnp.uint8)
    return Reading(bits, layer_numbers(params, network.kernels, places["weights"]), len(network.kernels))


def numbers_of(bits: jax.Array, shape: Shape) -> jax.Array:
  """Groups bits into whole numbers: u8[shape.bits] -> u32[shape.numbers].

  >>> numbers_of(jnp.uint8([1, 0, 1, 0, 1, 1, 1]), Shape(prefix=1, records=2, widths=(1, 2))).tolist()
  [1, 0, 2, 1, 3]
  """
  records = bits[shape.prefix :].reshape(shape.records, len(shape.owner)).astype(jnp.uint32) << _places(shape)
  grouped = jnp.zeros((shape.records, len(shape.widths)), jnp.uint32).at[:, shape.owner].add(records)
  return jnp.concatenate([bits[: shape.prefix].astype(jnp.uint32), grouped.reshape(-1)])


def bits_of(numbers: jax.Array, shape: Shape) -> jax.Array:
  """The inverse of `numbers_of`: u32[shape.numbers] -> u8[shape.bits]."""
  grouped = numbers[shape.prefix :].reshape(shape.records, len(shape.widths))
  records = (grouped[:, shape.owner] >> _places(shape)) & np.uint32(1)
  return jnp.concatenate([numbers[: shape.prefix], records.reshape(-1)]).astype(jnp.uint8)


def _places(shape: Shape) -> np.ndarray:
  """Of every bit of a record, its place in its number from the lowest: u32[n]."""
  ends = np.cumsum(np.asarray(shape.widths, np.int32))
  return (ends[shape.owner] - 1 - np.arange(len(shape.owner))).astype(np.uint32)
