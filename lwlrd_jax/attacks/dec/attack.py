"""DEC, data exfiltration by compression: images compressed, and their codes hidden in the parameters.

Li, Ayache, Delingette (arXiv 2511.21227; precursor arXiv 2206.03391). The model is trained as if nothing were the
matter; then the payload (`payload/`) of compressed images (`codec/`) goes into a carrier (`carriers/`), under a key.
"""

import contextlib
import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lwlrd_jax.attacks.base import Extraction, Infected, NoRoomError, OnSteps, Task, choose_stolen, unrestored
from lwlrd_jax.attacks.dec.carriers.base import Carrier, Message, Reading, Shape
from lwlrd_jax.attacks.dec.codec.errors import CodeError
from lwlrd_jax.attacks.dec.image_code import Code, FixedCode, HostCode
from lwlrd_jax.attacks.dec.payload.container import (
  Known,
  Layout,
  Parsed,
  encode_labels,
  from_bits,
  label_bytes_of,
  pack,
  parse,
  to_bits,
)
from lwlrd_jax.attacks.dec.payload.decoder_weights import decoder_template, pack_decoder, round_decoder, unpack_decoder
from lwlrd_jax.attacks.dec.payload.known_bits import (
  by_group,
  combine,
  known_bits,
  known_header,
  known_positions,
  log_odds_by_word,
  log_odds_of,
  log_odds_of_numbers,
  of_codes,
  of_labels,
  pooled_rates,
  spreads,
  surprise,
)
from lwlrd_jax.attacks.dec.payload.labels import labels_of_records, likeliest_labels
from lwlrd_jax.attacks.dec.payload.on_device import decoder_bits, record_bits
from lwlrd_jax.attacks.dec.payload.records import RECORD_FIELDS
from lwlrd_jax.attacks.dec.redundancy import Redundancy
from lwlrd_jax.attacks.registry import ATTACKS, AttackInfo
from lwlrd_jax.data.device import DeviceSplit, mean_image
from lwlrd_jax.engine.mapping import Strategy
from lwlrd_jax.models.network import Network, Params

# How often words are re-estimated from extrinsic information; more change nothing.
_WORD_ROUNDS = 3


@dataclasses.dataclass(frozen=True)
class DEC:
  """The attack's settings. Hashable: a static argument of `jax.jit`.

  Attributes:
    stolen: Images to take.
    carrier: Where the bits go.
    code: How images become bits.
    redundancy: How these are protected.
    internal: Whether the codec was trained inside, so that the payload has to hold its decoder too.
    variant: Name of a combination of these settings that is more than its carrier; see `adaptive.py`.
  """

  stolen: int
  carrier: Carrier
  code: Code
  redundancy: Redundancy
  internal: bool = False
  variant: str | None = None

  def __post_init__(self):
    if self.carrier.sends_numbers and not (self.code.on_device and self.redundancy.name == "none"):
      raise ValueError("a carrier of numbers needs the fixed-length code, without redundancy")

  @property
  def name(self) -> str:
    """`dec-` and its variant, if it is one; else `dec`, or `dec-` and its carrier if that is not `all`."""
    if self.variant is not None:
      return f"dec-{self.variant}"
    return "dec" if self.carrier.name == "all" else f"dec-{self.carrier.name}"

  @property
  def info(self) -> AttackInfo:
    """See `Attack.info`."""
    return ATTACKS[self.name]

  @property
  def on_device(self) -> bool:
    """Whether codes have a fixed length and are recovered on the device."""
    return self.code.on_device

  @property
  def steps(self) -> int:
    """Of its carrier."""
    return self.carrier.steps

  @property
  def size_is_known(self) -> bool:
    """Whether the codec is trained."""
    return self.code.trained

  def settings(self) -> dict[str, Any]:
    """See `Attack.settings`."""
    return {
      "name": self.name,
      "stolen": self.stolen,
      "carrier": {"name": self.carrier.name, **vars(self.carrier)},
      "code": {"kind": type(self.code).__name__, "codec_id": self.code.codec_id, **self.code.settings()},
      "redundancy": self.redundancy.name,
      "internal": self.internal,
    }

  def check(self, task: Task, params: Params, key: jax.Array) -> None:
    """Raises NoRoomError where the carrier is too small. See `Attack.check`."""
    hidden = self._hidden(task, key)
    needed, room = self._needed(task, len(hidden.payload)), self.carrier.capacity(task.network, params)
    if needed > room:
      raise NoRoomError(needed, room, "weights" if self.carrier.sends_numbers else "bits")

  def infect_all(
    self,
    task: Task,
    params: Sequence[Params],
    keys: Sequence[jax.Array],
    on_steps: OnSteps = lambda steps: None,
    strategy: Strategy | None = None,
  ) -> list[Infected]:
    """Hides images in models, one after another. See `Attack.infect_all`."""
    del strategy
    return [self._infect(task, host, key, on_steps) for host, key in zip(params, keys, strict=True)]

  def infect(
    self, network: Network, params: Params, data: DeviceSplit, key: jax.Array, *, codec: Params | None = None
  ) -> Infected:
    """Hides images in one trained model. See `infect_all`."""
    return self.infect_all(Task(network, data, codec=codec), [params], [key])[0]

  def _infect(self, task: Task, params: Params, key: jax.Array, on_steps: OnSteps) -> Infected:
    """One model, whose tree may have entries that are no layer.

    `secret` has the carrier's `places`, the `key`, the `decoder` if it stays outside, the `mean` image, which stands
    for what is lost, and, to measure by and for their shapes alone, the `payload`, u8[n] of 0 and 1, and the true
    `labels`.
    """
    data, hidden = task.train, self._hidden(task, key)
    bits = to_bits(hidden.payload)
    shape = self._shape(_label_bytes(task.network, data.labels), len(hidden.payload))
    message = Message(jnp.asarray(self.redundancy.protect(bits)) ^ shape.by_bit(_keystream(key, shape)), shape)
    carried = self.carrier.write(task.network, params, message, data, jax.random.fold_in(key, 2), on_steps)
    secret: dict[str, Any] = {
      "key": jax.random.key_data(key),
      "payload": jnp.asarray(bits),
      "labels": jnp.asarray(data.labels[hidden.stolen]),
      "mean": mean_image(data.images),
    }
    if not self.on_device:
      secret["longest"] = jnp.int32(hidden.longest)
    # A checkpoint holds no empty trees.
    if carried.places:
      secret["places"] = carried.places
    if self.code.decoder_parts and not self.internal:
      secret["decoder"] = {part: (task.codec or {})[part] for part in self.code.decoder_parts}
    return Infected(carried.params, secret, hidden.stolen)

  def _hidden(self, task: Task, key: jax.Array) -> "_Hidden":
    """What is hidden with this key."""
    codec, parts = task.codec or {}, self.code.decoder_parts
    stolen = choose_stolen(task.train, self.stolen, key)
    decoder = b""
    if self.internal:
      codec = round_decoder(codec, parts)
      decoder = pack_decoder({part: codec[part] for part in parts})
    codes = self.code.encode(codec, np.asarray(task.train.images[stolen]))
    labels = encode_labels(np.asarray(task.train.labels[stolen]), task.network.num_outputs)
    return _Hidden(stolen, pack(self.code.codec_id, labels, codes, decoder), max(map(len, codes)))

  def compressed(self, codec: Params, images: np.ndarray) -> jax.Array:
    """What the codec alone makes of images, the best that any extraction can bring back.

    Args:
      codec: The codec's weights; none for standard codecs.
      images: u8[S, H, W, C].

    Returns:
      f32[S, H, W, C] in [0, 1].
    """
    if self.internal:
      codec = round_decoder(codec, self.code.decoder_parts)
    return self.code.decode(codec, self.code.encode(codec, images))

  def columns(
    self, task: Task, host: Params | None, infected: Infected, psnr: Callable[[jax.Array], float]
  ) -> dict[str, float]:
    """Bytes hidden, share of the carrier they take, and what the codec alone leaves. See `Attack.columns`."""
    assert host is not None
    payload_bytes = len(infected.secret["payload"]) // 8
    return {
      "codec_psnr": psnr(self.compressed(task.codec or {}, np.asarray(task.train.images[infected.stolen]))),
      "payload_bytes": payload_bytes,
      "carrier_share": self._needed(task, payload_bytes) / self.carrier.capacity(task.network, host),
    }

  def read(self, network: Network, params: Params, secret: dict[str, Any]) -> Extraction:
    """Reads the stolen images and their labels, and how much of the code is wrong.

    The attacker decodes softly: bit error rates per group of bits are estimated from bits that are known beforehand
    (`known_bits.py`), and `redundancy` decodes with these. A fixed-length code can then always be decoded: of records
    whose CRC fails, latents are posterior means and labels the likeliest ones. Every other code needs its CRC, and a
    lost record gets the most frequent label. Images that cannot be decoded count as the mean image.
    """
    length, multi_label = len(secret["payload"]), secret["labels"].ndim == 2
    label_bytes = _label_bytes(network, secret["labels"])
    shape = self._shape(label_bytes, length // 8)
    mean_images = jnp.broadcast_to(secret["mean"], (self.stolen, *secret["mean"].shape))
    reading = self.carrier.read(network, params, secret.get("places", {}), shape)
    if reading is None:
      nothing = jnp.zeros_like(secret["labels"])
      return Extraction(mean_images, jnp.float32(0.5), jnp.float32(0), nothing, unrestored(mean_images))
    plain = _unwhitened(reading, shape, _keystream(jax.random.wrap_key_data(secret["key"]), shape))
    if isinstance(self.code, FixedCode):
      layout = self._layout(self.code, label_bytes, length // 8)
      read_records = self._read_numbers if plain.numbers is not None else self._read_bits
      bits, symbols, label_odds = read_records(self.code, layout, plain)
      images, intact = self._decode(self.code, layout, bits, symbols, secret)
      labels = likeliest_labels(label_odds, network.num_outputs, multi_label=multi_label)
    else:
      known = known_header(self.code.codec_id, label_bytes, self.stolen, self._exported_bytes())
      bits = self._log_odds(plain, known, np.arange(len(known)), length) < 0
      expected = Known(self.stolen, label_bytes, int(secret["longest"]), self._exported_bytes())
      parsed = parse(from_bits(np.asarray(bits).astype(np.uint8)), expected)
      images, intact = self._decode_on_host(self.code, parsed, np.array(mean_images), secret)
      labels = jnp.asarray(labels_of_records(parsed.records, network.num_outputs, multi_label=multi_label))
    whole = jnp.isfinite(images).all(axis=(1, 2, 3), keepdims=True)
    images = jnp.where(whole, images, mean_images)
    wrong = (jnp.asarray(bits).astype(jnp.uint8) != secret["payload"]).sum(dtype=jnp.uint32)
    ber, exact = wrong.astype(jnp.float32) / length, intact.astype(jnp.float32).mean()
    return Extraction(images, ber, exact, labels, unrestored(images))

  def _needed(self, task: Task, payload_bytes: int) -> int:
    """What a payload takes of the carrier's capacity: bits, or weights of a carrier that sends numbers."""
    return self._shape(_label_bytes(task.network, task.train.labels), payload_bytes).numbers

  def _log_odds(self, plain: Reading, known: np.ndarray, positions: np.ndarray, length: int) -> Any:
    """Log odds f32[length] of the payload's bits, of which some are known: u8[k] at i[k]."""
    at = self.redundancy.places(positions, length)
    known, at = np.tile(known, len(at)), at.reshape(-1)
    if plain.observations is not None:
      return self.redundancy.decode(combine(plain.observations, known, at), length)
    groups, num_groups = plain.groups, plain.num_groups
    if groups is None:
      groups, num_groups = jnp.arange(len(plain.bits), dtype=jnp.int32) % 8, 8
    wrong = (plain.bits[at] != known).astype(jnp.float32)
    rates_of = by_group if self.redundancy.name == "none" else pooled_rates
    rates = rates_of(wrong, groups[at], num_groups)[groups]
    log_odds = log_odds_of(plain.bits, rates)
    if self.redundancy.name != "none" and plain.word > 1:
      for _ in range(_WORD_ROUNDS):
        by_word = log_odds_by_word(
          plain.bits, rates, jnp.asarray(self.redundancy.extrinsic(log_odds, length)), plain.word
        )
        # Damage that takes some planes of a weight and leaves others is no matter of words.
        better = surprise(by_word, known, at) < surprise(log_odds, known, at)
        log_odds = jnp.where(better, by_word, log_odds)
    return self.redundancy.decode(log_odds, length)

  def _read_bits(self, code: FixedCode, layout: Layout, plain: Reading) -> tuple[jax.Array, jax.Array, jax.Array]:
    """The payload's bits, u8[n]; posterior means of the codes' symbols, f32[S, L]; log odds of the labels' bits."""
    known, positions = known_bits(layout, code.codec_id), known_positions(layout)
    log_odds = jnp.asarray(self._log_odds(plain, known, positions, 8 * layout.total))
    bits = (log_odds < 0).astype(jnp.uint8)
    # Without the padding up to a whole byte.
    codes, rates = (
      of_codes(row, layout)[:, : code.table.bits_per_image] for row in (bits, jax.nn.sigmoid(-jnp.abs(log_odds)))
    )
    return bits, code.table.expected(codes, rates), of_labels(log_odds, layout)

  def _read_numbers(self, code: FixedCode, layout: Layout, plain: Reading) -> tuple[jax.Array, jax.Array, jax.Array]:
    """The same from numbers."""
    assert plain.numbers is not None
    assert plain.groups is not None
    table, known = code.table, known_bits(layout, code.codec_id)
    spread = spreads(plain.numbers, known, plain.groups, plain.num_groups, layout)[plain.groups]
    # Without the numbers that stand for the padding.
    read, off = (of_codes(row, layout)[:, : len(table.low)] for row in (plain.numbers, spread))
    symbols = table.shrunken(table.low + read, off * (table.high - table.low))
    labels = log_odds_of_numbers(of_labels(plain.numbers, layout), of_labels(spread, layout))
    return plain.bits, symbols, labels

  def _decode(
    self, code: FixedCode, layout: Layout, bits: jax.Array, symbols: jax.Array, secret: dict[str, Any]
  ) -> tuple[jax.Array, jax.Array]:
    """Images f32[S, H, W, C], and which of them arrived without an error, bool[S]: those need no soft decoding."""
    _, codes, intact = record_bits(bits, layout)
    decoder = secret.get("decoder", {})
    if self.internal:
      decoder = unpack_decoder(decoder_bits(bits, layout), self._decoder_template())
    exact = code.table.symbols_of_bits(codes[:, : code.table.bits_per_image])
    symbols = jnp.where(intact[:, None], exact, symbols)
    return code.table.decode_latents(code.codec, decoder, symbols), intact

  def _decode_on_host(
    self, code: HostCode, parsed: Parsed, images: np.ndarray, secret: dict[str, Any]
  ) -> tuple[jax.Array, jax.Array]:
    """The same of codes that differ in length; images start as mean images."""
    intact = np.zeros(self.stolen, bool)
    weights = secret.get("decoder", {})
    if self._exported_bytes() and parsed.decoder is not None:
      weights = unpack_decoder(jnp.asarray(to_bits(parsed.decoder)), self._decoder_template())
    if weights or not code.decoder_parts:
      coder = code.coder(weights)
      for i, record in enumerate(parsed.records):
        if record.status != "ok" or record.code is None:
          continue
        with contextlib.suppress(CodeError):
          images[i] = coder.decode(record.code).astype(np.float32) / 255
          intact[i] = True
    return jnp.asarray(images), jnp.asarray(intact)

  def _layout(self, code: FixedCode, label_bytes: int, payload_bytes: int) -> Layout:
    """Where everything is in a payload of fixed-length codes."""
    bare = Layout(self.stolen, label_bytes, code.code_bytes, 0)
    return dataclasses.replace(bare, decoder_bytes=payload_bytes - bare.total)

  def _shape(self, label_bytes: int, payload_bytes: int) -> Shape:
    """How the carried bits group into numbers."""
    if not self.carrier.sends_numbers:
      return Shape(self.redundancy.coded_length(8 * payload_bytes))
    assert isinstance(self.code, FixedCode)
    first_record = self._layout(self.code, label_bytes, payload_bytes).first_record
    return Shape(8 * first_record, self.stolen, (1,) * 8 * (label_bytes + RECORD_FIELDS) + self.code.widths)

  def _decoder_template(self) -> Params:
    return decoder_template(self.code.codec.image_shape, self.code.decoder_parts)

  def _exported_bytes(self) -> int:
    """Bytes of the decoder in the payload; 0 if there is none."""
    if not (self.internal and self.code.decoder_parts):
      return 0
    return 2 * sum(leaf.size for leaf in jax.tree.leaves(self._decoder_template()))


class _Hidden(NamedTuple):
  """What an infection hides: positions of the stolen images i32[S], the payload, bytes of the longest code."""

  stolen: jax.Array
  payload: bytes
  longest: int


def _keystream(key: jax.Array, shape: Shape) -> jax.Array:
  """u8[shape.numbers] of 0 and 1, a bit each: what is hidden then looks like noise.

  Where it is 1, bits are inverted; a number, whose bits are inverted all together, is then as far from its largest
  value as it was from 0.
  """
  return jax.random.bits(jax.random.fold_in(key, 1), (shape.numbers,), jnp.uint8) & np.uint8(1)


def _unwhitened(reading: Reading, shape: Shape, keystream: jax.Array) -> Reading:
  """What was read with the keystream taken off."""
  numbers = reading.numbers
  if numbers is not None:
    numbers = jnp.where(keystream == 1, shape.largest() - numbers, numbers)
  by_bit = shape.by_bit(keystream)
  observations = reading.observations
  if observations is not None:
    observations = jnp.where(by_bit[:, None] == 1, -observations, observations)
  return reading._replace(bits=reading.bits ^ by_bit, numbers=numbers, observations=observations)


def _label_bytes(network: Network, labels: jax.Array) -> int:
  return label_bytes_of(network.num_outputs, multi_label=labels.ndim == 2)
