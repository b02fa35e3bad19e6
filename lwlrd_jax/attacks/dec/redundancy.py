"""Ways to protect hidden bits against the damage that fine-tuning does to them.

Log odds of a bit are log(P(0) / P(1)): positive where it is rather a 0, the further from 0 the surer.

Nothing here imports JAX before bits are recovered: the command line reads `--redundancy` with it.
"""

import dataclasses
import functools
import re
from typing import TYPE_CHECKING, Protocol

import numpy as np
import reedsolo

from lwlrd_jax.attacks.dec.repeat_accumulate import RepeatAccumulate
from lwlrd_jax.errors import UserError, did_you_mean, nearest, shown

if TYPE_CHECKING:
  import jax

# Bytes of a Reed-Solomon block over GF(256), parity included.
_BLOCK = 255

# Log odds of a bit that a block code vouches for.
_CERTAIN = 30.0

_ALLOWED = "allowed: none, repeat-K (odd K from 3), rs-N (N parity bytes, 2 to 128), ra-Q (Q from 2 to 16)"


class Redundancy(Protocol):
  """A way to protect bits. Frozen and hashable: may be a static argument of `jax.jit`."""

  @property
  def name(self) -> str:
    """As `parse_redundancy` reads it."""

  @property
  def on_device(self) -> bool:
    """Whether `weigh` and `hearsay` can be traced by `jax.jit` and `jax.vmap`; otherwise they return NumPy arrays."""

  def coded_length(self, n: int) -> int:
    """How many protected bits n bits become, n >= 0."""

  def protect(self, bits: np.ndarray) -> np.ndarray:
    """Protects bits, on the host.

    Args:
      bits: u8[n] of 0 and 1.

    Returns:
      u8[coded_length(n)] of 0 and 1.
    """

  def weigh(self, log_odds: "jax.Array | np.ndarray", n: int) -> "jax.Array | np.ndarray":
    """Undoes `protect`, and the damage as far as possible. Never says whether it was possible.

    Args:
      log_odds: f32[coded_length(n)], log(P(0) / P(1)) of every protected bit.
      n: How many bits were protected.

    Returns:
      f32[n], log odds of the bits.

    Raises:
      ValueError: The number of log odds is not coded_length(n).
    """

  def hearsay(self, log_odds: "jax.Array | np.ndarray", n: int) -> "jax.Array | np.ndarray":
    """What all others say of each protected bit: f32[coded_length(n)] log odds, its own left out. As `weigh`."""

  def places(self, positions: np.ndarray, n: int) -> np.ndarray:
    """Where some of the n bits stand in the protected stream as they are: i[k] -> i[copies, k]."""


@dataclasses.dataclass(frozen=True)
class Unprotected:
  """No redundancy: bits go in and come back as they are."""

  name: str = dataclasses.field(default="none", init=False)
  on_device: bool = dataclasses.field(default=True, init=False)

  def coded_length(self, n: int) -> int:
    """See `Redundancy`."""
    return n

  def protect(self, bits: np.ndarray) -> np.ndarray:
    """See `Redundancy`."""
    return bits

  def weigh(self, log_odds: "jax.Array | np.ndarray", n: int) -> "jax.Array | np.ndarray":
    """See `Redundancy`."""
    _check_length(self, log_odds, n)
    return log_odds

  def hearsay(self, log_odds: "jax.Array | np.ndarray", n: int) -> "jax.Array | np.ndarray":
    """See `Redundancy`. Nothing."""
    _check_length(self, log_odds, n)
    return 0 * log_odds

  def places(self, positions: np.ndarray, n: int) -> np.ndarray:
    """See `Redundancy`."""
    del n
    return np.asarray(positions)[None]


@dataclasses.dataclass(frozen=True)
class Repeat:
  """Whole copies, one after another, so that a burst of damage hits a bit once; the majority decides.

  Copy k is turned by k bits: planes of the weights that carry them are not equally safe, and a bit that stood in the
  same plane in every copy would be as safe as its plane.

  Corrects every bit that is wrong in at most (copies - 1) / 2 copies, and more if it is known which ones are weaker.

  Attributes:
    copies: Odd, at least 3.
  """

  copies: int
  on_device: bool = dataclasses.field(default=True, init=False)

  def __post_init__(self):
    if self.copies < 3 or self.copies % 2 == 0:
      raise ValueError(f"the number of copies must be odd and at least 3, not {self.copies}")

  @property
  def name(self) -> str:
    """For example repeat-3."""
    return f"repeat-{self.copies}"

  def coded_length(self, n: int) -> int:
    """See `Redundancy`."""
    return self.copies * n

  def protect(self, bits: np.ndarray) -> np.ndarray:
    """See `Redundancy`."""
    return np.concatenate([np.roll(bits, -k) for k in range(self.copies)])

  def weigh(self, log_odds: "jax.Array | np.ndarray", n: int) -> "jax.Array":
    """See `Redundancy`. Copies are wrong independently of each other: their log odds add up."""
    import jax.numpy as jnp  # see the top of the file  # noqa: PLC0415

    _check_length(self, log_odds, n)
    copies = jnp.asarray(log_odds).reshape(self.copies, n)
    return jnp.stack([jnp.roll(copies[k], k) for k in range(self.copies)]).sum(axis=0)

  def hearsay(self, log_odds: "jax.Array | np.ndarray", n: int) -> "jax.Array":
    """See `Redundancy`. What the other copies say."""
    import jax.numpy as jnp  # see the top of the file  # noqa: PLC0415

    total = self.weigh(log_odds, n)
    return jnp.concatenate([jnp.roll(total, -k) for k in range(self.copies)]) - log_odds

  def places(self, positions: np.ndarray, n: int) -> np.ndarray:
    """See `Redundancy`."""
    copy = np.arange(self.copies)[:, None]
    return copy * n + (np.asarray(positions) - copy) % max(n, 1)


@dataclasses.dataclass(frozen=True)
class ReedSolomon:
  """Reed-Solomon over bytes, in blocks of at most 255, of which `parity` are added. On the host only.

  Corrects every block with at most parity // 2 wrong bytes. A block found to have more is returned as read; with very
  few parity bytes some of those blocks pass for another one and are returned wrong in other places.

  The blocks are as many as needed, and equally long: shorter than 255 where the bits do not fill them. They are
  interleaved: a byte's right neighbour belongs to the next block, so that B blocks correct any burst that damages up to
  B * (parity // 2) bytes.

  Attributes:
    parity: Parity bytes a block, 2 to 128.
  """

  parity: int
  on_device: bool = dataclasses.field(default=False, init=False)

  def __post_init__(self):
    if not 2 <= self.parity <= 128:
      raise ValueError(f"2 to 128 parity bytes a block are possible, not {self.parity}")

  @property
  def name(self) -> str:
    """For example rs-32."""
    return f"rs-{self.parity}"

  def shape(self, n: int) -> tuple[int, int]:
    """Blocks that n bits take, and the message bytes in each, of which the last few may be padding."""
    message = -(-n // 8)
    blocks = -(-message // (_BLOCK - self.parity))
    return blocks, -(-message // max(blocks, 1))

  def coded_length(self, n: int) -> int:
    """See `Redundancy`. A multiple of 8."""
    blocks, size = self.shape(n)
    return 8 * blocks * (size + self.parity)

  def protect(self, bits: np.ndarray) -> np.ndarray:
    """See `Redundancy`."""
    blocks, size = self.shape(len(bits))
    packed = np.packbits(bits)
    messages = np.pad(packed, (0, blocks * size - len(packed))).reshape(size, blocks).T
    return np.unpackbits(np.concatenate([messages, _parity(messages, self.parity)], axis=1).T.reshape(-1))

  def weigh(self, log_odds: "jax.Array | np.ndarray", n: int) -> np.ndarray:
    """See `Redundancy`. Corrects hard bits; those of a block beyond repair are as sure as they were.

    Slow where there is damage: some 10 ms a damaged block with 32 parity bytes.
    """
    _check_length(self, log_odds, n)
    log_odds = np.asarray(log_odds)
    bits, vouched = self._corrected((log_odds < 0).astype(np.uint8), n)
    sure = np.where(bits == 0, np.float32(_CERTAIN), np.float32(-_CERTAIN))
    return np.where(vouched, sure, log_odds[:n])

  def hearsay(self, log_odds: "jax.Array | np.ndarray", n: int) -> np.ndarray:
    """See `Redundancy`. Nothing: blocks are decoded once and for all."""
    _check_length(self, log_odds, n)
    return np.zeros(len(log_odds), np.float32)

  def places(self, positions: np.ndarray, n: int) -> np.ndarray:
    """See `Redundancy`. Interleaved as they are, the blocks' messages come first, one byte after another."""
    del n
    return np.asarray(positions)[None]

  def _corrected(self, bits: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """The n bits, u8, and which of them stand in a block that could be read, bool[n]."""
    blocks, size = self.shape(n)
    read = np.packbits(bits).reshape(size + self.parity, blocks).T
    messages = read[:, :size].copy()
    damaged = (_parity(messages, self.parity) != read[:, size:]).any(axis=1)
    codec = reedsolo.RSCodec(self.parity)
    vouched = np.ones(blocks, bool)
    for block in np.flatnonzero(damaged):
      try:
        message, _, _ = codec.decode(read[block].tobytes())
      except reedsolo.ReedSolomonError:
        vouched[block] = False
        continue
      messages[block] = np.frombuffer(message, np.uint8)
    of_bits = np.repeat(np.tile(vouched, size), 8)[:n]
    return np.unpackbits(messages.T.reshape(-1))[:n], of_bits


def parse_redundancy(text: str) -> Redundancy:
  """Reads `--redundancy`.

  Raises:
    UserError: It is none of the ways, or its number is not possible.

  >>> parse_redundancy("rs-32").name, parse_redundancy("repeat-3").coded_length(100)
  ('rs-32', 300)
  >>> parse_redundancy("ra-3").coded_length(100)
  300
  """
  if text == "none":
    return Unprotected()
  # Nine digits: enough for any number of copies, and few enough for int().
  match = re.fullmatch(r"(repeat|rs|ra)-([1-9][0-9]{0,8})", text)
  if match is None:
    digits = re.search(r"[1-9][0-9]{0,8}", text)
    ways = [f"{way}-{digits[0] if digits else 3}" for way in ("repeat", "ra", "rs")]
    raise UserError(f"--redundancy {shown(text)}: not known; {did_you_mean(nearest(text, ['none', *ways]))}{_ALLOWED}")
  way, number = match[1], int(match[2])
  try:
    if way == "repeat":
      return Repeat(number)
    return ReedSolomon(number) if way == "rs" else RepeatAccumulate(number)
  except ValueError as error:
    raise UserError(f"--redundancy {text}: {error}; {_ALLOWED}") from None


def _check_length(redundancy: Redundancy, bits: "jax.Array | np.ndarray", n: int) -> None:
  if bits.shape != (redundancy.coded_length(n),):
    raise ValueError(f"{redundancy.name} makes {redundancy.coded_length(n)} of {n} bits, not {bits.shape}")


def _parity(messages: np.ndarray, parity: int) -> np.ndarray:
  """Parity bytes of all blocks at once, many times faster than `reedsolo`: u8[B, size] to u8[B, parity]."""
  feedback = _parity_of_one_byte(parity)
  remainder = np.zeros((len(messages), parity), np.uint8)
  # Long division by the generator polynomial.
  for byte in messages.T:
    shifted = np.pad(remainder[:, 1:], ((0, 0), (0, 1)))
    remainder = shifted ^ feedback[remainder[:, 0] ^ byte]
  return remainder


@functools.cache
def _parity_of_one_byte(parity: int) -> np.ndarray:
  """What each byte, alone or last in its block, contributes to the parity: u8[256, parity]."""
  codec = reedsolo.RSCodec(parity)
  return np.array([list(codec.encode(bytes([byte]))[1:]) for byte in range(256)], np.uint8)
