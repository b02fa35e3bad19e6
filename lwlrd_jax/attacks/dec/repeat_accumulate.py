"""A systematic irregular repeat-accumulate code: encoded in linear time, decoded softly by belief propagation.

Divsalar, Jin and McEliece (Allerton 1998); irregular and systematic: Jin, Khandekar and McEliece (Turbo Codes 2000).
Every bit is repeated, a few times most and often some; the copies are interleaved, added up modulo 2 a few at a time,
and accumulated: parity bit j is parity bit j - 1 plus the j-th sum. The bits themselves are sent too. Long messages are
cut into equal blocks, each coded alone: tables stay small, and a lost block takes only its own images along.
"""

import dataclasses
import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

_LARGEST_BLOCK = 2**16  # longer ones correct hardly more
# Sums are of so many copies, by expansion; of single ones above. With it the code corrects most; found by trial.
_COPIES_A_SUM = {2: 5, 3: 3, 4: 2, 5: 2}
_FEW, _MANY = 3, 12  # how often bits are repeated: most a few times, the others many times
_MOST_ITERATIONS = 100
_CERTAIN = 30.0  # log odds beyond this are as good as certain, and sums of them stay far from the end of f32
_LARGEST_EXPANSION = 16


@dataclasses.dataclass(frozen=True)
class RepeatAccumulate:
  """Makes about `expansion` bits of each; see the module.

  It corrects everything up to a sharp threshold of the bit error rate, and nothing beyond: about 0.09 for expansion 2,
  0.15 for 3, 0.19 for 4, 0.26 for 8 and 0.31 for 16, where all bits are wrong equally often and independently (any
  code: at most 0.11, 0.17, 0.21, 0.30 and 0.36); more on average where log odds tell which ones are.
  """

  expansion: int  # bits sent for each, 2 to 16

  def __post_init__(self):
    if not 2 <= self.expansion <= _LARGEST_EXPANSION:
      raise ValueError(f"2 to {_LARGEST_EXPANSION} bits can be sent for each, not {self.expansion}")

  @property
  def name(self) -> str:
    """For example ra-3."""
    return f"ra-{self.expansion}"

  def shape(self, n: int) -> tuple[int, int]:
    """Blocks that n bits take, and the bits in each, of which the last few may be padding."""
    blocks = -(-n // _LARGEST_BLOCK)
    return blocks, -(-n // max(blocks, 1))

  def coded_length(self, n: int) -> int:
    """See `redundancy.Repeat`. The bits come first, then the parity of each block; padding is not sent."""
    blocks, size = self.shape(n)
    return n + (self.expansion - 1) * blocks * size

  def places(self, positions: np.ndarray, n: int) -> np.ndarray:
    """See `redundancy.Repeat`."""
    del n
    return np.asarray(positions)[None]

  def protect(self, bits: np.ndarray) -> np.ndarray:
    """See `redundancy.Repeat`."""
    blocks, size = self.shape(len(bits))
    if not blocks:
      return bits
    graph = _graph(size, self.expansion)
    ordered = np.pad(bits, (0, blocks * size - len(bits))).reshape(blocks, size)[:, graph.order]
    copies = np.pad(np.repeat(ordered, graph.degrees, axis=1), ((0, 0), (0, graph.unused)))
    sums = np.bitwise_xor.reduce(copies[:, graph.interleaver].reshape(blocks, -1, graph.copies_a_sum), axis=2)
    return np.concatenate([bits, np.bitwise_xor.accumulate(sums, axis=1).reshape(-1)])

  def decode(self, log_odds: jax.Array | np.ndarray, n: int) -> jax.Array:
    """As `redundancy.Repeat.decode`; blocks one after another, until parity holds or 100 iterations are done."""
    return self.extrinsic(log_odds, n)[:n] + log_odds[:n]

  def extrinsic(self, log_odds: jax.Array | np.ndarray, n: int) -> jax.Array:
    """See `redundancy.Repeat`."""
    check_length(self, log_odds, n)
    blocks, size = self.shape(n)
    if not blocks:
      return jnp.asarray(log_odds)
    clipped = jnp.clip(jnp.asarray(log_odds), -_CERTAIN, _CERTAIN)
    bits = jnp.pad(clipped[:n], (0, blocks * size - n), constant_values=_CERTAIN).reshape(blocks, size)
    parity = clipped[n:].reshape(blocks, -1)
    graph = _graph(size, self.expansion)
    of_bits, of_parity = jax.lax.map(lambda block: _propagate(graph, *block), (bits, parity))
    return jnp.concatenate([of_bits.reshape(-1)[:n], of_parity.reshape(-1)])


def check_length(redundancy: Any, bits: jax.Array | np.ndarray, n: int) -> None:
  """Raises ValueError unless there are as many bits as n become."""
  if bits.shape != (redundancy.coded_length(n),):
    raise ValueError(f"{redundancy.name} makes {redundancy.coded_length(n)} of {n} bits, not {bits.shape}")


class _Graph(NamedTuple):
  """Which bits are in which sums."""

  order: np.ndarray  # i32[k], the bits in the order of how often they are repeated
  classes: tuple[tuple[int, int], ...]  # how many bits, and how often each is repeated, in that order
  interleaver: np.ndarray  # i32[E], from copies as they come in that order to the sums'
  inverse: np.ndarray  # i32[E], back
  copies_a_sum: int  # copies of bits that are added up
  unused: int  # places in the sums that stay empty, the last few of the E copies: zeros

  @property
  def degrees(self) -> np.ndarray:
    """How often each bit is repeated: i32[k], in the order of `order`."""
    return np.concatenate([np.full(count, degree) for count, degree in self.classes])


@functools.lru_cache(maxsize=4)
def _graph(size: int, expansion: int) -> _Graph:
  copies_a_sum = _COPIES_A_SUM.get(expansion, 1)
  copies = copies_a_sum * (expansion - 1) * size
  many = max(_MANY, 2 * (expansion - 1))
  often = (copies - _FEW * size) // (many - _FEW)
  classes = ((size - often, _FEW), (often, many))
  interleaver = _shuffled(copies, seed=2)
  inverse = np.argsort(interleaver).astype(np.int32)
  unused = copies - sum(count * degree for count, degree in classes)
  return _Graph(_shuffled(size, seed=1), classes, interleaver, inverse, copies_a_sum, unused)


def _propagate(graph: _Graph, bits: jax.Array, parity: jax.Array) -> tuple[jax.Array, jax.Array]:
  """Belief propagation (sum-product) on one block: log odds of its k bits and m parity bits -> their extrinsic ones.

  Every parity bit stands in two checks: its own, parity[j - 1] + sum[j] + parity[j] = 0, and the next one. `ahead` is
  its message to the next check, `back` to its own; `copies` are the checks' messages to each copy of a bit.
  """
  width, prior = graph.copies_a_sum, bits[graph.order]
  certain = jnp.full(1, _CERTAIN, jnp.float32)

  def spread_out(of_bits: Any, rest: Any) -> Any:
    """What concerns each bit, to the sums its copies are in: [k] -> [m, width]."""
    parts = zip(jnp.split(of_bits, [graph.classes[0][0]]), graph.classes, strict=True)
    return jnp.concatenate([*(jnp.repeat(part, degree) for part, (_, degree) in parts), rest])

  def gathered(of_copies: Any) -> Any:
    """Sums over the copies of each bit: [E] -> [k]."""
    ends = np.cumsum([count * degree for count, degree in graph.classes])
    parts = zip(jnp.split(of_copies, ends), graph.classes, strict=False)  # without the unused places
    return jnp.concatenate([part.reshape(-1, degree).sum(axis=1) for part, (_, degree) in parts])

  def in_sums(of_copies: Any) -> list[Any]:
    """By place in the sums, width times [m]: regular, so that what follows is too."""
    return list(of_copies[graph.interleaver].reshape(-1, width).T)

  def step(state: Any) -> Any:
    iteration, copies, ahead, back, _, _, _ = state
    from_checks = gathered(copies)
    total = prior + from_checks
    to_checks = in_sums(jnp.clip(spread_out(total, jnp.full(graph.unused, _CERTAIN)) - copies, -_CERTAIN, _CERTAIN))
    of_sum = functools.reduce(_either, to_checks)
    before = jnp.concatenate([certain, ahead[:-1]])
    from_own = _either(of_sum, before)
    from_next = jnp.concatenate([_either(of_sum, back)[1:], jnp.zeros(1)])
    chain = _either(before, back)
    answers = [functools.reduce(_either, [chain, *to_checks[:i], *to_checks[i + 1 :]]) for i in range(width)]
    hard = functools.reduce(jnp.logical_xor, in_sums(spread_out(total < 0, jnp.zeros(graph.unused, bool))))
    of_parity = from_own + from_next
    hard_parity = parity + of_parity < 0
    broken = hard ^ hard_parity ^ jnp.concatenate([jnp.zeros(1, bool), hard_parity[:-1]])
    return (
      iteration + 1,
      jnp.stack(answers, axis=1).reshape(-1)[graph.inverse],
      jnp.clip(parity + from_own, -_CERTAIN, _CERTAIN),
      jnp.clip(parity + from_next, -_CERTAIN, _CERTAIN),
      from_checks,
      of_parity,
      broken.any(),
    )

  no_messages = jnp.zeros(len(graph.interleaver), jnp.float32)
  start = (jnp.int32(0), no_messages, parity, parity, 0 * prior, 0 * parity, jnp.bool_(True))
  done = jax.lax.while_loop(lambda state: (state[0] < _MOST_ITERATIONS) & state[6], step, start)
  return done[4][np.argsort(graph.order).astype(np.int32)], done[5]


def _either(x: jax.Array, y: jax.Array) -> jax.Array:
  """Log odds of the sum of two bits, from those of both: 2 artanh(tanh(x / 2) tanh(y / 2)), without its overflows."""
  least = jnp.sign(x) * jnp.sign(y) * jnp.minimum(jnp.abs(x), jnp.abs(y))
  return least + jnp.log1p(jnp.exp(-jnp.abs(x + y))) - jnp.log1p(jnp.exp(-jnp.abs(x - y)))


def _shuffled(n: int, seed: int) -> np.ndarray:
  """A permutation i32[n] that is the same in every version of every library.

  The order of hashes: a Weyl sequence behind Stafford's finaliser, as in SplitMix64 (Steele, Lea and Flood 2014).
  """
  with np.errstate(over="ignore"):
    x = (np.arange(1, n + 1, dtype=np.uint64) + np.uint64(seed << 40)) * np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
  return np.argsort(x ^ (x >> np.uint64(31)), kind="stable").astype(np.int32)
