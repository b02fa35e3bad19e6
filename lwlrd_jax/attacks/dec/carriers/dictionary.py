"""Bits in an entry of the checkpoint that belongs to no layer."""

import dataclasses
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from lwlrd_jax.attacks.base import OnSteps
from lwlrd_jax.attacks.dec.carriers.base import Carried, Carrier, Host, Message, Reading, Shape
from lwlrd_jax.models.network import Network, Params

ENTRY = "ema_statistics"  # who loads the model never asks for it; who lists the checkpoint sees it


@dataclasses.dataclass(frozen=True)
class Dictionary(Carrier):
  """An extra tensor of bytes. Needs no skill; survives whatever does not check the checkpoint's structure."""

  name: ClassVar[str] = "dictionary"

  def capacity(self, network: Network, params: Params) -> int:
    """As many bits as the model's own weights have: a checkpoint of more than twice its size is noticed."""
    return 32 * sum(leaf.size for leaf in jax.tree.leaves(network.weights(params)))

  def write(self, host: Host, message: Message, key: jax.Array, on_steps: OnSteps) -> Carried:
    """Adds the entry."""
    del on_steps, key
    if len(message.bits) > self.capacity(host.network, host.params):
      raise ValueError(f"{len(message.bits) // 8} bytes would double the checkpoint")
    return Carried({**host.params, ENTRY: {"buffer": jnp.packbits(message.bits)}}, {})

  def read(self, network: Network, params: Params, places: dict[str, Any], shape: Shape) -> Reading | None:
    """See `Carrier.read`. Bits of one place in a byte are a group."""
    del network, places
    if ENTRY not in params:
      return None
    bits = jnp.unpackbits(params[ENTRY]["buffer"], count=shape.bits)
    return Reading(bits, jnp.arange(len(bits), dtype=jnp.int32) % 8, 8)
