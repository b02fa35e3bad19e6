"""What a thief knows of a payload before he reads it, and what that tells him of the damage to the rest.

The header and the length of every record are the same whatever the images are. How many of these bits are wrong says
how likely the others of their kind are: those of one layer and bit plane, say. Nothing else is needed to weigh bits.

Bits or numbers below are flat: those before the records, then those of the records, as many each.
"""

import jax
import jax.numpy as jnp
import numpy as np

from lwlrd_jax.attacks.dec.payload import HEADER_BYTES, Layout, header, to_bits
from lwlrd_jax.attacks.dec.records import LENGTH, RECORD_FIELDS

# A group with few known bits of its own is judged by all of them too, as if it had so many that are as they are.
_PRIOR = 4.0


def known_bits(layout: Layout, codec_id: int) -> np.ndarray:
  """The bits known beforehand: u8[8 * HEADER_BYTES + 16 * layout.count]."""
  length = to_bits(LENGTH.pack(layout.code_bytes))
  first = to_bits(header(codec_id, layout.label_bytes, layout.count, layout.decoder_bytes))
  return np.concatenate([first, np.tile(length, layout.count)])


def at_known(flat: jax.Array, layout: Layout) -> jax.Array:
  """What stands where those bits do, in their order."""
  label = 8 * layout.label_bytes
  lengths = _records(flat, layout)[:, label : label + 8 * LENGTH.size]
  return jnp.concatenate([flat[: 8 * HEADER_BYTES], lengths.reshape(-1)])


def of_codes(flat: jax.Array, layout: Layout) -> jax.Array:
  """What stands where the codes do: [layout.count, n]."""
  return _records(flat, layout)[:, 8 * (layout.label_bytes + RECORD_FIELDS) :]


def flip_rates(bits: jax.Array, known: np.ndarray, groups: jax.Array, num_groups: int, layout: Layout) -> jax.Array:
  """How often bits of each group are wrong.

  Args:
    bits: u8[n] of 0 and 1, as read.
    known: Of `known_bits`.
    groups: i32[n] in [0, num_groups).
    num_groups: G.
    layout: Where everything is.

  Returns:
    f32[G] in [0, 1/2].
  """
  wrong = (at_known(bits, layout) != known).astype(jnp.float32)
  return jnp.minimum(_by_group(wrong, at_known(groups, layout), num_groups), 0.5)


def spreads(numbers: jax.Array, known: np.ndarray, groups: jax.Array, num_groups: int, layout: Layout) -> jax.Array:
  """How far numbers of each group are off, as a share of their range: root mean square, f32[G].

  Args:
    numbers: f32[n], as read; a known bit is a number in [0, 1].
    known: Of `known_bits`.
    groups: i32[n] in [0, num_groups).
    num_groups: G.
    layout: Where everything is.
  """
  squares = jnp.square(at_known(numbers, layout) - known.astype(np.float32))
  return jnp.sqrt(_by_group(squares, at_known(groups, layout), num_groups))


def _by_group(values: jax.Array, groups: jax.Array, num_groups: int) -> jax.Array:
  """Means by group, drawn towards the mean of all where a group is small: f32[G]."""
  zeros = jnp.zeros(num_groups, jnp.float32)
  total, count = zeros.at[groups].add(values), zeros.at[groups].add(1)
  return (total + _PRIOR * values.mean()) / (count + _PRIOR)


def _records(flat: jax.Array, layout: Layout) -> jax.Array:
  return flat[8 * layout.first_record :].reshape(layout.count, -1)
