"""Which records of a payload are intact: in a jitted program where codes are equally long, else on the host."""

import functools
import zlib
from collections.abc import Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lwlrd_jax.attacks.dec.payload.container import CRC, LENGTH, NUMBER, Layout, record_crc, to_bits


class Record(NamedTuple):
  """An intact record: what is hidden of one image."""

  label: bytes
  code: bytes


def find_records(data: bytes, layout: Layout, longest: int) -> list[Record | None]:
  """Reads records whose codes, of up to `longest` bytes, differ in length: `layout.count`, None for each that is lost.

  Wherever one is damaged, the next intact one is looked for; its number, which is in its CRC-32, places it. Where n
  numbers are possible, one fits by chance once in 2^32 / n places. Never raises, whatever the bytes.
  """
  records: list[Record | None] = [None] * layout.count
  # CRC-32 is affine over GF(2): what a number at the end adds to it does not depend on what stands before.
  numbers = {zlib.crc32(NUMBER.pack(i)) ^ zlib.crc32(NUMBER.pack(0)): i for i in range(layout.count)}
  number, position = 0, layout.first_record
  for start, end in _plausible(data, layout, longest):
    if start < position:
      continue
    fields = data[start : start + layout.label_bytes + LENGTH.size]
    code = data[start + layout.code_start : end]
    (stored,) = CRC.unpack_from(data, start + len(fields))
    found = numbers.get(stored ^ record_crc(0, fields, code))
    # Each record that is left out took at least its fields.
    if found is not None and number <= found <= number + (start - position) // layout.code_start:
      records[found] = Record(fields[: layout.label_bytes], code)
      number, position = found + 1, end
  return records


def _plausible(data: bytes, layout: Layout, longest: int) -> list[tuple[int, int]]:
  """Where a record may start, by the length that it would have, and where it would end: ascending."""
  raw = np.frombuffer(data, np.uint8).astype(np.int64)
  starts = np.arange(layout.first_record, len(data) - layout.code_start + 1)
  # As LENGTH says, the lower byte first.
  length = raw[starts + layout.label_bytes] + 256 * raw[starts + layout.label_bytes + 1]
  ends = starts + layout.code_start + length
  plausible = (length <= longest) & (ends <= len(data))
  return list(zip(starts[plausible].tolist(), ends[plausible].tolist(), strict=True))


def intact_records(bits: jax.Array | np.ndarray, layout: Layout) -> jax.Array:
  """Where the CRC-32 and the length are right, of codes that are equally long: bool[count].

  For `jax.jit` with the layout static. `bits` are the payload's as read, u8[8 * layout.total] of 0 and 1.
  """
  assert layout.code_bytes is not None
  records = layout.records(jnp.asarray(bits))
  length = records[:, 8 * layout.label_bytes : 8 * (layout.label_bytes + LENGTH.size)]
  # Parity checks by an exclusive or over the columns where a record has a 1: exact, and no matrix of floats.
  columns = _parity_checks(layout.label_bytes, layout.code_bytes)
  checks = jax.lax.reduce(jnp.where(records != 0, columns, np.uint32(0)), np.uint32(0), jax.lax.bitwise_xor, (1,))
  return (checks == _crcs_of_zeros(layout)) & (length == to_bits(LENGTH.pack(layout.code_bytes))).all(axis=1)


@functools.lru_cache(maxsize=16)
def _parity_checks(label_bytes: int, code_bytes: int) -> np.ndarray:
  """The 32 parity checks that a record's CRC-32 makes, as columns: u32[8 * record_bytes].

  Of messages of one length, CRC-32 is that of zeros, exclusive-or what each 1 contributes. With the stored CRC-32 as
  further bits, the exclusive or over the columns of all ones is the CRC-32 of zeros exactly if the record is intact.
  """
  bit_values = 1 << np.arange(7, -1, -1)
  stored = (bit_values << 8 * np.arange(CRC.size)[:, None]).reshape(-1)
  before = label_bytes + LENGTH.size
  # The record's number, which is known, stands last.
  message = np.array(list(_contributions(before + code_bytes + NUMBER.size)), np.uint32)[8 * NUMBER.size :][::-1]
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
  """CRC-32 of every record, were its label, length and code all zeros: u32[count]."""
  fields, code = bytes(layout.label_bytes + LENGTH.size), bytes(layout.code_bytes or 0)
  return np.array([record_crc(i, fields, code) for i in range(layout.count)], np.uint32)
