"""What a carrier is: a place in a checkpoint that takes bits and gives them back."""

from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from lwlrd_jax.attacks.base import OnSteps
from lwlrd_jax.attacks.dec.bit_fields import join_bits, owners, split_bits
from lwlrd_jax.data.device import DeviceSplit
from lwlrd_jax.models.network import Network, Params


class Shape(NamedTuple):
  """How a message's bits group into numbers, for carriers that send numbers. Hashable."""

  prefix: int  # bits that stand for themselves, before the records
  records: int = 0  # equal records after them
  widths: tuple[int, ...] = ()  # bits of each number of a record, in its order

  @property
  def bits(self) -> int:
    """Bits in all."""
    return self.prefix + self.records * sum(self.widths)

  @property
  def numbers(self) -> int:
    """Numbers in all, the bits of the prefix counted as numbers."""
    return self.prefix + self.records * len(self.widths)

  def largest(self) -> np.ndarray:
    """The largest value of each number: f32[numbers]."""
    record = 2.0 ** np.asarray(self.widths, np.float32) - 1
    return np.concatenate([np.ones(self.prefix, np.float32), np.tile(record, self.records)]).astype(np.float32)

  def by_bit(self, of_numbers: jax.Array) -> jax.Array:
    """One value a number [numbers] -> one a bit [bits]: that of the number it belongs to."""
    records = of_numbers[self.prefix :].reshape(self.records, len(self.widths))[:, owners(self.widths)]
    return jnp.concatenate([of_numbers[: self.prefix], records.reshape(-1)])

  def joined(self, bits: jax.Array) -> jax.Array:
    """Bits u8[bits] of 0 and 1 -> the numbers that they are, u32[numbers].

    >>> Shape(prefix=1, records=2, widths=(1, 2)).joined(jnp.uint8([1, 0, 1, 0, 1, 1, 1])).tolist()
    [1, 0, 2, 1, 3]
    """
    records = join_bits(bits[self.prefix :].reshape(self.records, sum(self.widths)), self.widths)
    return jnp.concatenate([bits[: self.prefix].astype(jnp.uint32), records.reshape(-1)])

  def split(self, numbers: jax.Array) -> jax.Array:
    """The inverse of `joined`: u32[numbers] -> u8[bits]."""
    records = split_bits(numbers[self.prefix :].reshape(self.records, len(self.widths)), self.widths)
    return jnp.concatenate([numbers[: self.prefix].astype(jnp.uint8), records.reshape(-1)])


class Message(NamedTuple):
  """What is to be carried: u8[shape.bits] of 0 and 1, each number's highest bit first."""

  bits: jax.Array
  shape: Shape


class Host(NamedTuple):
  """A trained model that is to carry a message, and its training split, for carriers that train or call the model."""

  network: Network
  params: Params
  data: DeviceSplit


class Carried(NamedTuple):
  """A checkpoint that carries a message, and where in it: a tree of arrays that stays with the attacker."""

  params: Params
  places: dict[str, Any]


class Reading(NamedTuple):
  """What comes back."""

  bits: jax.Array  # u8[n] of 0 and 1
  groups: jax.Array  # i32[n], of each bit or number: the group that a defence is likely to damage alike
  num_groups: int  # groups there may be
  # f32[shape.numbers], between whole ones too, and somewhat outside of their ranges; None if the carrier sends bits.
  # With numbers there are groups.
  numbers: jax.Array | None = None
  # f32[n, F], several noisy observations of each bit, positive rather than negative for a 0, from which soft decoding
  # gets more than from `bits` (`known_bits.combine`); None if there are bits only.
  observations: jax.Array | None = None
  word: int = 1  # so many consecutive bits stand in one weight: fine-tuning changes none of them, or any


class Carrier(Protocol):
  """A way to hide bits in a checkpoint. Frozen and hashable: a static argument of `jax.jit`."""

  @property
  def name(self) -> str:
    """What users call it."""

  @property
  def steps(self) -> int:
    """Training steps of `write`, 1 if it trains nothing."""
    return 1

  @property
  def sends_numbers(self) -> bool:
    """Whether numbers are sent as they are, rather than bit by bit."""
    return False

  def capacity(self, network: Network, params: Params) -> int:
    """Bits that fit; numbers that fit, if it sends numbers."""

  def write(self, host: Host, message: Message, key: jax.Array, on_steps: OnSteps) -> Carried:
    """Hides a message at keyed places. Raises ValueError if it does not fit, or a weight is not finite."""

  def read(self, network: Network, params: Params, places: dict[str, Any], shape: Shape) -> Reading | None:
    """Reads a message of this shape; None if there is nothing to read in such a checkpoint.

    Can be jitted, and vmapped over params: whether there is something follows from the tree's structure.
    """
