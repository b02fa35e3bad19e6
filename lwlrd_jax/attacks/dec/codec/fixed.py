"""Fixed-length code of the learned codec: a wrong bit damages one latent and never loses the place of the others.

Each latent is rounded to a whole number and sent in as many bits as its channel's range needs, offset-binary, without
side information. `expected` decodes damaged bits softly. Everything is jittable and can be mapped over with `jax.vmap`.
"""

import dataclasses
import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from lwlrd_jax.attacks.dec.bit_fields import join_bits, split_bits
from lwlrd_jax.attacks.dec.codec.transform import Codec
from lwlrd_jax.models.network import Params

_FIT_BATCH = 256
_POSTERIOR_BATCH = 64  # images whose posterior means are computed at a time: bounds the memory of all candidates
_LEAST_RATE = 1e-6  # a rate estimated as 0 may not be quite 0


@dataclasses.dataclass(frozen=True)
class FixedLengthCode:
  """Bits of each latent channel. Hashable: a static argument of `jax.jit`.

  Symbols below are the L latents of all channels with at least one bit, position by position, channels innermost.
  """

  latent_shape: tuple[int, int, int]  # (h, w, M)
  offsets: tuple[int, ...]  # M whole numbers, each channel's smallest value; the only value of a channel without bits
  # M, each channel's bits per latent, >= 0: its values are offset to offset + 2**bits - 1.
  channel_bits: tuple[int, ...]
  means: tuple[float, ...]  # M, of each channel's values
  deviations: tuple[float, ...]  # M, their mean absolute deviations from these

  @classmethod
  def fit(cls, codec: Codec, params: Params, images: jax.Array, coverage: float = 0.999) -> "FixedLengthCode":
    """Measures the ranges of the latents of images f32[N, H, W, C] in [0, 1].

    A range holds the share `coverage`, in (0, 1], of a channel's latents, the others are clipped; it is widened evenly
    on both sides to a power of 2 of values.
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
    means = flat.mean(axis=0)
    deviations = np.abs(flat - means).mean(axis=0)
    return cls(codec.latent_shape, tuple(offsets), tuple(bits), tuple(map(float, means)), tuple(map(float, deviations)))

  @property
  def bits_per_image(self) -> int:
    """Length of an image's code."""
    height, width, _ = self.latent_shape
    return height * width * sum(self.channel_bits)

  @property
  def widths(self) -> tuple[int, ...]:
    """Bits of each symbol."""
    height, width, _ = self.latent_shape
    return tuple(bits for bits in self.channel_bits if bits) * (height * width)

  @property
  def low(self) -> jax.Array:
    """Smallest value of each symbol: f32[L]."""
    return jnp.asarray(self._per_symbol(self.offsets))

  @property
  def high(self) -> jax.Array:
    """Largest value of each symbol: f32[L]."""
    pairs = zip(self.offsets, self.channel_bits, strict=True)
    return jnp.asarray(self._per_symbol([offset + 2**bits - 1 for offset, bits in pairs]))

  def symbols(self, codec: Codec, params: Params, images: jax.Array) -> jax.Array:
    """Images f32[N, H, W, C] in [0, 1] -> rounded and clipped latents f32[N, L], whole numbers in [low, high]."""
    latents = jnp.round(codec.analysis(params, images))[..., self._active()]
    return jnp.clip(latents.reshape(len(images), -1), self.low, self.high)

  def from_symbols(self, symbols: jax.Array) -> jax.Array:
    """Symbols f32[N, L], maybe off a noisy channel -> latents f32[N, h, w, M].

    Symbols are clipped to their range, not rounded, and NaN becomes the middle of its range.
    """
    height, width, channels = self.latent_shape
    active = self._active()
    symbols = jnp.where(jnp.isnan(symbols), (self.low + self.high) / 2, jnp.clip(symbols, self.low, self.high))
    latents = jnp.broadcast_to(jnp.asarray(self.offsets, jnp.float32), (len(symbols), height, width, channels))
    return latents.at[..., active].set(symbols.reshape(len(symbols), height, width, len(active)))

  def decode_latents(self, codec: Codec, params: Params, symbols: jax.Array) -> jax.Array:
    """Symbols f32[N, L] -> images f32[N, H, W, C] in [0, 1]; see `from_symbols`."""
    return jnp.clip(codec.synthesis(params, self.from_symbols(symbols)), 0, 1)

  def encode(self, codec: Codec, params: Params, images: jax.Array) -> jax.Array:
    """Images f32[N, H, W, C] in [0, 1] -> bits u8[N, bits_per_image] of 0 and 1, each symbol's highest bit first."""
    return split_bits((self.symbols(codec, params, images) - self.low).astype(jnp.uint32), self.widths)

  def decode(self, codec: Codec, params: Params, bits: jax.Array) -> jax.Array:
    """Bits u8[N, bits_per_image] of 0 and 1 -> images f32[N, H, W, C] in [0, 1]."""
    return self.decode_latents(codec, params, self.symbols_of_bits(bits))

  def symbols_of_bits(self, bits: jax.Array) -> jax.Array:
    """Bits u8[N, bits_per_image] of 0 and 1 -> symbols f32[N, L]."""
    return join_bits(bits, self.widths).astype(jnp.float32) + self.low

  def expected(self, bits: jax.Array, flip_rates: jax.Array) -> jax.Array:
    """The mean of each symbol's posterior distribution, from bits that may be wrong, independently of each other.

    A symbol's prior is a Laplace distribution with its channel's mean and mean absolute deviation (Lam and Goodman
    2000). Bits u8[N, bits_per_image] are as read, wrong at rates f32[N, bits_per_image] in [0, 1/2]. Means: f32[N, L].
    """
    rates = jnp.clip(flip_rates, _LEAST_RATE, 0.5)
    evidence = jnp.where(bits == 1, 1, -1) * (jnp.log1p(-rates) - jnp.log(rates))  # log odds of a 1
    return jax.lax.map(self._posterior_means, evidence, batch_size=_POSTERIOR_BATCH)

  def shrunken(self, symbols: jax.Array, spread: jax.Array) -> jax.Array:
    """The best linear estimate of symbols f32[N, L] from ones with noise of deviation f32[N, L] (Wiener 1949)."""
    mean = jnp.asarray(self._per_symbol(self.means))
    # A Laplace distribution's variance, from its mean absolute deviation.
    variance = 2 * jnp.square(jnp.asarray(self._per_symbol(self.deviations)))
    return mean + variance / (variance + jnp.square(spread) + _LEAST_RATE) * (symbols - mean)

  def _posterior_means(self, evidence: jax.Array) -> jax.Array:
    """Log odds of one image's bits f32[bits_per_image] -> f32[L]."""
    active = self._active()
    widths = np.asarray(self.channel_bits)[active]
    ends = np.cumsum(widths)
    positions = self.latent_shape[0] * self.latent_shape[1]
    evidence = evidence.reshape(positions, -1)
    found = jnp.zeros((positions, len(active)), jnp.float32)
    for width in sorted(set(widths.tolist())):
      of_width = np.flatnonzero(widths == width)
      columns = (ends[of_width] - width)[:, None] + np.arange(width)
      candidates = np.arange(2**width)
      patterns = (candidates >> np.arange(width - 1, -1, -1)[:, None]) & 1
      channels = active[of_width]
      offsets, means, deviations = (
        np.asarray([source[c] for c in channels], np.float32)[:, None]
        for source in (self.offsets, self.means, self.deviations)
      )
      prior = -np.abs(offsets + candidates - means) / np.maximum(deviations, 0.1)
      scores = evidence[:, columns] @ jnp.asarray(patterns, jnp.float32) + jnp.asarray(prior, jnp.float32)
      mean = jax.nn.softmax(scores, axis=-1) @ jnp.asarray(candidates, jnp.float32)
      found = found.at[:, of_width].set(mean + jnp.asarray(offsets[:, 0]))
    return found.reshape(-1)

  def _active(self) -> np.ndarray:
    """Channels with at least one bit, i32[...]."""
    return np.flatnonzero(self.channel_bits).astype(np.int32)

  def _per_symbol(self, channel_values: Sequence[float]) -> np.ndarray:
    """One value per channel -> one per symbol, f32[L]."""
    height, width, _ = self.latent_shape
    return np.tile(np.asarray(channel_values, np.float32)[self._active()], height * width)


@functools.partial(jax.jit, static_argnums=0)
def _rounded(codec: Codec, params: Params, images: jax.Array) -> jax.Array:
  return jnp.round(codec.analysis(params, images))
