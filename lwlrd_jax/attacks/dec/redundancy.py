"""Ways to protect hidden bits against the damage that fine-tuning does to them.

Log odds of a bit are log(P(0) / P(1)): positive where it is rather a 0, the further from 0 the surer.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from lwlrd_jax.attacks.dec.repeat_accumulate import RepeatAccumulate, check_length


@dataclasses.dataclass(frozen=True)
class Repeat:
  """Whole copies, one after another, so that a burst of damage hits a bit once; the majority decides.

  Copy k is rotated by k bits, so that no bit stands in the same plane of a weight in every copy. Corrects every bit
  that is wrong in at most (copies - 1) / 2 copies, and more if it is known which ones are weaker.

  All kinds of redundancy have these methods, and are hashable. `jax.jit` can trace `decode` and `extrinsic`, which
  raise ValueError where the number of log odds is not coded_length(n).
  """

  copies: int  # odd; 1 is no redundancy

  def __post_init__(self):
    if self.copies < 1 or self.copies % 2 == 0:
      raise ValueError(f"the number of copies must be odd, not {self.copies}")

  @property
  def name(self) -> str:
    """Its kind and number, such as `repeat-3`; `none`."""
    return "none" if self.copies == 1 else f"repeat-{self.copies}"

  def coded_length(self, n: int) -> int:
    """How many protected bits n bits become, n >= 0."""
    return self.copies * n

  def protect(self, bits: np.ndarray) -> np.ndarray:
    """Bits u8[n] of 0 and 1 -> u8[coded_length(n)], on the host."""
    return np.concatenate([np.roll(bits, -k) for k in range(self.copies)])

  def decode(self, log_odds: jax.Array | np.ndarray, n: int) -> jax.Array:
    """Soft decoding, which never fails: log odds f32[coded_length(n)] of protected bits -> f32[n] of the n bits.

    Copies are wrong independently of each other: their log odds add up.
    """
    check_length(self, log_odds, n)
    copies = jnp.asarray(log_odds).reshape(self.copies, n)
    return jnp.stack([jnp.roll(copies[k], k) for k in range(self.copies)]).sum(axis=0)

  def extrinsic(self, log_odds: jax.Array | np.ndarray, n: int) -> jax.Array:
    """Extrinsic information on each protected bit, from all but itself: f32[coded_length(n)] log odds. As `decode`."""
    total = self.decode(log_odds, n)
    return jnp.concatenate([jnp.roll(total, -k) for k in range(self.copies)]) - log_odds

  def places(self, positions: np.ndarray, n: int) -> np.ndarray:
    """Where some of the n bits stand in the protected stream as they are: i[k] -> i[copies, k]."""
    copy = np.arange(self.copies)[:, None]
    return copy * n + (np.asarray(positions) - copy) % max(n, 1)


Redundancy = Repeat | RepeatAccumulate


def redundancy_of(kind: str, number: int = 1) -> Redundancy:
  """Redundancy by name: `none`; `repeat`, so many copies, odd; `ra`, a repeat accumulate code, so many bits for one.

  >>> redundancy_of("none").name, redundancy_of("repeat", 3).name, redundancy_of("ra", 3).coded_length(100)
  ('none', 'repeat-3', 300)
  """
  return RepeatAccumulate(number) if kind == "ra" else Repeat(number if kind == "repeat" else 1)
