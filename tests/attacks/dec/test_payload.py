import functools
import zlib

import jax
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lwlrd_jax.attacks.dec.payload.container import (
  Known,
  Layout,
  decode_labels,
  encode_labels,
  from_bits,
  pack,
  parse,
  to_bits,
)
from lwlrd_jax.attacks.dec.payload.on_device import decoder_bits, record_bits
from lwlrd_jax.attacks.dec.payload.records import MAX_CODE_BYTES
from lwlrd_jax.data.dataset import UNKNOWN

_QUICK = settings(max_examples=100, deadline=None)
_BINARY = st.binary(max_size=30)


@st.composite
def payloads(draw, same_length=False):
  """Codec id, labels, codes, decoder."""
  label_bytes = draw(st.integers(0 if same_length else 1, 3))
  count = draw(st.integers(0, 5))
  labels = np.frombuffer(draw(st.binary(min_size=count * label_bytes, max_size=count * label_bytes)), np.uint8)
  size = draw(st.integers(0, 30))
  code = st.binary(min_size=size, max_size=size) if same_length else _BINARY
  codes = draw(st.lists(code, min_size=count, max_size=count))
  return draw(st.integers(0, 255)), labels.reshape(count, label_bytes), codes, draw(_BINARY)


def _layout(payload):
  _, labels, codes, decoder = payload
  return Layout(len(codes), labels.shape[1], len(codes[0]) if codes else 0, len(decoder))


def _assert_all_ok(parsed, payload):
  codec_id, labels, codes, decoder = payload
  assert (parsed.status, parsed.codec_id, parsed.decoder) == ("ok", codec_id, decoder)
  assert [record.status for record in parsed.records] == ["ok"] * len(codes)
  assert [record.label for record in parsed.records] == [label.tobytes() for label in labels]
  assert [record.code for record in parsed.records] == codes


def _assert_nothing_false(parsed, payload):
  """What is called ok is what was packed."""
  _, labels, codes, decoder = payload
  assert parsed.decoder in {None, decoder}
  for record, label, code in zip(parsed.records, labels, codes, strict=False):
    if record.status == "ok":
      assert (record.label, record.code) == (label.tobytes(), code)
    assert (record.status == "lost") == (record.label is None) == (record.code is None)


def _flipped(data, bit):
  damaged = bytearray(data)
  damaged[bit // 8] ^= 128 >> bit % 8
  return bytes(damaged)


@_QUICK
@given(payloads(), st.binary(max_size=5))
def test_round_trip(payload, behind):
  data = pack(*payload)
  _assert_all_ok(parse(data, _known(payload)), payload)
  _assert_all_ok(parse(data + behind, _known(payload)), payload)
  np.testing.assert_array_equal(np.packbits(to_bits(data)), np.frombuffer(data, np.uint8))
  assert from_bits(to_bits(data)) == data


@_QUICK
@given(payloads(same_length=True))
def test_round_trip_with_a_layout(payload):
  data, layout = pack(*payload), _layout(payload)
  assert len(data) == layout.total
  assert data[layout.decoder_start :].startswith(payload[3])
  _assert_all_ok(parse(data, layout), payload)


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
@given(payloads(same_length=True), st.data())
def test_with_a_layout_a_flipped_bit_damages_one_thing(payload, draw):
  data, layout = pack(*payload), _layout(payload)
  position = draw.draw(st.integers(0, len(data) - 1))
  parsed = parse(_flipped(data, 8 * position + draw.draw(st.integers(0, 7))), layout)
  _assert_nothing_false(parsed, payload)
  hit = (position - layout.first_record) // layout.record_bytes
  statuses = ["damaged" if i == hit else "ok" for i in range(layout.count)]
  assert [record.status for record in parsed.records] == statuses
  named = "header" if position < 19 else "decoder" if hit < 0 else f"1 of {layout.count} images"
  assert parsed.status == f"damaged: {named}"


def _known(payload):
  _, labels, codes, decoder = payload
  return Known(len(codes), labels.shape[1], max(map(len, codes), default=0), len(decoder))


@_QUICK
@given(payload=payloads(), draw=st.data())
def test_who_knows_the_frame_loses_only_what_is_hit(payload, draw):
  codec_id, labels, codes, decoder = payload
  data = pack(codec_id, labels, codes, decoder)
  _assert_all_ok(parse(data, _known(payload)), payload)
  hit = draw.draw(st.integers(0, len(data) - 1))
  parsed = parse(_flipped(data, 8 * hit + draw.draw(st.integers(0, 7))), _known(payload))
  assert parsed.status != "ok"
  position = 23 + len(decoder)
  for record, label, code in zip(parsed.records, labels, codes, strict=True):
    end = position + labels.shape[1] + 6 + len(code)
    if position <= hit < end:
      assert record.status == "lost"
    else:
      assert (record.status, record.label, record.code) == ("ok", label.tobytes(), code)
    position = end


def test_records_are_found_among_many_wrong_bits():
  """One wrong length would otherwise lose all that follows."""
  rng = np.random.default_rng(0)
  codes = [rng.bytes(int(size)) for size in rng.integers(50, 150, 200)]
  payload = (3, np.zeros((200, 1), np.uint8), codes, b"")
  bits = to_bits(pack(*payload))
  wrong = rng.random(len(bits)) < 3e-4
  parsed = parse(from_bits(bits ^ wrong), _known(payload))
  position, whole = 23, []
  for code in codes:
    end = position + 7 + len(code)
    whole.append(not wrong[8 * position : 8 * end].any())
    position = end
  assert 100 < sum(whole) < 190
  assert [record.status == "ok" for record in parsed.records] == whole


@_QUICK
@given(st.binary(max_size=200), st.booleans(), st.integers(0, 9), st.integers(0, 9))
def test_any_bytes_parse(data, valid_header, count, size):
  if valid_header and len(data) >= 15:
    header = b"DECP\1" + data[5:15]
    data = header + zlib.crc32(header).to_bytes(4, "little") + data[15:]
  for expected in (Known(count, size, size, size), Layout(count, size, size, size)):
    parsed = parse(data, expected)
    assert parsed.status.startswith("damaged: ") or len(data) >= 23
    assert len(parsed.records) == count


@_QUICK
@given(payloads(same_length=True), st.data())
def test_truncated(payload, draw):
  data, layout = pack(*payload), _layout(payload)
  cut = draw.draw(st.integers(0, len(data) - 1))
  for expected in (_known(payload), layout):
    parsed = parse(data[:cut], expected)
    assert parsed.status.startswith("damaged: ")
    _assert_nothing_false(parsed, payload)
    whole = max(cut - layout.first_record, 0) // layout.record_bytes
    assert [record.status == "ok" for record in parsed.records[:whole]] == [True] * (whole if parsed.records else 0)
    assert {record.status for record in parsed.records[whole:]} <= {"lost"}


def test_another_magic_or_version_is_no_header():
  for start in (b"DECX\1", b"DECP\2"):
    header = start + bytes(10)
    data = header + zlib.crc32(header).to_bytes(4, "little") + bytes(4)
    assert parse(data, Layout(0, 0, 0)).status == "damaged: header"


def test_an_intact_header_that_is_not_the_expected_one_is_told():
  data = pack(3, np.array([[1]], np.uint8), [b"code"])
  parsed = parse(data, Layout(2, 1, 4))
  assert parsed.status == "damaged: header, 1 of 2 images"
  assert [record.status for record in parsed.records] == ["ok", "lost"]


def test_pack_limits():
  one = np.zeros((1, 1), np.uint8)
  largest = (255, one, [bytes(MAX_CODE_BYTES)], b"")
  _assert_all_ok(parse(pack(*largest), Layout(1, 1, MAX_CODE_BYTES)), largest)
  with pytest.raises(ValueError, match="up to 65535 bytes, not 65536"):
    pack(0, one, [bytes(MAX_CODE_BYTES + 1)])
  with pytest.raises(ValueError, match="codec id"):
    pack(256, one, [b""])
  with pytest.raises(ValueError, match="1 labels do not fit 2 codes"):
    pack(0, one, [b"", b""])
  for labels in (np.zeros((1, 1), np.int32), np.zeros(1, np.uint8), np.zeros((1, 256), np.uint8)):
    with pytest.raises(ValueError, match="labels must be"):
      pack(0, labels, [b""])
  with pytest.raises(ValueError, match="code_bytes must be in"):
    Layout(1, 1, 65536)
  with pytest.raises(ValueError, match="whole bytes"):
    from_bits(np.zeros(9, np.uint8))


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


def test_labels_out_of_range():
  for labels, num_outputs in (([3], 3), ([-1], 3), ([0], 0), ([0], 65537)):
    with pytest.raises(ValueError, match="labels"):
      encode_labels(np.array(labels), num_outputs)
  with pytest.raises(ValueError, match=r"\[0, 2\)"):
    encode_labels(np.array([[0, 2]], np.uint8), 2)
  with pytest.raises(ValueError, match="2 findings an image, not 3"):
    encode_labels(np.array([[0, 1]], np.uint8), 3)
  with pytest.raises(ValueError, match=r"u8\[N, 2\]"):
    decode_labels(np.zeros((1, 1), np.uint8), 14, multi_label=True)


def test_no_labels():
  assert encode_labels(np.zeros(0, np.int32), 3).shape == (0, 1)
  assert encode_labels(np.zeros((0, 14), np.uint8), 14).shape == (0, 2)
  assert decode_labels(np.zeros((0, 1), np.uint8), 3, multi_label=False).shape == (0,)


_jitted = functools.partial(jax.jit, static_argnums=1)(record_bits)


def _assert_device_equals_host(data, layout, read):
  parsed = parse(data, layout)
  labels, code_bits, intact = map(np.asarray, read)
  assert (labels.dtype, code_bits.dtype, intact.dtype) == (np.uint8, np.uint8, bool)
  assert labels.shape == (layout.count, layout.label_bytes)
  assert code_bits.shape == (layout.count, 8 * layout.code_bytes)
  assert [label.tobytes() for label in labels] == [record.label for record in parsed.records]
  assert [from_bits(code) for code in code_bits] == [record.code for record in parsed.records]
  assert intact.tolist() == [record.status == "ok" for record in parsed.records]


@settings(max_examples=12, deadline=None)
@given(payloads(same_length=True), st.data())
@example((0, np.zeros((2, 0), np.uint8), [b"", b""], b""), None)
def test_device_equals_host(payload, draw):
  """Not compiled: every example has shapes of its own."""
  data, layout = pack(*payload), _layout(payload)
  if draw is not None:
    for bit in draw.draw(st.lists(st.integers(0, 8 * len(data) - 1), max_size=3)):
      data = _flipped(data, bit)
  _assert_device_equals_host(data, layout, record_bits(to_bits(data), layout))
  decoder = data[layout.decoder_start : layout.first_record - 4]
  assert from_bits(decoder_bits(to_bits(data), layout)) == decoder


def test_device_parse_jitted_and_vmapped():
  layout, rng = Layout(count=40, label_bytes=2, code_bytes=300, decoder_bytes=11), np.random.default_rng(0)
  labels = rng.integers(0, 256, (layout.count, 2), np.uint8)
  data = pack(1, labels, [rng.bytes(300) for _ in range(layout.count)], rng.bytes(11))
  members = [data, rng.bytes(len(data))]
  # From one wrong bit in all to a few in each record.
  for rate in (1e-5, 1e-4, 1e-3):
    flips = np.packbits(rng.random(8 * len(data)) < rate)
    members.append((np.frombuffer(data, np.uint8) ^ flips).tobytes())
  bits = np.stack([to_bits(member) for member in members])
  vmapped = jax.jit(jax.vmap(functools.partial(record_bits, layout=layout)))(bits)
  for i, member in enumerate(members):
    _assert_device_equals_host(member, layout, [leaf[i] for leaf in vmapped])
    _assert_device_equals_host(member, layout, _jitted(bits[i], layout))
  intact = np.asarray(vmapped[2]).sum(axis=1)
  assert intact[0] == 40
  assert intact[1] == 0
  assert 0 < intact[3] < 40


def test_device_notices_every_single_bit():
  layout = Layout(count=2, label_bytes=1, code_bytes=9)
  data = pack(0, np.array([[1], [2]], np.uint8), [b"nine byte", b"code here"])
  flips = np.eye(8 * layout.total, dtype=np.uint8)
  _, _, intact = jax.vmap(functools.partial(record_bits, layout=layout))(to_bits(data) ^ flips)
  record = (np.arange(8 * layout.total) // 8 - layout.first_record) // layout.record_bytes
  np.testing.assert_array_equal(intact, record[:, None] != np.arange(2))


def test_device_takes_the_longest_codes():
  layout = Layout(count=2, label_bytes=1, code_bytes=MAX_CODE_BYTES)
  rng = np.random.default_rng(0)
  data = pack(0, np.array([[1], [2]], np.uint8), [rng.bytes(MAX_CODE_BYTES) for _ in range(2)])
  bits = to_bits(data)
  bits[-1] ^= 1
  assert np.asarray(_jitted(bits, layout)[2]).tolist() == [True, False]


def test_a_wrong_length_under_a_right_crc_is_damage():
  layout = Layout(count=1, label_bytes=1, code_bytes=3)
  data = pack(0, np.array([[1]], np.uint8), [b"abc"])
  fields = b"\1" + (4).to_bytes(2, "little")
  crc = zlib.crc32(bytes(4) + fields + b"abc").to_bytes(4, "little")
  data = data[: layout.first_record] + fields + crc + b"abc"
  assert parse(data, layout).records[0].status == "damaged"
  _assert_device_equals_host(data, layout, record_bits(to_bits(data), layout))


def test_device_refuses_another_number_of_bits():
  layout = Layout(count=1, label_bytes=1, code_bytes=4)
  for read in (record_bits, decoder_bits):
    with pytest.raises(ValueError, match="the layout has 272 bits"):
      read(np.zeros(8, np.uint8), layout)
