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
|         | + 0        | L     | label, see `encode_labels`                                              |
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

from lwlrd_jax.attacks.dec.payload.records import (
  CRC,
  LENGTH,
  MAX_CODE_BYTES,
  RECORD_FIELDS,
  Record,
  read_record,
  record_crc,
  scan,
)
from lwlrd_jax.data.dataset import unknown_as_absent

MAGIC = b"DECP"
VERSION = 1

_HEADER = struct.Struct("<4sBBBII")
HEADER_BYTES = _HEADER.size + CRC.size
"""Of the header, its CRC-32 included."""
_FIRST_RECORD = HEADER_BYTES + CRC.size


@dataclasses.dataclass(frozen=True)
class Layout:
  """Where everything is in a payload whose codes are all equally long. Hashable: a static argument of `jax.jit`.

  `label_bytes` (0 to 255) and `code_bytes` (0 to 65535) are of each image; `decoder_bytes` are without the CRC-32.

  >>> Layout(count=10, label_bytes=1, code_bytes=100).total
  1093
  """

  count: int
  label_bytes: int
  code_bytes: int
  decoder_bytes: int = 0

  def __post_init__(self):
    limits = {"count": 2**32 - 1, "label_bytes": 255, "code_bytes": MAX_CODE_BYTES, "decoder_bytes": 2**32 - 1}
    for name, largest in limits.items():
      if not 0 <= getattr(self, name) <= largest:
        raise ValueError(f"{name} must be in [0, {largest}], not {getattr(self, name)}")

  @property
  def total(self) -> int:
    """Bytes of the whole payload."""
    return self.first_record + self.count * self.record_bytes

  @property
  def decoder_start(self) -> int:
    """Bytes before the decoder."""
    return HEADER_BYTES

  @property
  def first_record(self) -> int:
    """Bytes before the first record."""
    return _FIRST_RECORD + self.decoder_bytes

  @property
  def record_bytes(self) -> int:
    """Bytes of a record."""
    return self.label_bytes + RECORD_FIELDS + self.code_bytes


@dataclasses.dataclass(frozen=True)
class Known:
  """What an attacker knows of a payload whose codes differ in length: `longest` is of the longest code."""

  count: int
  label_bytes: int
  longest: int
  decoder_bytes: int = 0


@dataclasses.dataclass(frozen=True)
class Parsed:
  """A payload as read.

  Attributes:
    status: "ok", or what is not, for example "damaged: header, decoder, 2 of 5 images".
    codec_id: None if the header is damaged.
    decoder: None if it is damaged or lost.
    records: One an image, in the order packed.
  """

  status: str
  codec_id: int | None
  decoder: bytes | None
  records: tuple[Record, ...]


def pack(codec_id: int, labels: np.ndarray, codes: Sequence[bytes], decoder: bytes = b"") -> bytes:
  """Makes a payload, as the module's docstring says.

  Args:
    codec_id: Which codec made the codes, 0 to 255.
    labels: u8[S, L] of `encode_labels`, L up to 255.
    codes: S codes of up to 65535 bytes each.
    decoder: Up to 2**32 - 1 bytes.

  Raises:
    ValueError: One of these does not hold.

  >>> parse(pack(7, np.array([[65]], np.uint8), [b"code"]), Layout(1, 1, 4)).records
  (Record(status='ok', label=b'A', code=b'code'),)
  """
  if not 0 <= codec_id <= 255:
    raise ValueError(f"the codec id must be in [0, 255], not {codec_id}")
  if labels.dtype != np.uint8 or labels.ndim != 2 or labels.shape[1] > 255:
    raise ValueError(f"labels must be u8[S, L] with L up to 255, not {labels.dtype}{list(labels.shape)}")
  if len(labels) != len(codes):
    raise ValueError(f"{len(labels)} labels do not fit {len(codes)} codes")
  longest = max(map(len, codes), default=0)
  if longest > MAX_CODE_BYTES:
    raise ValueError(f"a code may have up to {MAX_CODE_BYTES} bytes, not {longest}")
  if len(codes) >= 2**32 or len(decoder) >= 2**32:
    raise ValueError("more than 2**32 - 1 images or decoder bytes")
  parts = [header(codec_id, labels.shape[1], len(codes), len(decoder)), decoder, _crc(decoder)]
  for i, (label, code) in enumerate(zip(labels, codes, strict=True)):
    fields = label.tobytes() + LENGTH.pack(len(code))
    parts += [fields, CRC.pack(record_crc(i, fields, code)), code]
  return b"".join(parts)


def header(codec_id: int, label_bytes: int, count: int, decoder_bytes: int) -> bytes:
  """A payload's first bytes, `HEADER_BYTES` of them."""
  first = _HEADER.pack(MAGIC, VERSION, codec_id, label_bytes, count, decoder_bytes)
  return first + _crc(first)


def parse(data: bytes, expected: Layout | Known) -> Parsed:
  """Reads a payload back, as far as it is undamaged. Never raises, whatever the bytes.

  Args:
    data: The payload; more bytes may follow.
    expected: Where an attacker who packed it knows things to be. With a `Layout`, no length in the data is read. With
      `Known`, records are found by their CRC-32 wherever damaged lengths lead; those that are not intact are lost.

  >>> payload = pack(7, np.array([[3], [4]], np.uint8), [b"one", b"two"])
  >>> parse(payload[:-1], Layout(2, 1, 3)).status
  'damaged: 1 of 2 images'
  """
  fields = _header_fields(data)
  label_bytes, count, decoder_bytes = expected.label_bytes, expected.count, expected.decoder_bytes
  start = _FIRST_RECORD + decoder_bytes
  decoder = data[HEADER_BYTES : start - CRC.size]
  decoder_ok = data[start - CRC.size : start] == _crc(decoder)
  if isinstance(expected, Known):
    records = scan(data, start, label_bytes, count, expected.longest)
  else:
    records = [_record(data, i, expected) for i in range(count)]

  damage = []
  if fields is None or fields[1:] != (label_bytes, count, decoder_bytes):
    damage.append("header")
  if not decoder_ok:
    damage.append("decoder")
  bad = count - sum(record.status == "ok" for record in records)
  if bad:
    damage.append(f"{bad} of {count} images")
  return Parsed(
    status="damaged: " + ", ".join(damage) if damage else "ok",
    codec_id=None if fields is None else fields[0],
    decoder=decoder if decoder_ok else None,
    records=tuple(records),
  )


def encode_labels(labels: np.ndarray, num_outputs: int) -> np.ndarray:
  """Labels as bytes.

  Args:
    labels: i32[N] classes in [0, K), or u8[N, K], 1 where a finding is present; an unknown one is sent as absent.
    num_outputs: K, up to 65536 classes or 2040 findings.

  Returns:
    u8[N, L]. Of classes, L is 1 up to K = 256 and 2 beyond, the lower byte first. Of findings, L is ceil(K / 8), the
    first finding in the highest bit of the first byte.

  Raises:
    ValueError: A label or K is outside these ranges.

  >>> encode_labels(np.array([3, 0]), 10).tolist(), encode_labels(np.array([[1, 0, 0]], np.uint8), 3).tolist()
  ([[3], [0]], [[128]])
  """
  labels = unknown_as_absent(np.asarray(labels))
  multi_label = labels.ndim == 2
  label_bytes = label_bytes_of(num_outputs, multi_label=multi_label)
  limit = 2 if multi_label else num_outputs
  if labels.size and (labels.min() < 0 or labels.max() >= limit):
    raise ValueError(f"labels must be in [0, {limit})")
  if multi_label:
    if labels.shape[1] != num_outputs:
      raise ValueError(f"{labels.shape[1]} findings an image, not {num_outputs}")
    return np.packbits(labels.astype(np.uint8), axis=1)
  return labels.astype("<u2").view(np.uint8).reshape(-1, 2)[:, :label_bytes].copy()


def decode_labels(encoded: np.ndarray, num_outputs: int, *, multi_label: bool) -> np.ndarray:
  """Undoes `encode_labels`: u8[N, L] -> i32[N] classes (damaged ones may be K or more) or u8[N, K] of 0 and 1.

  >>> decode_labels(np.array([[3], [0]], np.uint8), 10, multi_label=False).tolist()
  [3, 0]
  """
  encoded = np.asarray(encoded, np.uint8)
  label_bytes = label_bytes_of(num_outputs, multi_label=multi_label)
  if encoded.ndim != 2 or encoded.shape[1] != label_bytes:
    raise ValueError(f"labels must be u8[N, {label_bytes}], not {list(encoded.shape)}")
  if multi_label:
    return np.unpackbits(encoded, axis=1, count=num_outputs)
  return encoded.astype(np.int32) @ (256 ** np.arange(label_bytes, dtype=np.int32))


def to_bits(data: bytes) -> np.ndarray:
  """Bits of bytes, the highest of each first: u8[8 * len(data)].

  >>> to_bits(b"A").tolist()
  [0, 1, 0, 0, 0, 0, 0, 1]
  """
  return np.unpackbits(np.frombuffer(data, np.uint8))


def from_bits(bits: jax.Array | np.ndarray) -> bytes:
  """Undoes `to_bits`: u8[8 * n] of 0 and 1 -> n bytes."""
  if len(bits) % 8:
    raise ValueError(f"{len(bits)} bits are not whole bytes")
  return np.packbits(np.asarray(bits)).tobytes()


def _crc(data: bytes) -> bytes:
  return CRC.pack(zlib.crc32(data))


def _header_fields(data: bytes) -> tuple[int, int, int, int] | None:
  """Codec id, label bytes, number of images, decoder bytes; None if damaged, or of another kind or version."""
  first = data[: _HEADER.size]
  if len(first) < _HEADER.size or data[_HEADER.size : HEADER_BYTES] != _crc(first):
    return None
  magic, version, *fields = _HEADER.unpack(first)
  return tuple(fields) if (magic, version) == (MAGIC, VERSION) else None


def _record(data: bytes, i: int, layout: Layout) -> Record:
  start = layout.first_record + i * layout.record_bytes
  return read_record(data, i, start, layout.label_bytes, layout.code_bytes)[0]


def label_bytes_of(num_outputs: int, *, multi_label: bool) -> int:
  """L of `encode_labels`."""
  largest = 8 * 255 if multi_label else 2**16
  if not 1 <= num_outputs <= largest:
    raise ValueError(f"{num_outputs} outputs; labels can be encoded of 1 to {largest}")
  return -(-num_outputs // 8) if multi_label else 1 + (num_outputs > 256)
