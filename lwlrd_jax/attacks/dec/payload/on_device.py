"""The payload read on the device: for `jax.jit` with the layout static, and for `jax.vmap` over a population."""

import functools
import zlib
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np

from lwlrd_jax.attacks.dec.payload.container import Layout, to_bits
from lwlrd_jax.attacks.dec.payload.records import CRC, LENGTH, NUMBER_BYTES, RECORD_FIELDS, record_crc


def record_bits(bits: jax.Array | np.ndarray, layout: Layout) -> tuple[jax.Array, jax.Array, jax.Array]:
  """All records: what `parse(from_bits(bits), layout)` gives, of `layout.total` bytes.

  Args:
    bits: u8[8 * layout.total] of 0 and 1, of the payload as read.
    layout: Where everything is.

  Returns:
    Label bytes u8[S, L], code bits u8[S, 8 * C], and bool[S], where the CRC-32 and the length are right.

  Raises:
    ValueError: The number of bits is not that of the layout.
  """
  _check_bits(bits, layout)
  records = jnp.asarray(bits)[8 * layout.first_record :].reshape(layout.count, 8 * layout.record_bytes)
  end_of_label = 8 * layout.label_bytes
  end_of_length = end_of_label + 8 * LENGTH.size
  labels = jnp.packbits(records[:, :end_of_label], axis=1)
  length = records[:, end_of_label:end_of_length]
  code_bits = records[:, 8 * (layout.label_bytes + RECORD_FIELDS) :]

  # Parity checks by an exclusive or over the columns where a record has a 1: exact, and no matrix of floats.
  columns = _parity_checks(layout.label_bytes, layout.code_bytes)
  checks = jax.lax.reduce(jnp.where(records != 0, columns, np.uint32(0)), np.uint32(0), jax.lax.bitwise_xor, (1,))
  crc_holds = checks == _crcs_of_zeros(layout)
  length_right = (length == to_bits(LENGTH.pack(layout.code_bytes))).all(axis=1)
  return labels, code_bits, crc_holds & length_right


def decoder_bits(bits: jax.Array | np.ndarray, layout: Layout) -> jax.Array:
  """The decoder as read: u8[8 * layout.total] -> u8[8 * layout.decoder_bytes]."""
  _check_bits(bits, layout)
  return jnp.asarray(bits)[8 * layout.decoder_start : 8 * (layout.decoder_start + layout.decoder_bytes)]


def _check_bits(bits: jax.Array | np.ndarray, layout: Layout) -> None:
  if bits.shape != (8 * layout.total,):
    raise ValueError(f"the layout has {8 * layout.total} bits, not {bits.shape}")


@functools.lru_cache(maxsize=16)
def _parity_checks(label_bytes: int, code_bytes: int) -> np.ndarray:
  """The 32 parity checks that a record's CRC-32 makes, as columns: u32[8 * record_bytes].

  CRC-32 is affine over GF(2): of messages of one length, it is that of zeros, exclusive-or what each 1 contributes.
  With the stored CRC-32 as further bits, the exclusive or over the columns of all ones is the CRC-32 of zeros exactly
  if the record is intact.
  """
  bit_values = 1 << np.arange(7, -1, -1)
  stored = (bit_values << 8 * np.arange(CRC.size)[:, None]).reshape(-1)
  before = label_bytes + LENGTH.size
  # The record's number, which is known, stands last.
  message = np.array(list(_contributions(before + code_bytes + NUMBER_BYTES)), np.uint32)[8 * NUMBER_BYTES :][::-1]
  return np.concatenate([message[: 8 * before], stored.astype(np.uint32), message[8 * before :]])


def _contributions(message_bytes: int) -> Iterator[int]:
  """What each bit of a message adds to its CRC-32, from the last byte's lowest bit to the first byte's highest."""
  zero = zlib.crc32(b"\0")
  of_byte = [zlib.crc32(bytes([1 << bit])) ^ zero for bit in range(8)]
  for _ in range(message_bytes):
    yield from of_byte
    of_byte = [zlib.crc32(b"\0", crc) ^ zero for crc in of_byte]


@functools.lru_cache(maxsize=16)
def _crcs_of_zeros(layout: Layout) -> np.ndarray:
  """CRC-32 of every record, were its label, length and code all zeros: u32[S]."""
  fields, code = bytes(layout.label_bytes + LENGTH.size), bytes(layout.code_bytes)
  return np.array([record_crc(i, fields, code) for i in range(layout.count)], np.uint32)
