"""Bits in mantissa planes of the kernels of some layers, written into a trained model."""

import dataclasses
from typing import Any

import jax
import numpy as np

from lwlrd_jax.attacks.base import OnSteps
from lwlrd_jax.attacks.dec.carriers.base import Carried, Carrier, Host, Message, Reading, Shape
from lwlrd_jax.attacks.dec.carriers.kernels import kernels, layers_of, read_words, write_words
from lwlrd_jax.models.network import Network, Params


@dataclasses.dataclass(frozen=True)
class Mantissa(Carrier):
  """Steganography in the least significant bits (Song, Ristenpart, Shmatikov 2017, arXiv 1709.07886)."""

  where: str  # layers: `all`, `early` or `late`
  low: int = 0  # lowest plane; 0 is the least significant
  high: int = 8  # one above the highest, at most 23

  @property
  def name(self) -> str:
    """`all`, `early` or `late`."""
    return self.where

  def capacity(self, network: Network, params: Params) -> int:
    """Planes times weights."""
    return (self.high - self.low) * len(kernels(params, layers_of(network, self.where)))

  def write(self, host: Host, message: Message, key: jax.Array, on_steps: OnSteps) -> Carried:
    """Overwrites the planes."""
    del on_steps
    layers = layers_of(host.network, self.where)
    allowed = np.arange(len(kernels(host.params, layers)))
    return write_words(host.params, layers, allowed, message.bits, self.low, self.high, key)

  def read(self, network: Network, params: Params, places: dict[str, Any], shape: Shape) -> Reading | None:
    """See `Carrier.read`."""
    return read_words(params, layers_of(network, self.where), places, shape.bits, self.low, self.high)
