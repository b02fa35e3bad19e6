"""Records of a payload, one an image: label, length, CRC-32 and code (`payload.py` has the layout)."""

import dataclasses
import struct
import zlib
from typing import Literal

import numpy as np

LENGTH = struct.Struct("<H")
CRC = struct.Struct("<I")
_NUMBER = struct.Struct("<I")
NUMBER_BYTES = _NUMBER.size
RECORD_FIELDS = LENGTH.size + CRC.size
MAX_CODE_BYTES = 2**16 - 1


@dataclasses.dataclass(frozen=True)
class Record:
  """One image as read.

  Attributes:
    status: "ok" where the CRC holds; "damaged" where it does not; "lost" where the data end before the record does, or
      where it starts is not known.
    label: As read; None if lost.
    code: As read, of a damaged record maybe of the wrong length; None if lost.
  """

  status: Literal["ok", "damaged", "lost"]
  label: bytes | None
  code: bytes | None


LOST = Record("lost", None, None)


def record_crc(i: int, fields: bytes, code: bytes) -> int:
  """CRC-32 of a record's label and length, its code, and its number."""
  return zlib.crc32(_NUMBER.pack(i), zlib.crc32(code, zlib.crc32(fields)))


def read_record(data: bytes, i: int, start: int, label_bytes: int, code_bytes: int | None = None) -> tuple[Record, int]:
  """Record i, and where it ends. None for the code bytes means as many as the record says."""
  code_start = start + label_bytes + RECORD_FIELDS
  if code_start > len(data):
    return LOST, code_start
  (stored_length,) = LENGTH.unpack_from(data, start + label_bytes)
  (stored_crc,) = CRC.unpack_from(data, start + label_bytes + LENGTH.size)
  if code_bytes is None:
    code_bytes = int(stored_length)
  end = code_start + code_bytes
  if end > len(data):
    return LOST, end
  fields, code = data[start : start + label_bytes + LENGTH.size], data[code_start:end]
  intact = stored_length == code_bytes and stored_crc == record_crc(i, fields, code)
  return Record("ok" if intact else "damaged", fields[:label_bytes], code), end


def scan(data: bytes, start: int, label_bytes: int, count: int, longest: int) -> list[Record]:
  """Reads `count` records one after another, and looks for the next intact one wherever one is damaged.

  A record's number is in its CRC-32 though not in the record, so one that is found is also placed. Where n numbers are
  possible, one fits by chance once in 2^32 / n places. No code is longer than `longest` bytes.

  Returns:
    `count` records, each "ok" or "lost": what a damaged one holds is of no use to a code of variable length.
  """
  records = [LOST] * count
  # CRC-32 is affine over GF(2): what a number at the end adds to it does not depend on what stands before.
  numbers = {zlib.crc32(_NUMBER.pack(i)) ^ zlib.crc32(_NUMBER.pack(0)): i for i in range(count)}
  number = position = 0
  for place in _plausible(data, start, label_bytes, longest).tolist():
    if place < position:
      continue
    record, end = read_record(data, 0, place, label_bytes)
    assert record.label is not None  # the data do not end before a plausible record does
    assert record.code is not None
    fields_end = place + label_bytes + LENGTH.size
    (stored,) = CRC.unpack_from(data, fields_end)
    found = numbers.get(stored ^ record_crc(0, data[place:fields_end], record.code))
    # Each record that is left out took at least its fields.
    if found is None or not number <= found <= number + (place - max(position, start)) // (label_bytes + RECORD_FIELDS):
      continue
    records[found] = Record("ok", record.label, record.code)
    number, position = found + 1, end
  return records


def _plausible(data: bytes, start: int, label_bytes: int, longest: int) -> np.ndarray:
  """Places where a record may start, by the length that it would have: ascending."""
  raw = np.frombuffer(data, np.uint8).astype(np.int64)
  places = np.arange(start, len(data) - label_bytes - RECORD_FIELDS + 1)
  if len(places) == 0:
    return places
  # As LENGTH says, the lower byte first.
  length = raw[places + label_bytes] + 256 * raw[places + label_bytes + 1]
  ends = places + label_bytes + RECORD_FIELDS + length
  return places[(length <= longest) & (ends <= len(data))]
