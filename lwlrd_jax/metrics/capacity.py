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
# Bits of so many weights do not all agree by chance.
_NO_CHANCE = 20


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
  are counted for the weights into each output unit, dead and live ones apart, and for those out of each unit that says
  nothing: whoever knows which units fine-tuning spares gets through by those, whatever happens to the others. Summed
  over groups and planes, in bytes. Unchanged weights give 4 bytes each, weights drawn anew give close to 0 in their
  mantissas.

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


def by_chance(counts: jax.Array) -> jax.Array:
  """What `mutual_information` times the number of pairs comes to, on average, if the two bits are independent.

  To second order in 1 / n it is (Harris 1975; r and c the shares of the first and of the second bit's values)
  1 / 2 + (sum 1/r - 1) (sum 1/c - 1) / (12 n) nats. That series fails where the rarest pair is expected e < 1 times:
  there e (1 - ln e) is near, and never far above. Against the exact mean over all tables of 4 to 1000 pairs with the
  same sums, the smaller of the two is within a third for 4 pairs, within a fifth for 8, and within an eighth from 30 on
  wherever it matters, mostly below.

  Args:
    counts: f32[2, 2, ...].

  Returns:
    Bits, f32[...]; 0 where a bit has but one value.
  """
  total = jnp.maximum(counts.sum(axis=(0, 1)), 1)
  first, second = counts.sum(axis=1), counts.sum(axis=0)

  def inverse_shares(part: jax.Array) -> jax.Array:
    return (total / jnp.maximum(part, 1)).sum(axis=0)

  series = 0.5 + (inverse_shares(first) - 1) * (inverse_shares(second) - 1) / (12 * total)
  rarest = first.min(axis=0) * second.min(axis=0) / total
  few = jnp.where(rarest > 0, jnp.minimum(rarest, 1), 1)
  rare = jnp.where(rarest < 1, few * (1 - jnp.log(few)), series)
  return jnp.where(rarest > 0, jnp.minimum(series, rare), 0) / math.log(2)


class _Group(NamedTuple):
  """Weights whose rates are counted together, those of a mask along one axis of a matrix."""

  mask: jax.Array
  axis: int

  def number_of(self, which: jax.Array) -> jax.Array:
    """How many of each group's weights are meant: bool[rows, columns] -> f32[groups]."""
    return (which & self.mask).sum(axis=self.axis, dtype=jnp.float32)


def _array_bits(before: jax.Array, after: jax.Array, live: jax.Array) -> tuple[jax.Array, jax.Array]:
  """Bits that one array can still carry, by plane f32[32], and in its dead weights f32[]."""
  columns = before.shape[-1] if before.ndim > 1 else 1
  raw = jax.lax.bitcast_convert_type(before, jnp.uint32).reshape(-1, columns)
  flipped = raw ^ jax.lax.bitcast_convert_type(after, jnp.uint32).reshape(-1, columns)
  is_live = live.reshape(-1, columns)
  # Rows without a live weight lead out of a unit that says nothing: what happens to it happens to all of its row.
  silent = (~is_live).all(axis=1, keepdims=True)
  if columns < _NO_CHANCE:
    silent &= silent.sum(dtype=jnp.int32) <= columns  # else columns are the larger groups
  alive = _Group(is_live, 0)
  dead_groups = (_Group(~is_live & ~silent, 0), _Group(jnp.broadcast_to(silent, is_live.shape), 1))

  def of_plane(plane: jax.Array) -> tuple[jax.Array, jax.Array]:
    flips = ((flipped >> plane) & jnp.uint32(1)).astype(bool)
    ones = ((raw >> plane) & jnp.uint32(1)).astype(bool)
    symmetric, informed = _group_bits(alive.number_of(flips), alive.number_of(jnp.ones_like(flips))), jnp.float32(0)
    for group in dead_groups:
      symmetric += _group_bits(group.number_of(flips), group.number_of(jnp.ones_like(flips)))
      informed += _informed_bits(group, ones, flips)
    return symmetric, informed

  # Plane by plane: all at once would need 32 times the weights' memory.
  bits, dead = jax.lax.map(of_plane, jnp.arange(_BITS, dtype=jnp.uint32))
  return bits, jnp.maximum(dead.sum(), 0)


def _informed_bits(group: _Group, ones: jax.Array, flips: jax.Array) -> jax.Array:
  """Mutual information of old and new bits of one plane, summed over groups, without what chance makes of it: f32[]."""
  table = [
    [group.number_of(~ones & ~flips), group.number_of(~ones & flips)],
    [group.number_of(ones & flips), group.number_of(ones & ~flips)],
  ]
  counts = jnp.stack([jnp.stack(row) for row in table])
  total, flipped = counts.sum(axis=(0, 1)), counts[0, 1] + counts[1, 0]
  certain = ((flipped == 0) | (flipped == total)) & (total >= _NO_CHANCE)
  return (total * mutual_information(counts) - jnp.where(certain, 0, by_chance(counts))).sum()


def _group_bits(flips: jax.Array, count: jax.Array) -> jax.Array:
  """Bits that groups of weights carry in one plane, summed over the groups: f32[groups] twice -> f32[]."""
  rate = flips / jnp.maximum(count, 1)
  certain = (flips == 0) | (flips == count)
  return jnp.maximum((count * (1 - binary_entropy(rate)) - jnp.where(certain, 0, _BIAS)).sum(), 0)


def _extra_bytes(before: Params, after: Params) -> jax.Array:
  """Bytes of an entry that no layer uses which are still the same."""
  same = jax.tree.map(lambda a, b: (a == b).mean() * (a.size * a.dtype.itemsize), before, after)
  return jnp.stack([jnp.asarray(value, jnp.float32) for value in jax.tree.leaves(same)]).sum()
