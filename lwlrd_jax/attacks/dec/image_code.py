"""Image codecs as the attack uses them: images to codes, and back.

A *device* code has a fixed length, is decoded in a jitted program, and wrong bits only blur its images. A *host* code
is a string of bytes of any length, decoded one by one; a wrong bit ruins it. All are hashable.
"""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from lwlrd_jax.attacks.dec.codec.entropy import EntropyCoder
from lwlrd_jax.attacks.dec.codec.fixed import FixedLengthCode
from lwlrd_jax.attacks.dec.codec.standard import StandardCodec
from lwlrd_jax.attacks.dec.codec.transform import Codec
from lwlrd_jax.data.device import scale
from lwlrd_jax.models.network import Params


@dataclasses.dataclass(frozen=True)
class FixedCode:
  """The learned codec, quantised latents in a fixed number of bits each: the device code."""

  codec: Codec
  table: FixedLengthCode  # how many bits each latent has
  trained: bool = True  # whether it is what images are coded with. If not, its codes are empty: their least size
  codec_id: ClassVar[int] = 1  # what the payload calls it
  decoder_parts: ClassVar[tuple[str, ...]] = ("synthesis",)  # top-level keys of its weights that decoding needs

  @property
  def code_bytes(self) -> int:
    """Bytes of each image's code."""
    return -(-self.table.bits_per_image // 8)

  @property
  def widths(self) -> tuple[int, ...]:
    """Bits of each latent of an image, and of the padding up to a whole byte."""
    return self.table.widths + (1,) * (8 * self.code_bytes - self.table.bits_per_image)

  def settings(self) -> dict[str, Any]:
    """What distinguishes it from others of its kind, as JSON."""
    return {"bits_per_image": self.table.bits_per_image}

  def encode(self, weights: Params, images: np.ndarray) -> list[bytes]:
    """Images u8[S, H, W, C] -> the code of each."""
    bits = _encode(self, weights, jnp.asarray(images))
    return [row.tobytes() for row in np.packbits(np.asarray(bits), axis=1)]

  def decode(self, weights: Params, codes: Sequence[bytes]) -> jax.Array:
    """Undamaged codes -> images f32[S, H, W, C] in [0, 1]."""
    bits = np.stack([np.unpackbits(np.frombuffer(code, np.uint8), count=self.table.bits_per_image) for code in codes])
    return self.table.decode(self.codec, weights, jnp.asarray(bits))


@dataclasses.dataclass(frozen=True)
class HostCode:
  """A host code; attributes and methods as those of `FixedCode`, but that codes differ in length."""

  codec: Any
  codec_id: ClassVar[int]
  trained: ClassVar[bool] = True
  decoder_parts: ClassVar[tuple[str, ...]] = ()
  code_bytes: ClassVar[None] = None
  widths: ClassVar[tuple[int, ...]] = ()

  def settings(self) -> dict[str, Any]:
    """See `FixedCode`."""
    return {}

  def coder(self, weights: Params) -> EntropyCoder | StandardCodec:
    """The codec with its weights. Its `decode(bytes) -> u8[H, W, C]` raises CodeError."""
    del weights
    return self.codec

  def encode(self, weights: Params, images: np.ndarray) -> list[bytes]:
    """See `FixedCode`."""
    return self.coder(weights).encode(images)

  def decode(self, weights: Params, codes: Sequence[bytes]) -> jax.Array:
    """See `FixedCode`."""
    coder = self.coder(weights)
    return jnp.asarray(np.stack([coder.decode(code) for code in codes]).astype(np.float32) / 255)


@dataclasses.dataclass(frozen=True)
class EntropyCode(HostCode):
  """The learned codec behind a range coder."""

  codec: Codec
  codec_id: ClassVar[int] = 2
  decoder_parts: ClassVar[tuple[str, ...]] = ("synthesis", "hyper_synthesis", "prior")

  def coder(self, weights: Params) -> EntropyCoder:
    """See `HostCode`."""
    return EntropyCoder(self.codec, weights)


@dataclasses.dataclass(frozen=True)
class StandardCode(HostCode):
  """PNG, JPEG or WebP, without weights."""

  codec: StandardCodec

  @property
  def codec_id(self) -> int:  # type: ignore[override]  # noqa: D102
    return {"png": 3, "jpeg": 4, "webp": 5}[self.codec.format]

  def settings(self) -> dict[str, Any]:
    """See `FixedCode`."""
    return {"quality": self.codec.quality}


Code = FixedCode | HostCode


@functools.partial(jax.jit, static_argnums=0)
def _encode(code: FixedCode, weights: Params, images: jax.Array) -> jax.Array:
  return code.table.encode(code.codec, weights, scale(images))
