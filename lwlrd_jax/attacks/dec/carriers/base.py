"""What a carrier is: a place in a checkpoint that takes bits and gives them back."""

from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from lwlrd_jax.attacks.base import OnSteps
from lwlrd_jax.data.device import DeviceSplit
from lwlrd_jax.models.network import Network, Params


class Shape(NamedTuple):
  """How a message's bits group into numbers, for carriers that send numbers. Hashable.

  Attributes:
    prefix: Bits that stand for themselves, before the records.
    records: Equal records after them.
    widths: Bits of each number of a record, in its order.
  """

  prefix: int
  records: int = 0
  widths: tuple[int, ...] = ()

  @property
  def bits(self) -> int:
    """Bits in all."""
    return self.prefix + self.records * sum(self.widths)

  @property
  def numbers(self) -> int:
    """Numbers in all, the bits of the prefix counted as numbers."""
    return self.prefix + self.records * len(self.widths)

  @property
  def owner(self) -> np.ndarray:
    """The number that each bit of a record belongs to: i32[sum(widths)]."""
    return np.repeat(np.arange(len(self.widths), dtype=np.int32), self.widths)

  def largest(self) -> np.ndarray:
    """The largest value of each number: f32[numbers]."""
    record = 2.0 ** np.asarray(self.widths, np.float32) - 1
    return np.concatenate([np.ones(self.prefix, np.float32), np.tile(record, self.records)]).astype(np.float32)

  def by_bit(self, of_numbers: jax.Array) -> jax.Array:
    """One value a number [numbers] -> one a bit [bits]: that of the number it belongs to."""
    records = of_numbers[self.prefix :].reshape(self.records, len(self.widths))[:, self.owner]
    return jnp.concatenate([of_numbers[: self.prefix], records.reshape(-1)])


class Message(NamedTuple):
  """What is to be carried: u8[shape.bits] of 0 and 1, each number's highest bit first."""

  bits: jax.Array
  shape: Shape


class Carried(NamedTuple):
  """A checkpoint that carries a message, and where in it: a tree of arrays that stays with the attacker."""

  params: Params
  places: dict[str, Any]


class Reading(NamedTuple):
  """What comes back.

  Attributes:
    bits: u8[n] of 0 and 1.
    groups: i32[n], of each bit or number: the group that a defence is likely to damage alike. None if all are one.
    num_groups: Groups there may be.
    numbers: f32[shape.numbers], between whole ones too, and somewhat outside of their ranges; None if the carrier sends
      bits. With numbers there are groups.
    observations: f32[n, F], several noisy observations of each bit, positive rather than negative for a 0, from which
      soft decoding gets more than from `bits` (`known_bits.combine`); None if there are bits only.
    word: So many consecutive bits stand in one weight: fine-tuning changes none of them, or any.
  """

  bits: jax.Array
  groups: jax.Array | None = None
  num_groups: int = 1
  numbers: jax.Array | None = None
  observations: jax.Array | None = None
  word: int = 1


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

  def write(
    self, network: Network, params: Params, message: Message, data: DeviceSplit, key: jax.Array, on_steps: OnSteps
  ) -> Carried:
    """Hides a message in a trained model, at places that the key chooses.

    `data`, the training split, is for carriers that train or look at what the model does.

    Raises:
      ValueError: It does not fit, or a weight is not finite.
    """

  def read(self, network: Network, params: Params, places: dict[str, Any], shape: Shape) -> Reading | None:
    """Reads a message of this shape; None if there is nothing to read in such a checkpoint.

    Can be jitted, and vmapped over params: whether there is something follows from the tree's structure.
    """
