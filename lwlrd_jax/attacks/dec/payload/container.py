"""The payload: compressed images and their labels as bytes, in a container that notices damage to each of them.

All numbers are little-endian. With D decoder bytes, L label bytes and C code bytes:

| part    | offset     | bytes | field                                                                   |
|---------|------------|-------|-------------------------------------------------------------------------|
| header  | 0          | 4     | magic, `DECP`                                                           |
|         | 4          | 1     | version, 1                                                              |
|         | 5          | 1     | codec id                                                                |
|         | 6          | 1     | L, label bytes of each image                                            |
|         | 7          | 4     | number of images                                                        |
|         | 11         | 4     | D                                                                       |
|         | 15         | 4     | CRC-32 of bytes 0 to 14                                                 |
| decoder | 19         | D     | weights of an image decoder that must travel along; may be empty        |
|         | 19 + D     | 4     | CRC-32 of the decoder                                                   |
| records | 23 + D     |       | one after another, an image each:                                       |
|         | + 0        | L     | label, see `labels.py`                                                  |
|         | + L        | 2     | C, up to 65535; may differ from record to record                        |
|         | + L + 2    | 4     | CRC-32 of label, C, code and the record's number (4 bytes, from 0)      |
|         | + L + 6    | C     | code                                                                    |

The record's number is in its CRC though not in the record: a damaged length can end exactly where a later record
starts, and from there on every image would be taken for the one before it.

As bits, the highest of each byte comes first.
"""

import dataclasses
import struct
import zlib
from collections.abc import Sequence

import jax
import numpy as np

MAX_CODE_BYTES = 2**16 - 1
LENGTH = struct.Struct("<H")
NUMBER = struct.Struct("<I")
CRC = struct.Struct("<I")
_HEADER = struct.Struct("<4sBBBII")
HEADER_BYTES = _HEADER.size + CRC.size  # its CRC-32 included


@dataclasses.dataclass(frozen=True)
class Layout:
  """Where everything is in a payload, as an attacker who packed it knows. Hashable: a static argument of `jax.jit`.

  Flat arrays below have a bit or a number an entry: those before the records, 8 a byte, then those of the records, as
  many each, their labels and fields 8 a byte.

  >>> Layout(count=10, label_bytes=1, code_bytes=100).total
  1093
  """

  count: int
  label_bytes: int  # of each image
  code_bytes: int | None  # of each image; None where they differ
  decoder_bytes: int = 0  # without its CRC-32

  @property
  def first_record(self) -> int:
    """Bytes before the first record."""
    return HEADER_BYTES + self.decoder_bytes + CRC.size

  @property
  def code_start(self) -> int:
    """Bytes of a record before its code."""
    return self.label_bytes + LENGTH.size + CRC.size

  @property
  def record_bytes(self) -> int:
    """Bytes of a record, where codes are equally long."""
    assert self.code_bytes is not None
    return self.code_start + self.code_bytes

  @property
  def total(self) -> int:
    """Bytes of the whole payload, where codes are equally long."""
    return self.first_record + self.count * self.record_bytes

  def header(self, codec_id: int) -> bytes:
    """The first `HEADER_BYTES` bytes."""
    first = _HEADER.pack(b"DECP", 1, codec_id, self.label_bytes, self.count, self.decoder_bytes)
    return first + _crc(first)

  def known_bits(self, codec_id: int) -> np.ndarray:
    """The bits that are the same whatever the images are: the header, and the lengths where codes are equally long."""
    lengths = b"" if self.code_bytes is None else self.count * LENGTH.pack(self.code_bytes)
    return to_bits(self.header(codec_id) + lengths)

  def known_positions(self, length: int) -> np.ndarray:
    """Where those bits stand in a flat array of this length: i64[...], in their order."""
    header = np.arange(8 * HEADER_BYTES)
    if self.code_bytes is None:
      return header
    start = 8 * (self.first_record + self.label_bytes)
    starts = start + (length - 8 * self.first_record) // self.count * np.arange(self.count)
    return np.concatenate([header, (starts[:, None] + np.arange(8 * LENGTH.size)).reshape(-1)])

  def decoder(self, flat: jax.Array) -> jax.Array:
    """What stands where the decoder does."""
    return flat[8 * HEADER_BYTES : 8 * (HEADER_BYTES + self.decoder_bytes)]

  def records(self, flat: jax.Array) -> jax.Array:
    """The records: [count, n]."""
    return flat[8 * self.first_record :].reshape(self.count, -1)

  def labels(self, flat: jax.Array) -> jax.Array:
    """What stands where the label bytes do: [count, 8 * label_bytes]."""
    return self.records(flat)[:, : 8 * self.label_bytes]

  def codes(self, flat: jax.Array) -> jax.Array:
    """What stands where the codes do: [count, n]."""
    return self.records(flat)[:, 8 * self.code_start :]


def pack(codec_id: int, labels: np.ndarray, codes: Sequence[bytes], decoder: bytes = b"") -> bytes:
  """Makes a payload, as the module's docstring says.

  `codec_id` is 0 to 255, `labels` are u8[S, L] of `encode_labels`, L up to 255; `codes` are S of up to 65535 bytes,
  `decoder` is up to 2**32 - 1 bytes. Raises ValueError if a code is longer, or there are not as many codes as labels.

  >>> len(pack(7, np.array([[65]], np.uint8), [b"code"])) == Layout(count=1, label_bytes=1, code_bytes=4).total
  True
  """
  longest = max(map(len, codes), default=0)
  if longest > MAX_CODE_BYTES:
    raise ValueError(f"a code may have up to {MAX_CODE_BYTES} bytes, not {longest}")
  parts = [Layout(len(codes), labels.shape[1], None, len(decoder)).header(codec_id), decoder, _crc(decoder)]
  for i, (label, code) in enumerate(zip(labels, codes, strict=True)):
    fields = label.tobytes() + LENGTH.pack(len(code))
    parts += [fields, CRC.pack(record_crc(i, fields, code)), code]
  return b"".join(parts)


def intact_decoder(data: bytes, layout: Layout) -> bytes | None:
  """The decoder in a payload; None if its CRC-32 does not hold."""
  decoder = data[HEADER_BYTES : HEADER_BYTES + layout.decoder_bytes]
  return decoder if data[HEADER_BYTES + layout.decoder_bytes : layout.first_record] == _crc(decoder) else None


def record_crc(i: int, fields: bytes, code: bytes) -> int:
  """CRC-32 of a record's label and length, its code, and its number."""
  return zlib.crc32(NUMBER.pack(i), zlib.crc32(code, zlib.crc32(fields)))


def to_bits(data: bytes) -> np.ndarray:
  """Bits of bytes, the highest of each first: u8[8 * len(data)].

  >>> to_bits(b"A").tolist()
  [0, 1, 0, 0, 0, 0, 0, 1]
  """
  return np.unpackbits(np.frombuffer(data, np.uint8))


def _crc(data: bytes) -> bytes:
  return CRC.pack(zlib.crc32(data))
