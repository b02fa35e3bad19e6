"""A learned transform codec with a scale-and-mean hyperprior.

Balle et al. 2018 (arXiv 1802.01436), with means as in Minnen et al. 2018 (arXiv 1809.02736). For images of 28 to 64
pixels and trainings of a minute, strides stop at latents of 8 x 8, means and scales have a bias for each position, and
the networks correct a linear transform of blocks that starts as JPEG's.
"""

import dataclasses
import math
from typing import Any

import jax
from flax import nnx

from lwlrd_jax.attacks.dec.codec.parts import HYPER_LATENTS, Analysis, HyperAnalysis, HyperSynthesis, Prior, Synthesis
from lwlrd_jax.models.network import Params

# Latent channels, for blocks of up to 4 x 4 pixels and for larger ones, which have more to tell.
_LATENTS, _MORE_LATENTS = 32, 48
_LARGEST_LATENT_SIDE = 8
_SMALLEST_SIDE = 8
_WIDTHS = (64, 32, 16, 16, 16)  # channels at each resolution, from the one of the latents upwards


@dataclasses.dataclass(frozen=True)
class Codec:
  """The structure of a codec without its weights. Hashable, so it can be a static argument of `jax.jit`."""

  parts: tuple[tuple[str, nnx.GraphDef], ...]  # (name, graphdef) of each top-level key of the parameters
  image_shape: tuple[int, int, int]  # (H, W, C)
  latent_shape: tuple[int, int, int]  # (h, w, M)
  hyper_shape: tuple[int, int, int]  # (h', w', Z), of the side information

  def analysis(self, params: Params, images: jax.Array) -> jax.Array:
    """Images f32[N, H, W, C] in [0, 1] -> latents f32[N, h, w, M], not rounded."""
    return self._call("analysis", params, images)

  def synthesis(self, params: Params, latents: jax.Array) -> jax.Array:
    """Latents f32[N, h, w, M] -> images f32[N, H, W, C], not clipped. Its own weights are enough."""
    return self._call("synthesis", params, latents)

  def hyper_analysis(self, params: Params, latents: jax.Array) -> jax.Array:
    """Latents f32[N, h, w, M] -> side information f32[N, h', w', Z], not rounded."""
    return self._call("hyper_analysis", params, latents)

  def hyper_synthesis(self, params: Params, hyper_latents: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Side information f32[N, h', w', Z] -> mean and standard deviation of each latent, f32[N, h, w, M] each."""
    return self._call("hyper_synthesis", params, hyper_latents)

  def prior(self, params: Params, hyper_latents: jax.Array) -> jax.Array:
    """Side information f32[..., Z], rounded or not -> probability of the unit-wide bin around each value, likewise."""
    return self._call("prior", params, hyper_latents)

  def _call(self, part: str, params: Params, *inputs: jax.Array) -> Any:
    weights = nnx.State(jax.tree.map(nnx.Param, params[part]))
    return nnx.merge(dict(self.parts)[part], weights)(*inputs)


def build_codec(image_shape: tuple[int, int, int], key: jax.Array) -> tuple[Codec, Params]:
  """Structure and first weights, f32 by name of its parts, of a codec for images of one shape (H, W, C).

  Raises ValueError if a side is smaller than 8.
  """
  height, width, channels = image_shape
  if min(height, width) < _SMALLEST_SIDE:
    raise ValueError(f"images must be at least {_SMALLEST_SIDE} pixels high and wide, not {height} x {width}")
  sides = _halvings((height, width))
  widths = tuple(_WIDTHS[min(level, len(_WIDTHS) - 1)] for level in range(len(sides) - 1))
  latents = _LATENTS if len(widths) <= 2 else _MORE_LATENTS
  graphdefs: dict[str, nnx.GraphDef] = {}

  @jax.jit  # One program for all weights: drawn one by one, each shape would be compiled by itself.
  def draw(key: jax.Array) -> Params:
    rngs = nnx.Rngs(params=key)
    parts: dict[str, nnx.Module] = {
      "analysis": Analysis(channels, widths[::-1], latents, rngs=rngs),
      "synthesis": Synthesis(sides[-2::-1], channels, widths, latents, rngs=rngs),
      "hyper_analysis": HyperAnalysis(latents, rngs=rngs),
      "hyper_synthesis": HyperSynthesis(sides[-1], 2 ** len(widths), latents, rngs=rngs),
      "prior": Prior(),
    }
    params = {}
    for name, part in parts.items():
      graphdefs[name], state = nnx.split(part, nnx.Param)
      params[name] = nnx.to_pure_dict(state)
    return params

  params = draw(key)
  hyper_shape = (*_half(sides[-1]), HYPER_LATENTS)
  return Codec(tuple(graphdefs.items()), image_shape, (*sides[-1], latents), hyper_shape), params


def _half(side: tuple[int, int]) -> tuple[int, int]:
  return math.ceil(side[0] / 2), math.ceil(side[1] / 2)


def _halvings(side: tuple[int, int]) -> tuple[tuple[int, int], ...]:
  """(H, W) before and after each halving, down to the latents; at least one."""
  sides = [side]
  while len(sides) == 1 or max(sides[-1]) > _LARGEST_LATENT_SIDE:
    sides.append(_half(sides[-1]))
  return tuple(sides)
