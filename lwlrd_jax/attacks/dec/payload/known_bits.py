"""Soft decoding: how likely bits of a group (a layer and bit plane, say) are wrong, by those that are known beforehand.

Those are in `Layout.known_bits`. Log odds of a bit are log(P(0) / P(1)), as in `redundancy.py`.
"""

import jax
import jax.numpy as jnp
import numpy as np

_PRIOR = 4.0  # so many known bits at the mean rate of all are added to those of each group
_LEAST_RATE = 1e-6  # a rate is never taken for exactly 0 or 1/2
_CERTAIN = 30.0  # log odds beyond this are as good as certain


def pooled_rates(wrong: jax.Array, groups: jax.Array, num_groups: int) -> jax.Array:
  """How often bits of each group are wrong, for bits that are decoded together.

  Groups differ only as far as more than chance makes them: each rate is shrunk towards the mean of all as in a
  beta-binomial model, whose spread is estimated by moments (Kleinman 1973).

  `wrong` f32[k] is 1 for a known bit that is wrong and 0 for one that is right, `groups` i32[k] are in [0, G), rates
  f32[G] in [0, 1/2].
  """
  zeros = jnp.zeros(num_groups, jnp.float32)
  total, count = zeros.at[groups].add(wrong), zeros.at[groups].add(1)
  mean, seen = wrong.mean(), count.sum()
  own = total / jnp.maximum(count, 1)
  by_chance = mean * (1 - mean)
  excess = (count * jnp.square(own - mean)).sum() - ((count > 0).sum() - 1).astype(jnp.float32) * by_chance
  between = jnp.clip(excess / jnp.maximum(seen - jnp.square(count).sum() / seen, 1), 0, 0.999 * by_chance)
  # The prior is worth 1 / trust known bits, no fewer than where groups are distinguished anyway.
  trust = jnp.minimum(between / jnp.maximum(by_chance - between, _LEAST_RATE), 1 / _PRIOR)
  return jnp.clip(mean + count * trust / (1 + count * trust) * (own - mean), 0, 0.5)


def log_odds_of(bits: jax.Array, rates: jax.Array) -> jax.Array:
  """Log odds f32[n] of bits u8[n] as read, wrong at rates f32[n] in [0, 1/2].

  Never quite 0: even at a rate of 1/2 the sign is that of the bit as read.
  """
  rates = jnp.clip(rates, _LEAST_RATE, 0.5 - _LEAST_RATE)
  return jnp.where(bits == 0, 1, -1) * (jnp.log1p(-rates) - jnp.log(rates))


def log_odds_by_word(bits: jax.Array, rates: jax.Array, extrinsic: jax.Array, word: int) -> jax.Array:
  """Log odds f32[n] of bits in words, each of which is intact as a whole or has become random as a whole.

  How likely a word is intact follows from how well its other bits agree with the extrinsic information on them (Bayes).
  `bits` u8[n] are as read, `rates` f32[n] in [0, 1/2] how often bits of their group are wrong: half as often as words
  are random. `extrinsic` f32[n] are log odds of each bit from elsewhere, `word` is bits a word.
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
  """Log odds of bits from several noisy observations f32[n, F] of each, combined as suits known bits u8[k] at i[k].

  Observations of a 0 are taken for normally distributed around some means, those of a 1 around their negatives, with
  one covariance: the log odds are then linear in them (Fisher 1936). Independent ones so get the weights of
  maximum-ratio combining, mean over variance (Brennan 1959). The result f32[n] is in [-30, 30], and never 0: where
  nothing is left, the sign is that of the first observation.
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


def by_group(values: jax.Array, groups: jax.Array, num_groups: int) -> jax.Array:
  """Means of f32[k] by group i32[k], shrunk towards the mean of all where a group is small: f32[G]."""
  zeros = jnp.zeros(num_groups, jnp.float32)
  total, count = zeros.at[groups].add(values), zeros.at[groups].add(1)
  return (total + _PRIOR * values.mean()) / (count + _PRIOR)
