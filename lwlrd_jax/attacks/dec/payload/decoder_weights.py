"""Weights of an image decoder as bytes: two for each, as float16.

A trained decoder's weights are small: one read as a large number, NaN or infinity has a wrong bit in its exponent, and
0 is the better guess. Otherwise a single wrong bit ruins the decoder.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from lwlrd_jax.attacks.dec.codec.transform import build_codec
from lwlrd_jax.models.network import Params

_LARGEST = 4.0  # trained weights stay below 2


def round_decoder(weights: Params, parts: tuple[str, ...]) -> Params:
  """Rounds some parts of a codec to float16, so that codes are made for what decodes them."""
  rounded = jax.tree.map(lambda w: _to_half(w).astype(jnp.float32), {part: weights[part] for part in parts})
  return {**weights, **rounded}


@functools.cache
def decoder_template(image_shape: tuple[int, int, int], parts: tuple[str, ...]) -> Any:
  """Shapes of some parts of a codec's weights."""
  weights = jax.eval_shape(lambda: build_codec(image_shape, jax.random.key(0))[1])
  return {part: weights[part] for part in parts}


def pack_decoder(decoder: Params) -> bytes:
  """A tree of f32 arrays as bytes, leaf by leaf in the tree's order."""
  return np.asarray(_to_half(ravel_pytree(decoder)[0])).astype("<f2").tobytes()


def unpack_decoder(bits: jax.Array, template: Any) -> Params:
  """The inverse of `pack_decoder`, for `jax.jit`: u8[16 * n] of 0 and 1 -> f32 arrays in [-4, 4] of these shapes."""
  low_high = jnp.packbits(bits).reshape(-1, 2).astype(jnp.uint16)
  half = jax.lax.bitcast_convert_type(low_high[:, 0] | (low_high[:, 1] << np.uint16(8)), jnp.float16)
  full = half.astype(jnp.float32)
  _, unravel = ravel_pytree(jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, jnp.float32), template))
  return unravel(jnp.where(jnp.abs(full) <= _LARGEST, full, 0))  # false for NaN


def _to_half(weights: jax.Array) -> jax.Array:
  return jnp.clip(jnp.asarray(weights), -_LARGEST, _LARGEST).astype(jnp.float16)
