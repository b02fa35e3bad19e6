"""Ways to protect hidden bits against the damage that fine-tuning does to them.

Log odds of a bit are log(P(0) / P(1)): positive where it is rather a 0, the further from 0 the surer.

Nothing here imports JAX before bits are recovered: the command line reads `redundancy` with it.
"""

import dataclasses
from typing import TYPE_CHECKING, Protocol

import numpy as np

from lwlrd_jax.attacks.dec.repeat_accumulate import RepeatAccumulate

if TYPE_CHECKING:
  import jax


class Redundancy(Protocol):
  """A way to protect bits. Frozen and hashable: may be a static argument of `jax.jit`, which can trace `weigh`."""

  @property
  def name(self) -> str:
    """Its kind and number, such as `repeat-3`."""

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


def redundancy_of(kind: str, number: int = 1) -> Redundancy:
  """Redundancy by name: `none`; `repeat`, so many copies, odd; `ra`, a repeat accumulate code, so many bits for one.

  >>> redundancy_of("repeat", 3).name, redundancy_of("ra", 3).coded_length(100)
  ('repeat-3', 300)
  """
  if kind == "none":
    return Unprotected()
  return Repeat(number) if kind == "repeat" else RepeatAccumulate(number)


def _check_length(redundancy: Redundancy, bits: "jax.Array | np.ndarray", n: int) -> None:
  if bits.shape != (redundancy.coded_length(n),):
    raise ValueError(f"{redundancy.name} makes {redundancy.coded_length(n)} of {n} bits, not {bits.shape}")
