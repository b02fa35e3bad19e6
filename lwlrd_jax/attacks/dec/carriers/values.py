"""Numbers as the weights' own values, the task trained around them."""

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

# A kernel's weights spread about as the numbers do that replace some of them: this many standard deviations is the
# largest number.
_REACH = 2.0
# How far outside of what was written a number may be read: so far, it still tells how noisy the others are.
_OUTSIDE = 1.5


@dataclasses.dataclass(frozen=True)
class Values:
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
    return len(kernels(params, layers_of(network, "all")))

  def write(
    self, network: Network, params: Params, message: Message, data: DeviceSplit, key: jax.Array, on_steps: OnSteps
  ) -> Carried:
    """Sets weights, and trains the others. A kernel without a spread is refused too."""
    layers = layers_of(network, "all")
    flat = kernels(params, layers)
    places = keyed_places(jax.random.fold_in(key, 0), np.arange(len(flat)), message.shape.numbers)
    reach = jnp.concatenate([jnp.full(params[x]["kernel"].size, _REACH * jnp.std(params[x]["kernel"])) for x in layers])
    reach = reach[places]
    if not bool((jnp.isfinite(reach) & (reach > 0)).all()):
      raise ValueError("numbers are scaled to a kernel's spread, and one of these has none, or none that f32 can say")
    number = numbers_of(message.bits, message.shape).astype(jnp.float32)
    value = 2 * number / message.shape.largest() - 1
    written = with_kernels(params, layers, flat.at[places].set(value * reach))
    fixed = with_kernels(
      jax.tree.map(lambda w: jnp.zeros(w.shape, bool), network.weights(params)),
      layers,
      jnp.zeros(len(flat), bool).at[places].set(True),
    )
    free = jax.tree.map(lambda w: jnp.zeros(w.shape, jnp.int8), network.weights(params))
    hold = Hold(fixed, free)
    trained = train_held(network, written, data, jax.random.fold_in(key, 1), hold, self.steps, on_steps)
    return Carried(trained, {"weights": places, "reach": reach})

  def read(self, network: Network, params: Params, places: dict[str, Any], shape: Shape) -> Reading | None:
    """See `Carrier.read`."""
    layers = layers_of(network, "all")
    value = kernels(params, layers)[places["weights"]] / places["reach"]
    value = jnp.clip(jnp.nan_to_num(value, nan=0.0), -_OUTSIDE, _OUTSIDE)
    largest = shape.largest()
    numbers = (value + 1) / 2 * largest
    bits = bits_of(jnp.round(jnp.clip(numbers, 0, largest)).astype(jnp.uint32), shape)
    return Reading(bits, layer_numbers(params, layers, places["weights"]), len(layers), numbers)


def numbers_of(bits: jax.Array, shape: Shape) -> jax.Array:
  """Groups bits into whole numbers: u8[shape.bits] -> u32[shape.numbers].

  >>> numbers_of(jnp.uint8([1, 0, 1, 0, 1, 1, 1]), Shape(prefix=1, records=2, widths=(1, 2))).tolist()
  [1, 0, 2, 1, 3]
  """
  number, place = _bit_places(shape.widths)
  records = bits[shape.prefix :].reshape(shape.records, len(number)).astype(jnp.uint32) << place
  grouped = jnp.zeros((shape.records, len(shape.widths)), jnp.uint32).at[:, number].add(records)
  return jnp.concatenate([bits[: shape.prefix].astype(jnp.uint32), grouped.reshape(-1)])


def bits_of(numbers: jax.Array, shape: Shape) -> jax.Array:
  """The inverse of `numbers_of`: u32[shape.numbers] -> u8[shape.bits]."""
  number, place = _bit_places(shape.widths)
  grouped = numbers[shape.prefix :].reshape(shape.records, len(shape.widths))
  records = (grouped[:, number] >> place) & np.uint32(1)
  return jnp.concatenate([numbers[: shape.prefix], records.reshape(-1)]).astype(jnp.uint8)


def _bit_places(widths: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
  """Of every bit of a record, the number it belongs to, and its place there: i32[n] and u32[n]."""
  lengths = np.asarray(widths, np.int32)
  number = np.repeat(np.arange(len(lengths), dtype=np.int32), lengths)
  ends = np.cumsum(lengths)
  place = ends[number] - 1 - np.arange(len(number)) if len(number) else number
  return number, place.astype(np.uint32)
