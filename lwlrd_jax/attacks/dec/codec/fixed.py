"""Fixed-length code of the learned codec: a wrong bit damages one latent and never loses the place of the others.

Each latent is rounded to a whole number and sent in as many bits as its channel's range needs, offset-binary, without
side information. Everything is jittable and can be mapped over with `jax.vmap`.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np

from lwlrd_jax.attacks.dec.codec.transform import Codec
from lwlrd_jax.models.network import Params

_FIT_BATCH = 256


@dataclasses.dataclass(frozen=True)
class FixedLengthCode:
  """Bits of each latent channel. Hashable: a static argument of `jax.jit`.

  Symbols below are the L latents of all channels with at least one bit, position by position, channels innermost.

  Attributes:
    latent_shape: (h, w, M).
    offsets: M whole numbers, each channel's smallest value; the only value of a channel without bits.
    channel_bits: M, each channel's bits per latent, >= 0: its values are offset to offset + 2**bits - 1.
  """

  latent_shape: tuple[int, int, int]
  offsets: tuple[int, ...]
  channel_bits: tuple[int, ...]

  @classmethod
  def fit(cls, codec: Codec, params: Params, images: jax.Array, coverage: float = 0.999) -> "FixedLengthCode":
    """Measures the ranges of the latents.

    Args:
      codec: The structure.
      params: Its weights.
      images: f32[N, H, W, C] in [0, 1].
      coverage: Share of each channel's latents that its range must hold, in (0, 1]; the others are clipped.

    Returns:
      The code. A range is widened evenly on both sides to a power of 2 of values.
    """
    batches = [images[first : first + _FIT_BATCH] for first in range(0, len(images), _FIT_BATCH)]
    latents = np.concatenate([np.asarray(_rounded(codec, params, batch)) for batch in batches])
    tail = (1 - coverage) / 2
    flat = latents.reshape(-1, latents.shape[-1])
    low = np.quantile(flat, tail, axis=0, method="lower").astype(int)
    high = np.quantile(flat, 1 - tail, axis=0, method="higher").astype(int)
    bits = [int(span).bit_length() for span in high - low]
    spare = [2**b - 1 - int(span) for b, span in zip(bits, high - low, strict=True)]
    offsets = [int(least) - extra // 2 for least, extra in zip(low, spare, strict=True)]
    return cls(codec.latent_shape, tuple(offsets), tuple(bits))

  @property
  def bits_per_image(self) -> int:
    """Length of an image's code."""
    height, width, _ = self.latent_shape
    return height * width * sum(self.channel_bits)

  @property
  def low(self) -> jax.Array:
    """Smallest value of each symbol: f32[L]."""
    return jnp.asarray(self._per_symbol([float(offset) for offset in self.offsets]))

  @property
  def high(self) -> jax.Array:
    """Largest value of each symbol: f32[L]."""
    pairs = zip(self.offsets, self.channel_bits, strict=True)
    return jnp.asarray(self._per_symbol([float(offset + 2**bits - 1) for offset, bits in pairs]))

  def symbols(self, codec: Codec, params: Params, images: jax.Array) -> jax.Array:
    """Images f32[N, H, W, C] in [0, 1] -> rounded and clipped latents f32[N, L], whole numbers in [low, high]."""
    latents = jnp.round(codec.analysis(params, images))[..., self._active()]
    return jnp.clip(latents.reshape(len(images), -1), self.low, self.high)

  def from_symbols(self, symbols: jax.Array) -> jax.Array:
    """Symbols f32[N, L] -> latents f32[N, h, w, M].

    Symbols may come off a noisy channel: they are clipped to their range, not rounded, and one that is no number
    becomes the middle of its range.
    """
    height, width, channels = self.latent_shape
    active = self._active()
    symbols = jnp.where(jnp.isnan(symbols), (self.low + self.high) / 2, jnp.clip(symbols, self.low, self.high))
    constant = jnp.asarray([float(offset) for offset in self.offsets], jnp.float32)
    latents = jnp.broadcast_to(constant, (len(symbols), height, width, channels))
    return latents.at[..., active].set(symbols.reshape(len(symbols), height, width, len(active)))

  def decode_latents(self, codec: Codec, params: Params, symbols: jax.Array) -> jax.Array:
    """Symbols f32[N, L] -> images f32[N, H, W, C] in [0, 1]; see `from_symbols`. `decoder_params` are enough."""
    return jnp.clip(codec.synthesis(params, self.from_symbols(symbols)), 0, 1)

  def encode(self, codec: Codec, params: Params, images: jax.Array) -> jax.Array:
    """Images f32[N, H, W, C] in [0, 1] -> bits u8[N, bits_per_image] of 0 and 1, each symbol's highest bit first."""
    symbols = (self.symbols(codec, params, images) - self.low).astype(jnp.int32)
    owner, shift = self._layout()
    return ((symbols[:, owner] >> shift) & 1).astype(jnp.uint8)

  def decode(self, codec: Codec, params: Params, bits: jax.Array) -> jax.Array:
    """Bits u8[N, bits_per_image] of 0 and 1 -> images f32[N, H, W, C] in [0, 1]. `decoder_params` are enough.

    Every pattern of bits is some image: damage stays where its bits were.
    """
    return self.decode_latents(codec, params, self.symbols_of_bits(bits))

  def symbols_of_bits(self, bits: jax.Array) -> jax.Array:
    """Bits u8[N, bits_per_image] of 0 and 1 -> symbols f32[N, L]."""
    owner, shift = self._layout()
    weighted = (bits & 1).astype(jnp.int32) << shift
    offsets = jnp.zeros((len(bits), len(self.low)), jnp.int32).at[:, owner].add(weighted)
    return offsets.astype(jnp.float32) + self.low

  def _active(self) -> np.ndarray:
    """Channels with at least one bit, i32[...]."""
    return np.flatnonzero(self.channel_bits).astype(np.int32)

  def _per_symbol(self, channel_values: list[float]) -> np.ndarray:
    """One value per channel -> one per symbol, f32[L]."""
    height, width, _ = self.latent_shape
    return np.tile(np.asarray(channel_values, np.float32)[self._active()], height * width)

  def _layout(self) -> tuple[np.ndarray, np.ndarray]:
    """Of each bit: the symbol that it belongs to, and its place in that from the lowest; i32[bits_per_image] each."""
    widths = self._per_symbol([float(bits) for bits in self.channel_bits]).astype(np.int32)
    owner = np.repeat(np.arange(len(widths), dtype=np.int32), widths)
    ends = np.cumsum(widths, dtype=np.int32)
    return owner, ends[owner] - 1 - np.arange(len(owner), dtype=np.int32)


@functools.partial(jax.jit, static_argnums=0)
def _rounded(codec: Codec, params: Params, images: jax.Array) -> jax.Array:
  return jnp.round(codec.analysis(params, images))
