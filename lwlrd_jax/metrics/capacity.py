"""Surviving capacity: how many bytes a channel keyed by position could still carry through a defence."""

import functools
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp

from lwlrd_jax.metrics.bit_planes import PLANES, set_by_column, set_by_row
from lwlrd_jax.models.network import Params

# What a rate counted over a sample adds to 1 - H on average, in bits a group: a coin's entropy is underestimated by
# 1 / (2 n ln 2) (Miller 1955), and a group has n weights.
_BIAS = 1 / (2 * math.log(2))
# Bits of so many weights do not all agree by chance.
_NO_CHANCE = 20


class SurvivingBytes(NamedTuple):
  """Capacity in bytes, f32[] each: of the 23 mantissa planes, the 8 exponent planes and the sign plane.

  `dead` is what the bits of dead weights still say about what they were; `extra` is of entries that belong to no layer.
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

  Each bit plane of some weights is a binary symmetric channel whose flip rate p is counted between the two versions.
  An attacker who knows the positions can send 1 - H(p) bits a weight through it (Shannon 1948), H the binary entropy.
  Rates are counted for the weights into each output unit, dead and live ones apart, and for those out of each unit that
  says nothing: an attacker who knows which units fine-tuning spares gets through by those, whatever happens to the
  others. Summed over groups and planes, in bytes. Unchanged weights give 4 bytes each, re-initialised ones close to 0
  in their mantissas.

  Exponents of re-initialised weights mostly agree with the old ones, as weights of a layer are alike, and 1 - H counts
  that. `dead` does not: it is the mutual information between old and new bits, 0 if the new do not depend on the old.

  Args:
    before: The checkpoint as the attacker left it: {layer: arrays}, f32; other entries may be there.
    after: The same after the defence.
    live: bool tree like the layers' arrays: `models.liveness.live_weights` of the model before any finisher.
    layers: Names of the layers.
  """
  # Called outside of a compiled program, arrays of one shape share one; a deep network's would take minutes to compile.
  trees = [(before[layer], after[layer], live[layer]) for layer in layers]
  found = [[_array_bits(old[name], new[name], alive[name]) for name in old] for old, new, alive in trees]
  sizes = tuple(sum(leaf.size for leaf in before[layer].values()) for layer in layers)
  extra = [(before[name], after[name]) for name in sorted(before) if name not in layers and name in after]
  return _summed_up(found, sizes, extra)


@functools.partial(jax.jit, static_argnums=1)
def _summed_up(
  found: list[list[tuple[jax.Array, jax.Array]]], sizes: tuple[int, ...], entries: list[tuple[Params, Params]]
) -> Survival:
  """What the arrays of each layer come to, and the entries that belong to none, before and after."""
  planes = jnp.stack([sum((bits for bits, _ in arrays), start=jnp.zeros(PLANES)) for arrays in found])
  per_plane = planes.sum(axis=0) / 8
  dead_bits = sum((dead for arrays in found for _, dead in arrays), start=jnp.float32(0))
  extra = sum((_extra_bytes(*entry) for entry in entries), start=jnp.float32(0))
  whole = SurvivingBytes(per_plane[:23].sum(), per_plane[23:31].sum(), per_plane[31], dead_bits / 8, extra)
  return Survival(whole, planes / jnp.asarray([float(size) for size in sizes])[:, None])


def binary_entropy(p: jax.Array) -> jax.Array:
  """Entropy of a coin in bits: p in [0, 1] -> [0, 1].

  >>> binary_entropy(jnp.array([0.0, 0.5, 1.0])).tolist()
  [0.0, 1.0, 0.0]
  """
  return jnp.abs(_plog2p(p) + _plog2p(1 - p))


def mutual_information(counts: jax.Array) -> jax.Array:
  """What a bit says about another, in bits, from counts of their values f32[2, 2, ...] -> f32[...] in [0, 1].

  >>> mutual_information(jnp.array([[5.0, 0.0], [0.0, 5.0]])).item()
  1.0
  >>> round(mutual_information(jnp.array([[4.0, 4.0], [1.0, 1.0]])).item(), 6)
  0.0
  """
  total = jnp.maximum(counts.sum(axis=(0, 1)), 1)
  joint = _plog2p(counts / total).sum(axis=(0, 1))
  first, second = (_plog2p(counts.sum(axis=axis) / total).sum(axis=0) for axis in (0, 1))
  return jnp.maximum(joint - first - second, 0)


def _plog2p(p: jax.Array) -> jax.Array:
  return p * jnp.log2(jnp.where(p > 0, p, 1))


def by_chance(counts: jax.Array) -> jax.Array:
  """What `mutual_information` times the number of pairs comes to, on average, if the two bits are independent.

  To second order in 1 / n it is (Harris 1975; r and c the shares of the first and of the second bit's values)
  1 / 2 + (sum 1/r - 1) (sum 1/c - 1) / (12 n) nats. That series fails where the rarest pair is expected e < 1 times:
  there e (1 - ln e) is near, and never far above. Against the exact mean over all tables of 4 to 1000 pairs with the
  same sums, the smaller of the two is within a third for 4 pairs, within a fifth for 8, and within an eighth from 30 on
  wherever it matters, mostly below.
  Bits f32[...] of counts f32[2, 2, ...]; 0 where a bit has but one value.
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


class _Counts(NamedTuple):
  """Weights of G groups, f32[G]; and by plane how many of their bits flipped, were 1, or both, f32[32, G] each."""

  size: jax.Array
  flips: jax.Array
  ones: jax.Array
  both: jax.Array


def _count(mask: jax.Array, raw: jax.Array, flipped: jax.Array, *, by_row: bool) -> _Counts:
  """Counts of the weights of a mask, whose groups are columns or rows of a matrix: bool, u32, u32, all [R, C]."""
  count = set_by_row if by_row else set_by_column
  by_plane = count(mask, flipped, raw, raw & flipped)
  return _Counts(mask.sum(axis=int(by_row), dtype=jnp.float32), *(found.astype(jnp.float32) for found in by_plane))


@jax.jit  # arrays of one shape are traced once
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
  alive = _count(is_live, raw, flipped, by_row=False)
  dead_groups = (
    _count(~is_live & ~silent, raw, flipped, by_row=False),
    _count(jnp.broadcast_to(silent, is_live.shape), raw, flipped, by_row=True),
  )
  bits = sum((_group_bits(group) for group in dead_groups), start=_group_bits(alive))
  dead = sum((_informed_bits(group) for group in dead_groups), start=jnp.float32(0))
  return bits, jnp.maximum(dead, 0)


def _informed_bits(group: _Counts) -> jax.Array:
  """Mutual information of old and new bits, summed over groups and planes, without what chance makes of it: f32[]."""
  size, flips, ones, both = group
  counts = jnp.stack([jnp.stack([size - ones - flips + both, flips - both]), jnp.stack([both, ones - both])])
  certain = ((flips == 0) | (flips == size)) & (size >= _NO_CHANCE)
  return (size * mutual_information(counts) - jnp.where(certain, 0, by_chance(counts))).sum()


def _group_bits(group: _Counts) -> jax.Array:
  """Bits that groups of weights carry by their flip rates, summed over the groups: f32[32]."""
  size, flips = group.size, group.flips
  rate = flips / jnp.maximum(size, 1)
  certain = (flips == 0) | (flips == size)
  return jnp.maximum((size * (1 - binary_entropy(rate)) - jnp.where(certain, 0, _BIAS)).sum(axis=-1), 0)


def _extra_bytes(before: Params, after: Params) -> jax.Array:
  """Bytes of an entry that no layer uses which are still the same."""
  same = jax.tree.map(lambda a, b: (a == b).mean() * (a.size * a.dtype.itemsize), before, after)
  return jnp.stack([jnp.asarray(value, jnp.float32) for value in jax.tree.leaves(same)]).sum()
