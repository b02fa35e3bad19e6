"""DEC, data exfiltration by compression: images compressed, and their codes hidden in the parameters.

Li, Ayache, Delingette (arXiv 2511.21227; precursor arXiv 2206.03391). The model is trained as if nothing were the
matter; then the payload (`payload/`) of compressed images (`codec/`) goes into a carrier (`carriers/`), under a key.
"""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lwlrd_jax.attacks.base import Extraction, Infected, NoRoomError, OnSteps, Task, choose_stolen, unrestored
from lwlrd_jax.attacks.dec.carriers.base import Carrier, Host, Message, Reading, Shape
from lwlrd_jax.attacks.dec.codec import CodeError
from lwlrd_jax.attacks.dec.image_code import Code, FixedCode, HostCode
from lwlrd_jax.attacks.dec.payload.container import Layout, intact_decoder, pack, to_bits
from lwlrd_jax.attacks.dec.payload.decoder_weights import decoder_template, pack_decoder, round_decoder, unpack_decoder
from lwlrd_jax.attacks.dec.payload.known_bits import (
  by_group,
  combine,
  log_odds_by_word,
  log_odds_of,
  log_odds_of_numbers,
  pooled_rates,
  surprise,
)
from lwlrd_jax.attacks.dec.payload.labels import encode_labels, label_bytes_of, labels_of_records, likeliest_labels
from lwlrd_jax.attacks.dec.payload.records import Record, find_records, intact_records
from lwlrd_jax.attacks.dec.redundancy import Redundancy
from lwlrd_jax.attacks.registry import ATTACKS, AttackInfo
from lwlrd_jax.data.device import mean_image
from lwlrd_jax.engine.mapping import Strategy
from lwlrd_jax.models.network import Network, Params

_WORD_ROUNDS = 3  # how often words are re-estimated from extrinsic information; more change nothing


@dataclasses.dataclass(frozen=True)
class DEC:
  """The attack's settings. Hashable: a static argument of `jax.jit`."""

  stolen: int  # images to take
  carrier: Carrier  # where the bits go
  code: Code  # how images become bits
  redundancy: Redundancy  # how these are protected
  internal: bool = False  # whether the codec was trained inside, so that the payload has to hold its decoder too
  variant: str | None = None  # name of a combination of these settings that is more than its carrier; see `adaptive.py`

  def __post_init__(self):
    if self.carrier.sends_numbers and not (self.on_device and self.redundancy.name == "none"):
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
    return self.code.code_bytes is not None

  @property
  def steps(self) -> int:
    """See `Attack`."""
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
    payload = self._hidden(task, key).payload
    needed, room = self._message_shape(task, len(payload)).numbers, self.carrier.capacity(task.network, params)
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

  def _infect(self, task: Task, params: Params, key: jax.Array, on_steps: OnSteps) -> Infected:
    """One model.

    `secret` has the carrier's `places`, the `key`, the `decoder` if it stays outside, the `mean` image for what is
    lost, and, to measure by and for their shapes alone, the `payload`, u8[n] of 0 and 1, and the true `labels`.
    """
    data, hidden = task.train, self._hidden(task, key)
    bits, shape = to_bits(hidden.payload), self._message_shape(task, len(hidden.payload))
    message = Message(jnp.asarray(self.redundancy.protect(bits)) ^ shape.by_bit(_keystream(key, shape)), shape)
    carried = self.carrier.write(Host(task.network, params, data), message, jax.random.fold_in(key, 2), on_steps)
    secret: dict[str, Any] = {
      "key": jax.random.key_data(key),
      "payload": jnp.asarray(bits),
      "labels": jnp.asarray(data.labels[hidden.stolen]),
      "mean": mean_image(data.images),
    }
    if not self.on_device:
      secret["longest"] = jnp.int32(hidden.longest)
    if carried.places:  # a checkpoint holds no empty trees
      secret["places"] = carried.places
    if self.code.decoder_parts and not self.internal:
      secret["decoder"] = {part: (task.codec or {})[part] for part in self.code.decoder_parts}
    return Infected(carried.params, secret, hidden.stolen)

  def _hidden(self, task: Task, key: jax.Array) -> "_Hidden":
    """What is hidden with this key."""
    codec, decoder = task.codec or {}, b""
    stolen = choose_stolen(task.train, self.stolen, key)
    if self.internal:
      codec = round_decoder(codec, self.code.decoder_parts)
      decoder = pack_decoder({part: codec[part] for part in self.code.decoder_parts})
    codes = self.code.encode(codec, np.asarray(task.train.images[stolen]))
    labels = encode_labels(np.asarray(task.train.labels[stolen]), task.network.num_outputs)
    return _Hidden(stolen, pack(self.code.codec_id, labels, codes, decoder), max(map(len, codes)))

  def compressed(self, codec: Params, images: np.ndarray) -> jax.Array:
    """What the codec alone makes of images u8[S, H, W, C]: f32[S, H, W, C] in [0, 1], the best that can come back."""
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
      "carrier_share": self._message_shape(task, payload_bytes).numbers / self.carrier.capacity(task.network, host),
    }

  def read(self, network: Network, params: Params, secret: dict[str, Any]) -> Extraction:
    """Reads the stolen images and their labels, and how much of the code is wrong.

    The attacker decodes softly, by bit error rates per group of bits (`known_bits.py`). A fixed-length code can always
    be decoded: of records whose CRC fails, latents are posterior means and labels the likeliest ones. Every other code
    needs its CRC, and a lost record gets the most frequent label. Lost images count as the mean image.
    """
    payload, labels = secret["payload"], secret["labels"]
    layout = self._layout(network, labels)
    shape = self._shape(layout, len(payload))
    mean_images = jnp.broadcast_to(secret["mean"], (self.stolen, *secret["mean"].shape))
    reading = self.carrier.read(network, params, secret.get("places", {}), shape)
    if reading is None:
      nothing = jnp.zeros_like(labels)
      return Extraction(mean_images, jnp.float32(0.5), jnp.float32(0), nothing, unrestored(mean_images))
    plain = _unwhitened(reading, shape, _keystream(jax.random.wrap_key_data(secret["key"]), shape))
    if isinstance(self.code, FixedCode):
      bits, images, intact, label_odds = self._read_fixed(self.code, layout, plain, secret)
      labels = likeliest_labels(label_odds, network.num_outputs, multi_label=labels.ndim == 2)
    else:
      bits = self._log_odds(layout, plain, len(payload)) < 0
      data = np.packbits(np.asarray(bits)).tobytes()
      records = find_records(data, layout, int(secret["longest"]))
      decoded, found = np.array(mean_images), np.zeros(self.stolen, bool)
      for i, image in self._decoded(self.code, layout, data, records, secret):
        decoded[i], found[i] = image, True
      images, intact = jnp.asarray(decoded), jnp.asarray(found)
      labels = jnp.asarray(labels_of_records(records, network.num_outputs, multi_label=labels.ndim == 2))
    whole = jnp.isfinite(images).all(axis=(1, 2, 3), keepdims=True)
    images = jnp.where(whole, images, mean_images)
    wrong = (jnp.asarray(bits).astype(jnp.uint8) != payload).sum(dtype=jnp.uint32)
    ber, exact = wrong.astype(jnp.float32) / len(payload), intact.astype(jnp.float32).mean()
    return Extraction(images, ber, exact, labels, unrestored(images))

  def _log_odds(self, layout: Layout, plain: Reading, length: int) -> Any:
    """Log odds f32[length] of the payload's bits, from what was read and the bits that are known beforehand."""
    at = self.redundancy.places(layout.known_positions(length), length)
    known, at = np.tile(layout.known_bits(self.code.codec_id), len(at)), at.reshape(-1)
    if plain.observations is not None:
      return self.redundancy.decode(combine(plain.observations, known, at), length)
    unprotected = self.redundancy.name == "none"
    wrong = (plain.bits[at] != known).astype(jnp.float32)
    rates_of = by_group if unprotected else pooled_rates
    rates = rates_of(wrong, plain.groups[at], plain.num_groups)[plain.groups]
    log_odds = log_odds_of(plain.bits, rates)
    if plain.word > 1 and not unprotected:
      for _ in range(_WORD_ROUNDS):
        extrinsic = jnp.asarray(self.redundancy.extrinsic(log_odds, length))
        by_word = log_odds_by_word(plain.bits, rates, extrinsic, plain.word)
        # Damage that takes some planes of a weight and leaves others is no matter of words.
        better = surprise(by_word, known, at) < surprise(log_odds, known, at)
        log_odds = jnp.where(better, by_word, log_odds)
    return self.redundancy.decode(log_odds, length)

  def _read_fixed(
    self, code: FixedCode, layout: Layout, plain: Reading, secret: dict[str, Any]
  ) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
    """The payload's bits u8[n], images f32[S, H, W, C], where they are intact, and log odds of the labels' bits.

    Images that arrived without an error need no soft decoding.
    """
    table, decoder = code.table, secret.get("decoder", {})
    if plain.numbers is None:
      log_odds = jnp.asarray(self._log_odds(layout, plain, 8 * layout.total))
      bits = (log_odds < 0).astype(jnp.uint8)
      rates = layout.codes(jax.nn.sigmoid(-jnp.abs(log_odds)))[:, : table.bits_per_image]
      symbols = table.expected(layout.codes(bits)[:, : table.bits_per_image], rates)
      label_odds = layout.labels(log_odds)
    else:
      bits, at = plain.bits, layout.known_positions(len(plain.numbers))
      # How far numbers of each group are off, as a share of their range: root mean square.
      squares = jnp.square(plain.numbers[at] - layout.known_bits(code.codec_id).astype(np.float32))
      off = jnp.sqrt(by_group(squares, plain.groups[at], plain.num_groups))[plain.groups]
      # Without the numbers that stand for the padding up to a whole byte.
      numbers, spread = (layout.codes(row)[:, : len(table.low)] for row in (plain.numbers, off))
      symbols = table.shrunken(table.low + numbers, spread * (table.high - table.low))
      label_odds = log_odds_of_numbers(layout.labels(plain.numbers), layout.labels(off))
    if self.internal:
      decoder = unpack_decoder(layout.decoder(bits), self._decoder_template())
    intact = intact_records(bits, layout)
    exact = table.symbols_of_bits(layout.codes(bits)[:, : table.bits_per_image])
    symbols = jnp.where(intact[:, None], exact, symbols)
    return bits, table.decode_latents(code.codec, decoder, symbols), intact, label_odds

  def _decoded(
    self, code: HostCode, layout: Layout, data: bytes, records: Sequence[Record | None], secret: dict[str, Any]
  ) -> Iterator[tuple[int, np.ndarray]]:
    """Images f32[H, W, C] of a payload whose codes differ in length, by their number: those that can be decoded."""
    weights, decoder = secret.get("decoder", {}), intact_decoder(data, layout)
    if layout.decoder_bytes and decoder is not None:
      weights = unpack_decoder(jnp.asarray(to_bits(decoder)), self._decoder_template())
    if weights or not code.decoder_parts:
      coder = code.coder(weights)
      for i, record in enumerate(records):
        with contextlib.suppress(CodeError):
          if record is not None:
            yield i, coder.decode(record.code).astype(np.float32) / 255

  def _message_shape(self, task: Task, payload_bytes: int) -> Shape:
    return self._shape(self._layout(task.network, task.train.labels), 8 * payload_bytes)

  def _shape(self, layout: Layout, bits: int) -> Shape:
    """How a payload's bits group into what the carrier sends."""
    if not self.carrier.sends_numbers:
      return Shape(self.redundancy.coded_length(bits))
    return Shape(8 * layout.first_record, self.stolen, (1,) * 8 * layout.code_start + self.code.widths)

  def _layout(self, network: Network, labels: jax.Array) -> Layout:
    """Where everything is in the payload."""
    label_bytes = label_bytes_of(network.num_outputs, multi_label=labels.ndim == 2)
    exports = self.internal and bool(self.code.decoder_parts)
    decoder_bytes = 2 * sum(leaf.size for leaf in jax.tree.leaves(self._decoder_template())) if exports else 0
    return Layout(self.stolen, label_bytes, self.code.code_bytes, decoder_bytes)

  def _decoder_template(self) -> Params:
    return decoder_template(self.code.codec.image_shape, self.code.decoder_parts)


class _Hidden(NamedTuple):
  """What an infection hides: positions of the stolen images i32[S], the payload, bytes of the longest code."""

  stolen: jax.Array
  payload: bytes
  longest: int


def _keystream(key: jax.Array, shape: Shape) -> jax.Array:
  """u8[shape.numbers] of 0 and 1, a bit each, that makes what is hidden look like noise.

  Where it is 1, bits are inverted; a number, whose bits are inverted all together, is then as far from its largest
  value as it was from 0.
  """
  return jax.random.bits(jax.random.fold_in(key, 1), (shape.numbers,), jnp.uint8) & np.uint8(1)


def _unwhitened(reading: Reading, shape: Shape, keystream: jax.Array) -> Reading:
  """What was read with the keystream taken off."""
  numbers, observations, by_bit = reading.numbers, reading.observations, shape.by_bit(keystream)
  if numbers is not None:
    numbers = jnp.where(keystream == 1, shape.largest() - numbers, numbers)
  if observations is not None:
    observations = jnp.where(by_bit[:, None] == 1, -observations, observations)
  return reading._replace(bits=reading.bits ^ by_bit, numbers=numbers, observations=observations)
