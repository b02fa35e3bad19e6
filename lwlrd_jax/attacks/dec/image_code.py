"""Image codecs as the attack uses them: images to codes, and back.

A *device* code has a fixed length; it is decoded in a jitted program, for whole populations, and wrong bits only blur
its images. A *host* code is a string of bytes of any length, decoded one by one; a wrong bit ruins it.
"""

import dataclasses
import functools
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from lwlrd_jax.attacks.dec.codec.entropy import EntropyCoder
from lwlrd_jax.attacks.dec.codec.fixed import FixedLengthCode
from lwlrd_jax.attacks.dec.codec.standard import StandardCodec
from lwlrd_jax.attacks.dec.codec.transform import Codec
from lwlrd_jax.data.device import scale
from lwlrd_jax.models.network import Params


class ImageCode(Protocol):
  """A codec. Frozen and hashable; its weights, if it has any, are arguments.

  Attributes:
    codec_id: What the payload calls it.
    on_device: Whether it is a device code.
    decoder_parts: Top-level keys of its weights that decoding needs.
  """

  @property
  def codec_id(self) -> int: ...  # noqa: D102
  @property
  def on_device(self) -> bool: ...  # noqa: D102
  @property
  def decoder_parts(self) -> tuple[str, ...]: ...  # noqa: D102

  def encode(self, weights: Params, images: np.ndarray) -> list[bytes]:
    """Images u8[S, H, W, C] -> the code of each."""


@dataclasses.dataclass(frozen=True)
class FixedCode:
  """The learned codec, quantised latents in a fixed number of bits each: the device code.

  Attributes:
    codec: The codec.
    table: How many bits each latent has.
    trained: Whether it is what images are coded with. If not, its codes are empty: their least size.
  """

  codec: Codec
  table: FixedLengthCode
  trained: bool = True
  codec_id: int = dataclasses.field(default=1, init=False)
  on_device: bool = dataclasses.field(default=True, init=False)
  decoder_parts: tuple[str, ...] = dataclasses.field(default=("synthesis",), init=False)

  @property
  def code_bytes(self) -> int:
    """Of each image."""
    return -(-self.table.bits_per_image // 8)

  @property
  def widths(self) -> tuple[int, ...]:
    """Bits of each latent of an image, and of the padding up to a whole byte."""
    height, width, _ = self.codec.latent_shape
    latents = tuple(bits for bits in self.table.channel_bits if bits) * (height * width)
    return latents + (1,) * (8 * self.code_bytes - self.table.bits_per_image)

  def encode(self, weights: Params, images: np.ndarray) -> list[bytes]:
    """See `ImageCode.encode`."""
    bits = _encode(self, weights, jnp.asarray(images))
    return [row.tobytes() for row in np.packbits(np.asarray(bits), axis=1)]

  def decode_bits(self, decoder: Params, bits: jax.Array) -> jax.Array:
    """Codes u8[S, 8 * code_bytes] of 0 and 1 -> images f32[S, H, W, C] in [0, 1]. For `jax.jit` and `jax.vmap`."""
    return self.table.decode(self.codec, decoder, bits[:, : self.table.bits_per_image])


@dataclasses.dataclass(frozen=True)
class EntropyCode:
  """The learned codec behind a range coder: a host code."""

  codec: Codec
  codec_id: int = dataclasses.field(default=2, init=False)
  on_device: bool = dataclasses.field(default=False, init=False)
  decoder_parts: tuple[str, ...] = dataclasses.field(default=("synthesis", "hyper_synthesis", "prior"), init=False)

  def encode(self, weights: Params, images: np.ndarray) -> list[bytes]:
    """See `ImageCode.encode`."""
    return EntropyCoder(self.codec, weights).encode(images)

  def decoder(self, weights: Params) -> Any:
    """Something with `decode(bytes) -> u8[H, W, C]`, which raises `CodeError`."""
    return EntropyCoder(self.codec, weights)


@dataclasses.dataclass(frozen=True)
class StandardCode:
  """PNG, JPEG or WebP: a host code without weights."""

  codec: StandardCodec
  codec_id: int
  on_device: bool = dataclasses.field(default=False, init=False)
  decoder_parts: tuple[str, ...] = dataclasses.field(default=(), init=False)

  def encode(self, weights: Params, images: np.ndarray) -> list[bytes]:
    """See `ImageCode.encode`."""
    del weights
    return self.codec.encode(images)

  def decoder(self, weights: Params) -> Any:
    """Something with `decode(bytes) -> u8[H, W, C]`, which raises `CodeError`."""
    del weights
    return self.codec


@functools.partial(jax.jit, static_argnums=0)
def _encode(code: FixedCode, weights: Params, images: jax.Array) -> jax.Array:
  return code.table.encode(code.codec, weights, scale(images))
