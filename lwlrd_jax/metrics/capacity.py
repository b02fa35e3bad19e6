"""Surviving capacity: how many bytes a channel keyed by position could still carry through a defence."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp

from lwlrd_jax.models.network import Params

_BITS = 32
# What a rate counted over a sample adds to 1 - H on average, in bits a group: a coin's entropy is underestimated by
# 1 / (2 n ln 2) (Miller 1955), and a group has n weights.
_BIAS = 1 / (2 * math.log(2))


class SurvivingBytes(NamedTuple):
  """Capacity in bytes, f32[] each.

  Attributes:
    mantissa: Of the 23 mantissa planes.
    exponent: Of the 8 exponent planes.
    sign: Of the sign plane.
    dead: What the bits of dead weights still say about what they were.
    extra: Of entries of the checkpoint that belong to no layer.
  """

  mantissa: jax.Array
  exponent: jax.Array
  sign: jax.Array
  dead: jax.Array
  extra: jax.Array


class Survival(NamedTuple):
  """Surviving bytes; and what is left of one bit, by layer and plane from the least significant: f32[layers, 32]."""

  bytes: SurvivingBytes
  planes: jax.Array


def survival(before: Params, after: Params, live: Params, layers: tuple[str, ...]) -> Survival:
  """Capacity that is left between two versions of a checkpoint.

  Each bit plane of some weights is a binary symmetric channel whose flip rate p is counted between the two versions. A
  thief who knows the positions can send 1 - H(p) bits a weight through it (Shannon 1948), H the binary entropy. Rates
  are counted for the weights into each output unit, dead and live ones apart: whoever knows which units fine-tuning
  spares gets through by those, whatever happens to the others. Summed over groups and planes, in bytes. Unchanged
  weights give 4 bytes each, weights drawn anew give close to 0 in their mantissas.

  Exponents of weights drawn anew mostly agree with the old ones for no other reason than that weights of a layer are
  alike, and 1 - H counts that. `dead` does not: it is the mutual information between old and new bits, which is 0 when
  the new ones do not depend on the old.

  Args:
    before: The checkpoint as the thief left it: {layer: arrays}, f32; other entries may be there.
    after: The same after the defence.
    live: bool tree like the layers' arrays, see `models.liveness.live_weights`, of the model just before any finishing
      step.
    layers: Names of the layers.

  Returns:
    The capacities.
  """
  dead_bits = jnp.float32(0)
  by_layer = []
  for layer in layers:
    total = jnp.zeros(_BITS)
    for name in before[layer]:
      bits, dead = _array_bits(before[layer][name], after[layer][name], live[layer][name])
      total, dead_bits = total + bits, dead_bits + dead
    by_layer.append(total)
  planes = jnp.stack(by_layer)
  sizes = jnp.asarray([float(sum(leaf.size for leaf in before[layer].values())) for layer in layers])
  per_plane = planes.sum(axis=0) / 8
  extra = jnp.float32(0)
  for name in sorted(set(before) - set(layers)):
    if name in after:
      extra += _extra_bytes(before[name], after[name])
  found = SurvivingBytes(per_plane[:23].sum(), per_plane[23:31].sum(), per_plane[31], dead_bits / 8, extra)
  return Survival(found, planes / sizes[:, None])


def binary_entropy(p: jax.Array) -> jax.Array:
  """Entropy of a coin in bits: p in [0, 1] -> [0, 1].

  >>> binary_entropy(jnp.array([0.0, 0.5, 1.0])).tolist()
  [0.0, 1.0, 0.0]
  """

  def term(q: jax.Array) -> jax.Array:
    return q * jnp.log2(jnp.where(q > 0, q, 1))

  return jnp.abs(term(p) + term(1 - p))


def mutual_information(counts: jax.Array) -> jax.Array:
  """What a bit says about another, in bits, from counts of their values f32[2, 2, ...] -> f32[...] in [0, 1].

  >>> mutual_information(jnp.array([[5.0, 0.0], [0.0, 5.0]])).item()
  1.0
  >>> mutual_information(jnp.array([[4.0, 4.0], [1.0, 1.0]])).item()
  0.0
  """
  total = jnp.maximum(counts.sum(axis=(0, 1)), 1)

  def plogp(part: jax.Array) -> jax.Array:
    p = part / total
    return p * jnp.log2(jnp.where(p > 0, p, 1))

  joint = plogp(counts).sum(axis=(0, 1))
  return jnp.maximum(joint - plogp(counts.sum(axis=0)).sum(axis=0) - plogp(counts.sum(axis=1)).sum(axis=0), 0)


def _array_bits(before: jax.Array, after: jax.Array, live: jax.Array) -> tuple[jax.Array, jax.Array]:
  """Bits that one array can still carry, by plane f32[32], and in its dead weights f32[]."""
  columns = before.shape[-1] if before.ndim > 1 else 1
  raw = jax.lax.bitcast_convert_type(before, jnp.uint32).reshape(-1, columns)
  flipped = raw ^ jax.lax.bitcast_convert_type(after, jnp.uint32).reshape(-1, columns)
  is_live = live.reshape(-1, columns)
  count_live = is_live.sum(axis=0, dtype=jnp.float32)
  count_dead = len(raw) - count_live

  def of_plane(plane: jax.Array) -> tuple[jax.Array, jax.Array]:
    flips = ((flipped >> plane) & jnp.uint32(1)).astype(bool)
    ones = ((raw >> plane) & jnp.uint32(1)).astype(bool)
    flips_live = (flips & is_live).sum(axis=0, dtype=jnp.float32)
    flips_dead = (flips & ~is_live).sum(axis=0, dtype=jnp.float32)
    ones_dead = (ones & ~is_live).sum(axis=0, dtype=jnp.float32)
    flips_of_ones = (flips & ones & ~is_live).sum(axis=0, dtype=jnp.float32)
    symmetric = _group_bits(flips_live, count_live) + _group_bits(flips_dead, count_dead)
    flips_of_zeros, zeros_dead = flips_dead - flips_of_ones, count_dead - ones_dead
    counts = jnp.stack(
      [
        jnp.stack([zeros_dead - flips_of_zeros, flips_of_zeros]),
        jnp.stack([flips_of_ones, ones_dead - flips_of_ones]),
      ]
    )
    bits = count_dead * mutual_information(counts)
    certain = (flips_dead == 0) | (flips_dead == count_dead) | (ones_dead == 0) | (zeros_dead == 0)
    return symmetric, (bits - jnp.where(certain, 0, _BIAS)).sum()

  # Plane by plane: all at once would need 32 times the weights' memory.
  bits, dead = jax.lax.map(of_plane, jnp.arange(_BITS, dtype=jnp.uint32))
  return bits, jnp.maximum(dead.sum(), 0)


def _group_bits(flips: jax.Array, count: jax.Array) -> jax.Array:
  """Bits that groups of weights carry in one plane, summed over the groups: f32[groups] twice -> f32[]."""
  rate = _rate(flips, count)
  certain = (flips == 0) | (flips == count)
  return jnp.maximum((count * (1 - binary_entropy(rate)) - jnp.where(certain, 0, _BIAS)).sum(), 0)


def _rate(part: jax.Array, whole: jax.Array) -> jax.Array:
  return part / jnp.maximum(whole, 1)


def _extra_bytes(before: Params, after: Params) -> jax.Array:
  """Bytes of an entry that no layer uses which are still the same."""
  same = jax.tree.map(lambda a, b: (a == b).mean() * (a.size * a.dtype.itemsize), before, after)
  return jnp.stack([jnp.asarray(value, jnp.float32) for value in jax.tree.leaves(same)]).sum()
