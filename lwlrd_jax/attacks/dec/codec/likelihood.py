"""Probabilities of rounded values, in bits."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.special import erfc

# A floor: training must not divide by a probability that f32 holds as 0.
_MIN_PROBABILITY = 1e-9


def gaussian_bits(offset: jax.Array, scale: jax.Array) -> jax.Array:
  """Bits, in [0, 30], of a value in a unit-wide bin of a normal distribution (Balle et al. 2018, 1802.01436, appendix).

  Args:
    offset: f32[...], the value minus the mean.
    scale: f32[...], the standard deviation, > 0.
  """
  # The far tail of the upper side is a difference of tiny numbers, that of the lower side one of numbers near 1.
  offset = jnp.abs(offset)
  reach = scale * 2**0.5
  probability = 0.5 * (erfc((offset - 0.5) / reach) - erfc((offset + 0.5) / reach))
  return -jnp.log2(jnp.maximum(probability, _MIN_PROBABILITY))


class LogisticMixture(NamedTuple):
  """A mixture of K logistic distributions for each channel, each f32[K, Z]: weights sum to 1, scales are > 0."""

  weights: jax.Array
  means: jax.Array
  scales: jax.Array

  def probability(self, values: jax.Array) -> jax.Array:
    """Probability of the unit-wide bin around each value: f32[..., Z] -> f32[..., Z] in [0, 1]."""
    distance = jnp.abs(values[..., None, :] - self.means)
    # sigmoid(a) - sigmoid(b), both in the tail where f32 is accurate.
    bins = jax.nn.sigmoid((0.5 - distance) / self.scales) - jax.nn.sigmoid((-0.5 - distance) / self.scales)
    return (self.weights * bins).sum(axis=-2)

  def bits(self, values: jax.Array) -> jax.Array:
    """Bits of each value: f32[..., Z] -> f32[..., Z], in [0, 30]."""
    return -jnp.log2(jnp.maximum(self.probability(values), _MIN_PROBABILITY))
