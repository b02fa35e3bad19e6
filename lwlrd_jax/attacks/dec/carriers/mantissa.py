"""Bits in mantissa planes of the kernels of some layers, written into a trained model."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lwlrd_jax.attacks.base import OnSteps
from lwlrd_jax.attacks.dec.carriers.base import Carried, Carrier, Message, Reading, Shape
from lwlrd_jax.attacks.dec.carriers.bits import bits_to_words, check_finite, read_planes, words_to_bits, write_planes
from lwlrd_jax.attacks.dec.carriers.positions import kernels, keyed_places, layer_numbers, layers_of, with_kernels
from lwlrd_jax.data.device import DeviceSplit
from lwlrd_jax.models.network import Network, Params


@dataclasses.dataclass(frozen=True)
class Mantissa(Carrier):
  """Steganography in the least significant bits (Song, Ristenpart, Shmatikov 2017, arXiv 1709.07886).

  Attributes:
    where: Layers: `all`, `early` or `late`.
    low: Lowest plane; 0 is the least significant.
    high: One above the highest, at most 23.
  """

  where: str
  low: int = 0
  high: int = 8

  @property
  def name(self) -> str:
    """`all`, `early` or `late`."""
    return self.where

  def capacity(self, network: Network, params: Params) -> int:
    """Planes times weights."""
    return (self.high - self.low) * len(kernels(params, layers_of(network, self.where)))

  def write(
    self, network: Network, params: Params, message: Message, data: DeviceSplit, key: jax.Array, on_steps: OnSteps
  ) -> Carried:
    """Overwrites the planes."""
    del data, on_steps
    layers = layers_of(network, self.where)
    allowed = np.arange(len(kernels(params, layers)))
    return write_words(params, layers, allowed, message.bits, self.low, self.high, key)

  def read(self, network: Network, params: Params, places: dict[str, Any], shape: Shape) -> Reading | None:
    """See `Carrier.read`."""
    return read_words(params, layers_of(network, self.where), places, shape.bits, self.low, self.high)


def write_words(
  params: Params, layers: tuple[str, ...], allowed: np.ndarray, bits: jax.Array, low: int, high: int, key: jax.Array
) -> Carried:
  """Writes bits into planes of weights that the key chooses among the allowed ones of these layers' kernels."""
  flat = kernels(params, layers)
  check_finite(np.asarray(flat))
  words = bits_to_words(bits, high - low)
  places = keyed_places(key, allowed, len(words))
  flat = flat.at[places].set(write_planes(flat[places], words, low, high))
  return Carried(with_kernels(params, layers, flat), {"weights": places})


def read_words(
  params: Params, layers: tuple[str, ...], places: dict[str, Any], count: int, low: int, high: int
) -> Reading:
  """Reads what `write_words` wrote. Bits of one layer and plane are a group."""
  width = high - low
  words = read_planes(kernels(params, layers)[places["weights"]], low, high)
  planes = jnp.arange(width, dtype=jnp.int32)
  groups = width * layer_numbers(params, layers, places["weights"])[:, None] + planes
  return Reading(words_to_bits(words, width, count), groups.reshape(-1)[:count], width * len(layers), word=width)
