import functools
import zlib

import jax
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lwlrd_jax.attacks.dec.payload.container import MAX_CODE_BYTES, Layout, intact_decoder, pack, to_bits
from lwlrd_jax.attacks.dec.payload.labels import decode_labels, encode_labels
from lwlrd_jax.attacks.dec.payload.records import Record, find_records, intact_records
from lwlrd_jax.data.dataset import UNKNOWN

_QUICK = settings(max_examples=100, deadline=None)
_BINARY = st.binary(max_size=30)


@st.composite
def payloads(draw, same_length=False):
  """Codec id, labels, codes, decoder."""
  label_bytes = draw(st.integers(0 if same_length else 1, 3))
  count = draw(st.integers(int(same_length), 5))
  labels = np.frombuffer(draw(st.binary(min_size=count * label_bytes, max_size=count * label_bytes)), np.uint8)
  size = draw(st.integers(0, 30))
  code = st.binary(min_size=size, max_size=size) if same_length else _BINARY
  codes = draw(st.lists(code, min_size=count, max_size=count))
  return draw(st.integers(0, 255)), labels.reshape(count, label_bytes), codes, draw(_BINARY)


def _layout(payload):
  _, labels, codes, decoder = payload
  return Layout(len(codes), labels.shape[1], len(codes[0]) if codes else 0, len(decoder))


def _known(payload):
  """Layout of a payload whose codes differ in length, and the longest of them."""
  _, labels, codes, decoder = payload
  return Layout(len(codes), labels.shape[1], None, len(decoder)), max(map(len, codes), default=0)


def from_bits(bits):
  return np.packbits(np.asarray(bits)).tobytes()


def naive_records(data, layout):
  """Records at the places of a layout, with whether they are intact; None for those beyond the end."""
  records = []
  for i in range(layout.count):
    start = layout.first_record + i * layout.record_bytes
    label, rest = data[start : start + layout.label_bytes], data[start + layout.label_bytes :]
    code = rest[6 : 6 + layout.code_bytes]
    crc = zlib.crc32(label + rest[:2] + code + i.to_bytes(4, "little")).to_bytes(4, "little")
    intact = rest[:2] == layout.code_bytes.to_bytes(2, "little") and rest[2:6] == crc
    records.append((label, code, intact) if len(code) == layout.code_bytes and len(rest) >= 6 else None)
  return records


def _records_of(payload):
  return [Record(label.tobytes(), code) for label, code in zip(payload[1], payload[2], strict=True)]


def _assert_nothing_false(data, payload):
  """What is found is what was packed."""
  layout, longest = _known(payload)
  assert intact_decoder(data, layout) in {None, payload[3]}
  for record, packed in zip(find_records(data, layout, longest), _records_of(payload), strict=True):
    assert record in {None, packed}


def _flipped(data, bit):
  damaged = bytearray(data)
  damaged[bit // 8] ^= 128 >> bit % 8
  return bytes(damaged)


@_QUICK
@given(payloads(), st.binary(max_size=5))
def test_round_trip(payload, behind):
  data, known = pack(*payload), _known(payload)
  for read in (data, data + behind):
    assert find_records(read, *known) == _records_of(payload)
    assert intact_decoder(read, known[0]) == payload[3]
  np.testing.assert_array_equal(np.packbits(to_bits(data)), np.frombuffer(data, np.uint8))
  assert from_bits(to_bits(data)) == data


@_QUICK
@given(payloads(same_length=True))
def test_round_trip_with_a_layout(payload):
  data, layout = pack(*payload), _layout(payload)
  assert len(data) == layout.total
  assert data.startswith(layout.header(payload[0]))
  assert from_bits(layout.decoder(to_bits(data))) == payload[3]
  assert naive_records(data, layout) == [(*record, True) for record in _records_of(payload)]


def test_bytes_by_the_documented_table():
  data = pack(9, np.array([[1, 2], [3, 4]], np.uint8), [b"abc", b""], b"dec")
  header = b"DECP" + bytes([1, 9, 2]) + (2).to_bytes(4, "little") + (3).to_bytes(4, "little")
  expected = header + zlib.crc32(header).to_bytes(4, "little") + b"dec" + zlib.crc32(b"dec").to_bytes(4, "little")
  for i, (label, code) in enumerate([(b"\1\2", b"abc"), (b"\3\4", b"")]):
    length = len(code).to_bytes(2, "little")
    crc = zlib.crc32(label + length + code + i.to_bytes(4, "little"))
    expected += label + length + crc.to_bytes(4, "little") + code
  assert data == expected


@_QUICK
@given(payload=payloads(), draw=st.data())
def test_who_knows_the_frame_loses_only_what_is_hit(payload, draw):
  _, labels, codes, decoder = payload
  data, known = pack(*payload), _known(payload)
  hit = draw.draw(st.integers(0, len(data) - 1))
  damaged = _flipped(data, 8 * hit + draw.draw(st.integers(0, 7)))
  position = 23 + len(decoder)
  assert intact_decoder(damaged, known[0]) == (None if 19 <= hit < position else decoder)
  expected = []
  for record in _records_of(payload):
    end = position + labels.shape[1] + 6 + len(record.code)
    expected.append(None if position <= hit < end else record)
    position = end
  assert find_records(damaged, *known) == expected
  assert len(expected) == len(codes)


def test_records_are_found_among_many_wrong_bits():
  """One wrong length would otherwise lose all that follows."""
  rng = np.random.default_rng(0)
  codes = [rng.bytes(int(size)) for size in rng.integers(50, 150, 200)]
  payload = (3, np.zeros((200, 1), np.uint8), codes, b"")
  bits = to_bits(pack(*payload))
  wrong = rng.random(len(bits)) < 3e-4
  found = find_records(from_bits(bits ^ wrong), *_known(payload))
  position, whole = 23, []
  for code in codes:
    end = position + 7 + len(code)
    whole.append(not wrong[8 * position : 8 * end].any())
    position = end
  assert 100 < sum(whole) < 190
  assert [record is not None for record in found] == whole


@_QUICK
@given(st.binary(max_size=200), st.integers(0, 9), st.integers(0, 9))
def test_any_bytes_can_be_read(data, count, size):
  layout = Layout(count, size, None, size)
  assert len(find_records(data, layout, size)) == count
  assert intact_decoder(data, layout) is None or len(data) >= layout.first_record


@_QUICK
@given(payloads(), st.data())
def test_truncated(payload, draw):
  data = pack(*payload)
  _assert_nothing_false(data[: draw.draw(st.integers(0, len(data) - 1))], payload)


def test_pack_limits():
  one = np.zeros((1, 1), np.uint8)
  largest = (255, one, [bytes(MAX_CODE_BYTES)], b"")
  assert find_records(pack(*largest), *_known(largest)) == _records_of(largest)
  with pytest.raises(ValueError, match="up to 65535 bytes, not 65536"):
    pack(0, one, [bytes(MAX_CODE_BYTES + 1)])
  with pytest.raises(ValueError, match="argument 2 is longer"):
    pack(0, one, [b"", b""])


@pytest.mark.parametrize(("num_outputs", "label_bytes"), [(1, 1), (256, 1), (257, 2), (65536, 2)])
def test_classes_round_trip(num_outputs, label_bytes):
  labels = np.array([0, num_outputs - 1, num_outputs // 2], np.int32)
  encoded = encode_labels(labels, num_outputs)
  assert (encoded.dtype, encoded.shape) == (np.uint8, (3, label_bytes))
  assert encoded[1].tobytes() == (num_outputs - 1).to_bytes(label_bytes, "little")
  decoded = decode_labels(encoded, num_outputs, multi_label=False)
  assert decoded.dtype == np.int32
  np.testing.assert_array_equal(decoded, labels)


@pytest.mark.parametrize(("num_outputs", "label_bytes"), [(1, 1), (8, 1), (14, 2), (2040, 255)])
def test_findings_round_trip(num_outputs, label_bytes):
  labels = np.random.default_rng(0).integers(0, 2, (4, num_outputs), np.uint8)
  encoded = encode_labels(labels, num_outputs)
  assert (encoded.dtype, encoded.shape) == (np.uint8, (4, label_bytes))
  decoded = decode_labels(encoded, num_outputs, multi_label=True)
  assert decoded.dtype == np.uint8
  np.testing.assert_array_equal(decoded, labels)
  # Bits of no finding may be damaged.
  padding = np.uint8(2 ** (8 * label_bytes - num_outputs) - 1)
  encoded[:, -1] |= padding
  np.testing.assert_array_equal(decode_labels(encoded, num_outputs, multi_label=True), labels)


def test_unknown_findings_are_sent_as_absent():
  labels = np.array([[1, UNKNOWN, 0, UNKNOWN], [UNKNOWN, 1, 1, 0]], np.uint8)
  encoded = encode_labels(labels, 4)
  np.testing.assert_array_equal(decode_labels(encoded, 4, multi_label=True), labels % UNKNOWN)


def test_too_many_outputs():
  for labels, num_outputs in (([0], 0), ([0], 65537), ([[0] * 2041], 2041)):
    with pytest.raises(ValueError, match="labels can be encoded of 1 to"):
      encode_labels(np.array(labels, np.uint8), num_outputs)


def test_no_labels():
  assert encode_labels(np.zeros(0, np.int32), 3).shape == (0, 1)
  assert encode_labels(np.zeros((0, 14), np.uint8), 14).shape == (0, 2)
  assert decode_labels(np.zeros((0, 1), np.uint8), 3, multi_label=False).shape == (0,)


_jitted = functools.partial(jax.jit, static_argnums=1)(intact_records)


def _assert_device_equals_host(data, layout, intact):
  bits = to_bits(data)
  assert (intact.dtype, intact.shape) == (bool, (layout.count,))
  read = zip(layout.labels(bits), layout.codes(bits), np.asarray(intact).tolist(), strict=True)
  assert [(from_bits(label), from_bits(code), ok) for label, code, ok in read] == naive_records(data, layout)


@settings(max_examples=12, deadline=None)
@given(payloads(same_length=True), st.data())
@example((0, np.zeros((2, 0), np.uint8), [b"", b""], b""), None)
def test_device_equals_host(payload, draw):
  """Not compiled: every example has shapes of its own."""
  data, layout = pack(*payload), _layout(payload)
  if draw is not None:
    for bit in draw.draw(st.lists(st.integers(0, 8 * len(data) - 1), max_size=3)):
      data = _flipped(data, bit)
  _assert_device_equals_host(data, layout, intact_records(to_bits(data), layout))


def test_device_jitted_and_vmapped():
  layout, rng = Layout(count=40, label_bytes=2, code_bytes=300, decoder_bytes=11), np.random.default_rng(0)
  labels = rng.integers(0, 256, (layout.count, 2), np.uint8)
  data = pack(1, labels, [rng.bytes(300) for _ in range(layout.count)], rng.bytes(11))
  members = [data, rng.bytes(len(data))]
  # From one wrong bit in all to a few in each record.
  for rate in (1e-5, 1e-4, 1e-3):
    flips = np.packbits(rng.random(8 * len(data)) < rate)
    members.append((np.frombuffer(data, np.uint8) ^ flips).tobytes())
  bits = np.stack([to_bits(member) for member in members])
  vmapped = jax.jit(jax.vmap(functools.partial(intact_records, layout=layout)))(bits)
  for i, member in enumerate(members):
    _assert_device_equals_host(member, layout, vmapped[i])
    _assert_device_equals_host(member, layout, _jitted(bits[i], layout))
  intact = np.asarray(vmapped).sum(axis=1)
  assert intact[0] == 40
  assert intact[1] == 0
  assert 0 < intact[3] < 40


def test_device_notices_every_single_bit():
  layout = Layout(count=2, label_bytes=1, code_bytes=9)
  data = pack(0, np.array([[1], [2]], np.uint8), [b"nine byte", b"code here"])
  flips = np.eye(8 * layout.total, dtype=np.uint8)
  intact = jax.vmap(functools.partial(intact_records, layout=layout))(to_bits(data) ^ flips)
  record = (np.arange(8 * layout.total) // 8 - layout.first_record) // layout.record_bytes
  np.testing.assert_array_equal(intact, record[:, None] != np.arange(2))


def test_device_takes_the_longest_codes():
  layout = Layout(count=2, label_bytes=1, code_bytes=MAX_CODE_BYTES)
  rng = np.random.default_rng(0)
  data = pack(0, np.array([[1], [2]], np.uint8), [rng.bytes(MAX_CODE_BYTES) for _ in range(2)])
  bits = to_bits(data)
  bits[-1] ^= 1
  assert np.asarray(_jitted(bits, layout)).tolist() == [True, False]


def test_a_wrong_length_under_a_right_crc_is_damage():
  layout = Layout(count=1, label_bytes=1, code_bytes=3)
  data = pack(0, np.array([[1]], np.uint8), [b"abc"])
  fields = b"\1" + (4).to_bytes(2, "little")
  crc = zlib.crc32(fields + b"abc" + bytes(4)).to_bytes(4, "little")
  data = data[: layout.first_record] + fields + crc + b"abc"
  assert not bool(intact_records(to_bits(data), layout)[0])
  _assert_device_equals_host(data, layout, intact_records(to_bits(data), layout))
