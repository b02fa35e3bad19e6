"""What an attacker knows of a payload before it is read, and what that says of the damage to the rest.

The header and the length of every record are the same whatever the images are. How many of these bits are wrong says
how likely the others of their group (a layer and bit plane, say) are.

Log odds of a bit are log(P(0) / P(1)), as in `redundancy.py`. Bits or numbers below are flat: those before the records,
then those of the records, as many each.
"""

import jax
import jax.numpy as jnp
import numpy as np

from lwlrd_jax.attacks.dec.payload.container import HEADER_BYTES, Layout, header, to_bits
from lwlrd_jax.attacks.dec.payload.records import LENGTH, RECORD_FIELDS

# So many known bits at the mean rate of all are added to those of each group.
_PRIOR = 4.0
# A rate is never taken for exactly 0 or 1/2.
_LEAST_RATE = 1e-6
# Log odds beyond this are as good as certain.
_CERTAIN = 30.0


def known_bits(layout: Layout, codec_id: int) -> np.ndarray:
  """The bits known beforehand: u8[8 * HEADER_BYTES + 16 * layout.count]."""
  length = to_bits(LENGTH.pack(layout.code_bytes))
  first = to_bits(header(codec_id, layout.label_bytes, layout.count, layout.decoder_bytes))
  return np.concatenate([first, np.tile(length, layout.count)])


def known_positions(layout: Layout) -> np.ndarray:
  """Where those bits stand in the payload: i64[...], in their order."""
  starts = 8 * (layout.first_record + layout.record_bytes * np.arange(layout.count) + layout.label_bytes)
  lengths = starts[:, None] + np.arange(8 * LENGTH.size)
  return np.concatenate([np.arange(8 * HEADER_BYTES), lengths.reshape(-1)])


def known_header(codec_id: int, label_bytes: int, count: int, decoder_bytes: int) -> np.ndarray:
  """The first bits of a payload, all that is known of one whose codes differ in length: u8[8 * HEADER_BYTES]."""
  return to_bits(header(codec_id, label_bytes, count, decoder_bytes))


def at_known(flat: jax.Array, layout: Layout) -> jax.Array:
  """What stands where those bits do, in their order."""
  label = 8 * layout.label_bytes
  lengths = _records(flat, layout)[:, label : label + 8 * LENGTH.size]
  return jnp.concatenate([flat[: 8 * HEADER_BYTES], lengths.reshape(-1)])


def of_codes(flat: jax.Array, layout: Layout) -> jax.Array:
  """What stands where the codes do: [layout.count, n]."""
  return _records(flat, layout)[:, 8 * (layout.label_bytes + RECORD_FIELDS) :]


def of_labels(flat: jax.Array, layout: Layout) -> jax.Array:
  """What stands where the label bytes do, bit by bit: [layout.count, 8 * layout.label_bytes]."""
  return _records(flat, layout)[:, : 8 * layout.label_bytes]


def pooled_rates(wrong: jax.Array, groups: jax.Array, num_groups: int) -> jax.Array:
  """How often bits of each group are wrong, for bits that are decoded together.

  Weights that differ by chance are worse than equal ones. So groups differ only as far as more than chance makes them:
  each rate is shrunk towards the mean of all as in a beta-binomial model, whose spread is estimated by moments
  (Kleinman 1973).

  Args:
    wrong: f32[k], 1 for a known bit that is wrong, 0 for one that is right.
    groups: i32[k] in [0, num_groups).
    num_groups: G.

  Returns:
    f32[G] in [0, 1/2].
  """
  zeros = jnp.zeros(num_groups, jnp.float32)
  total, count = zeros.at[groups].add(wrong), zeros.at[groups].add(1)
  mean, seen = wrong.mean(), count.sum()
  own = total / jnp.maximum(count, 1)
  by_chance = mean * (1 - mean)
  excess = (count * jnp.square(own - mean)).sum() - ((count > 0).sum() - 1).astype(jnp.float32) * by_chance
  between = jnp.clip(excess / jnp.maximum(seen - jnp.square(count).sum() / seen, 1), 0, 0.999 * by_chance)
  # The prior is worth 1 / trust known bits, no fewer than where groups are told apart anyway.
  trust = jnp.minimum(between / jnp.maximum(by_chance - between, _LEAST_RATE), 1 / _PRIOR)
  return jnp.clip(mean + count * trust / (1 + count * trust) * (own - mean), 0, 0.5)


def log_odds_of(bits: jax.Array, rates: jax.Array) -> jax.Array:
  """Log odds f32[n] of bits u8[n] as read, wrong at rates f32[n] in [0, 1/2].

  Never quite 0: even at a rate of 1/2 the sign says what was read.
  """
  rates = jnp.clip(rates, _LEAST_RATE, 0.5 - _LEAST_RATE)
  return jnp.where(bits == 0, 1, -1) * (jnp.log1p(-rates) - jnp.log(rates))


def log_odds_by_word(bits: jax.Array, rates: jax.Array, extrinsic: jax.Array, word: int) -> jax.Array:
  """Log odds f32[n] of bits in words, each of which is intact as a whole or has become random as a whole.

  How likely a word is intact follows from how well its other bits agree with the extrinsic information on them (Bayes).

  Args:
    bits: u8[n] of 0 and 1, as read.
    rates: f32[n] in [0, 1/2], how often bits of their group are wrong: half as often as words are random.
    extrinsic: f32[n], log odds of each bit from elsewhere.
    word: Bits a word.
  """
  rates = jnp.clip(rates, _LEAST_RATE, 0.5 - _LEAST_RATE)
  agrees = jnp.where(bits == 0, extrinsic, -extrinsic)
  # Of an intact word a bit is what was sent, but for a few; a random one is anything.
  evidence = jnp.log(2 * (_LEAST_RATE + (1 - 2 * _LEAST_RATE) * jax.nn.sigmoid(agrees)))
  words = jnp.pad(evidence, (0, -len(bits) % word)).reshape(-1, word)
  others = (words.sum(axis=1, keepdims=True) - words).reshape(-1)[: len(bits)]
  random = jax.nn.sigmoid(jnp.log(2 * rates) - jnp.log1p(-2 * rates) - others)
  return log_odds_of(bits, random / 2)


def surprise(log_odds: jax.Array, known: np.ndarray, places: np.ndarray) -> jax.Array:
  """How much known bits u8[k] at i[k] contradict log odds f32[n]: mean negative log likelihood, f32[]."""
  return jax.nn.softplus(jnp.where(known == 0, -1, 1) * log_odds[places]).mean()


def combine(observations: jax.Array, known: np.ndarray, places: np.ndarray) -> jax.Array:
  """Log odds of bits from several noisy observations of each, combined as suits the known bits best.

  Observations of a 0 are taken for normally distributed around some means, those of a 1 around their negatives, with
  one covariance: the log odds are then linear in them (Fisher 1936). Independent ones so get the weights of
  maximum-ratio combining, mean over variance (Brennan 1959).

  Args:
    observations: f32[n, F].
    known: u8[k] of 0 and 1.
    places: i[k], where these stand among the n.

  Returns:
    f32[n] in [-30, 30], never 0: where nothing is left, the sign is that of the first observation.
  """
  size = jnp.sqrt(jnp.square(observations).mean(axis=0))
  observations = observations / jnp.where(size > 0, size, 1)
  signed = observations[places] * jnp.where(known == 0, 1, -1).astype(jnp.float32)[:, None]
  mean = signed.mean(axis=0)
  off = signed - mean
  # As much noise as that many means can fit by chance is added; also for observations that never vary.
  ridge = np.float32((observations.shape[1] + 1) / len(known)) * jnp.eye(observations.shape[1])
  with jax.default_matmul_precision("highest"):
    weights = 2 * jnp.linalg.solve(off.T @ off / len(known) + ridge, mean)
    found = jnp.clip(observations @ weights, -_CERTAIN, _CERTAIN)
  return jnp.where(found == 0, jnp.where(observations[:, 0] < 0, -_LEAST_RATE, _LEAST_RATE), found).astype(jnp.float32)


def log_odds_of_numbers(numbers: jax.Array, spread: jax.Array) -> jax.Array:
  """Log odds f32[...] of numbers that were 0 or 1 before normal noise of standard deviation `spread` was added."""
  return (0.5 - numbers) / jnp.maximum(jnp.square(spread), _LEAST_RATE)


def spreads(numbers: jax.Array, known: np.ndarray, groups: jax.Array, num_groups: int, layout: Layout) -> jax.Array:
  """How far numbers f32[n] of each group i32[n] are off, as a share of their range: root mean square, f32[G].

  `known` is that of `known_bits`; a known bit is a number in [0, 1].
  """
  squares = jnp.square(at_known(numbers, layout) - known.astype(np.float32))
  return jnp.sqrt(by_group(squares, at_known(groups, layout), num_groups))


def by_group(values: jax.Array, groups: jax.Array, num_groups: int) -> jax.Array:
  """Means of f32[k] by group i32[k], shrunk towards the mean of all where a group is small: f32[G]."""
  zeros = jnp.zeros(num_groups, jnp.float32)
  total, count = zeros.at[groups].add(values), zeros.at[groups].add(1)
  return (total + _PRIOR * values.mean()) / (count + _PRIOR)


def _records(flat: jax.Array, layout: Layout) -> jax.Array:
  return flat[8 * layout.first_record :].reshape(layout.count, -1)
