"""Surviving capacity: how many bytes a channel keyed by position could still carry through a defence."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from lwlrd_jax.models.network import Params

_BITS = 32


class SurvivingBytes(NamedTuple):
  """Capacity in bytes, f32[] each, by group of bit planes: 23 of the mantissa, 8 of the exponent, 1 of the sign."""

  mantissa: jax.Array
  exponent: jax.Array
  sign: jax.Array


def surviving_bytes(before: Params, after: Params) -> SurvivingBytes:
  """Capacity that is left between two versions of a model's weights.

  Each bit plane of each parameter array is a binary symmetric channel whose flip rate p is counted between the two
  versions. A thief who knows the positions can send 1 - H(p) bits a weight through it (Shannon 1948), H the binary
  entropy. Summed over arrays and planes, in bytes. Unchanged weights give 4 bytes each, weights drawn anew give close
  to 0 in their mantissas.

  One flip rate is taken over a whole array. Where some of its weights stay and others are drawn anew, a thief who knew
  which could send more: dead units, say, keep their whole columns.

  Args:
    before: Tree of f32 arrays, as the thief left it.
    after: The same tree after the defence.

  Returns:
    The three groups' capacities.
  """
  flips = [_plane_flip_rates(a, b) for a, b in zip(jax.tree.leaves(before), jax.tree.leaves(after), strict=True)]
  sizes = jnp.asarray([leaf.size for leaf in jax.tree.leaves(before)], jnp.float32)
  per_plane = (sizes[:, None] * (1 - binary_entropy(jnp.stack(flips)))).sum(axis=0) / 8
  return SurvivingBytes(per_plane[:23].sum(), per_plane[23:31].sum(), per_plane[31])


def binary_entropy(p: jax.Array) -> jax.Array:
  """Entropy of a coin in bits: p in [0, 1] -> [0, 1].

  >>> binary_entropy(jnp.array([0.0, 0.5, 1.0])).tolist()
  [0.0, 1.0, 0.0]
  """

  def term(q: jax.Array) -> jax.Array:
    return q * jnp.log2(jnp.where(q > 0, q, 1))

  return jnp.abs(term(p) + term(1 - p))


def _plane_flip_rates(before: jax.Array, after: jax.Array) -> jax.Array:
  """Share of weights whose bit differs, by plane from the least significant: f32[32]."""
  flipped = jax.lax.bitcast_convert_type(before, jnp.uint32) ^ jax.lax.bitcast_convert_type(after, jnp.uint32)
  flipped = flipped.reshape(-1)

  def rate(plane: jax.Array) -> jax.Array:
    bits = (flipped >> plane) & jnp.uint32(1)
    return bits.sum(dtype=jnp.uint32).astype(jnp.float32) / flipped.size

  # Plane by plane: all at once would need 32 times the weights' memory.
  return jax.lax.map(rate, jnp.arange(_BITS, dtype=jnp.uint32))
