"""Whole numbers of different widths as bits, one after another, each number's highest bit first."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np


def owners(widths: Sequence[int]) -> np.ndarray:
  """The number that each bit belongs to: i32[sum(widths)]."""
  return np.repeat(np.arange(len(widths), dtype=np.int32), np.asarray(widths, np.int32))


def join_bits(bits: jax.Array, widths: Sequence[int]) -> jax.Array:
  """Bits u8[N, sum(widths)] of 0 and 1 -> numbers u32[N, len(widths)].

  >>> join_bits(jnp.uint8([[1, 0, 1]]), (1, 2)).tolist()
  [[1, 1]]
  """
  weighted = bits.astype(jnp.uint32) << _places(widths)
  return jnp.zeros((len(bits), len(widths)), jnp.uint32).at[:, owners(widths)].add(weighted)


def split_bits(numbers: jax.Array, widths: Sequence[int]) -> jax.Array:
  """The inverse of `join_bits`."""
  return ((numbers[:, owners(widths)] >> _places(widths)) & np.uint32(1)).astype(jnp.uint8)


def _places(widths: Sequence[int]) -> np.ndarray:
  """Of every bit, its place in its number from the lowest: u32[sum(widths)]."""
  ends = np.cumsum(np.asarray(widths, np.int32))
  owner = owners(widths)
  return (ends[owner] - 1 - np.arange(len(owner))).astype(np.uint32)
