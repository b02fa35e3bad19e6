"""Entropy-coded form of the learned codec: one string of bytes for each image, from a range coder on the host.

Encoder and decoder must agree exactly on every distribution: they evaluate the hyper synthesis in float64, on the CPU,
one image at a time, and round to a grid so coarse that the last digits of a sum cannot matter. Latents are coded as
whole distances from their means, so that only scales decide about probabilities. There is no header and no length.
"""

import functools
import math
from typing import NamedTuple

import constriction
import jax
import jax.numpy as jnp
import numpy as np

from lwlrd_jax.attacks.dec.codec import CodeError
from lwlrd_jax.attacks.dec.codec.parts import MIN_SCALE
from lwlrd_jax.attacks.dec.codec.transform import Codec
from lwlrd_jax.data.device import scale
from lwlrd_jax.models.network import Params

# Values beyond are clipped. They are so rare that room for them costs nothing.
_HYPER_LIMIT = 127
_LIMIT = 511
# Means lie on multiples of 1 / this, and scales on powers of 2 ** (1 / 8): 9 % apart: fine enough for the rate.
_MEAN_GRID = 64
_SCALES_PER_OCTAVE = 8
_SCALE_LEVELS = 90
_PARTS = 1 << 20  # probabilities of the side information, as whole parts of this
_MOST_BITS = 24  # the coder's own resolution: no symbol costs more


class Symbols(NamedTuple):
  """What an image is sent as: i32[h' * w' * Z], channel by channel, and distances from the means i32[h * w * M]."""

  hyper: np.ndarray
  latents: np.ndarray


class EntropyCoder:
  """A codec with all its weights, ready to encode and decode on the host."""

  def __init__(self, codec: Codec, params: Params):
    self.codec = codec
    self._params = params
    self._cpu = jax.local_devices(backend="cpu")[0]
    with jax.enable_x64(True), jax.default_device(self._cpu):
      self._exact = jax.tree.map(lambda x: jnp.asarray(np.asarray(x, np.float64)), params)
      grid = jnp.broadcast_to(
        jnp.arange(-_HYPER_LIMIT, _HYPER_LIMIT + 1, dtype=jnp.float64)[:, None],
        (2 * _HYPER_LIMIT + 1, codec.hyper_shape[-1]),
      )
      table = np.asarray(codec.prior(self._exact, grid)).T
    parts = 1 + np.rint(table * _PARTS)  # at least one part each: every value must have a code
    self._prior = [constriction.stream.model.Categorical(row / row.sum(), perfect=False) for row in parts]
    self._gaussian = constriction.stream.model.QuantizedGaussian(-_LIMIT, _LIMIT)

  def encode(self, images: np.ndarray) -> list[bytes]:
    """Images u8[N, H, W, C] -> the code of each."""
    return [self._pack(self.symbols(image)) for image in images]

  def decode(self, code: bytes) -> np.ndarray:
    """The code of one image -> u8[H, W, C]. Raises CodeError for bytes that the encoder cannot have written."""
    numbers = math.prod(self.codec.hyper_shape) + math.prod(self.codec.latent_shape)
    if not 0 < len(code) <= numbers * _MOST_BITS // 8 + 8:
      raise CodeError(f"{len(code)} bytes are no image of {self.codec.image_shape}")
    try:
      symbols = self._unpack(code)
    except AssertionError as error:  # the range coder's own sign of impossible data
      raise CodeError("these bytes are no image: the range coder cannot follow them") from error
    # The encoder writes the shortest string, so whatever it would write otherwise has been altered.
    if self._pack(symbols) != code:
      raise CodeError("these bytes are no image: cut short, extended or altered")
    return self.reconstruct(symbols)

  def symbols(self, image: np.ndarray) -> Symbols:
    """Rounded latents of one image u8[H, W, C]."""
    latents, hyper = _analyse(self.codec, self._params, jnp.asarray(image)[None])
    rounded = np.clip(np.rint(np.asarray(hyper[0])), -_HYPER_LIMIT, _HYPER_LIMIT).astype(np.int32)
    hyper_symbols = rounded.transpose(2, 0, 1).ravel()
    mean, _ = self._distributions(hyper_symbols)
    distances = np.clip(np.rint(np.asarray(latents[0], np.float64).ravel() - mean), -_LIMIT, _LIMIT)
    return Symbols(hyper_symbols, distances.astype(np.int32))

  def reconstruct(self, symbols: Symbols) -> np.ndarray:
    """What the decoder makes of an image's symbols: u8[H, W, C]."""
    mean, _ = self._distributions(symbols.hyper)
    latents = (symbols.latents + mean).astype(np.float32).reshape(1, *self.codec.latent_shape)
    return np.asarray(_synthesise(self.codec, self._params, jnp.asarray(latents))[0])

  def _distributions(self, hyper: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Side information i32[h' * w' * Z] -> mean and scale of each latent on their grids, f64[h * w * M] each."""
    height, width, channels = self.codec.hyper_shape
    with jax.enable_x64(True), jax.default_device(self._cpu):
      exact = jnp.asarray(hyper.reshape(channels, height, width).transpose(1, 2, 0)[None].astype(np.float64))
      mean, deviation = (np.asarray(x).ravel() for x in _predict(self.codec, self._exact, exact))
    level = np.clip(np.rint(np.log2(deviation / MIN_SCALE) * _SCALES_PER_OCTAVE), 0, _SCALE_LEVELS)
    return np.rint(mean * _MEAN_GRID) / _MEAN_GRID, MIN_SCALE * 2 ** (level / _SCALES_PER_OCTAVE)

  def _pack(self, symbols: Symbols) -> bytes:
    """The shortest string of bytes that decodes to these symbols."""
    _, deviation = self._distributions(symbols.hyper)
    encoder = constriction.stream.queue.RangeEncoder()
    for model, channel in zip(self._prior, np.split(symbols.hyper, len(self._prior)), strict=True):
      encoder.encode(channel + _HYPER_LIMIT, model)
    encoder.encode(symbols.latents, self._gaussian, np.zeros_like(deviation), deviation)
    # The coder writes whole words of 32 bits; the last bytes are mostly not needed.
    code = encoder.get_compressed().astype(">u4").tobytes()
    reads = functools.partial(self._reads, symbols=symbols, deviation=deviation)
    while len(code) > 1 and (shorter := next(filter(reads, _one_byte_less(code)), None)):
      code = shorter
    return code

  def _reads(self, code: bytes, symbols: Symbols, deviation: np.ndarray) -> bool:
    """Whether a string decodes to these symbols."""
    try:
      found = self._unpack(code, deviation)
    except AssertionError:
      return False
    return np.array_equal(found.hyper, symbols.hyper) and np.array_equal(found.latents, symbols.latents)

  def _unpack(self, code: bytes, deviation: np.ndarray | None = None) -> Symbols:
    """Symbols of a string; scales follow from the side information where they are not known."""
    # The coder reads zeros past its end, so padding to whole words with them changes nothing.
    words = np.frombuffer(code + bytes(-len(code) % 4), ">u4").astype(np.uint32)
    decoder = constriction.stream.queue.RangeDecoder(words)
    height, width, _ = self.codec.hyper_shape
    hyper = np.concatenate([decoder.decode(model, height * width) for model in self._prior]) - _HYPER_LIMIT
    if deviation is None:
      _, deviation = self._distributions(hyper)
    return Symbols(hyper, decoder.decode(self._gaussian, np.zeros_like(deviation), deviation))


def _one_byte_less(code: bytes) -> list[bytes]:
  """The strings one byte shorter that stand for the nearest numbers below and above."""
  below = code[:-1]
  above = int.from_bytes(below, "big") + 1
  return [below] if above >> (8 * len(below)) else [below, above.to_bytes(len(below), "big")]


@functools.partial(jax.jit, static_argnums=0)
def _analyse(codec: Codec, params: Params, images: jax.Array) -> tuple[jax.Array, jax.Array]:
  latents = codec.analysis(params, scale(images))
  return latents, codec.hyper_analysis(params, latents)


_predict = jax.jit(Codec.hyper_synthesis, static_argnums=0)


@functools.partial(jax.jit, static_argnums=0)
def _synthesise(codec: Codec, params: Params, latents: jax.Array) -> jax.Array:
  return jnp.round(255 * jnp.clip(codec.synthesis(params, latents), 0, 1)).astype(jnp.uint8)
