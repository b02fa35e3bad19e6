"""A learned transform codec with a scale-and-mean hyperprior.

Balle et al. 2018 (arXiv 1802.01436), with means as in Minnen et al. 2018 (arXiv 1809.02736), and departures that
suit images of 28 to 64 pixels and trainings of a minute: strides stop at latents of 8 x 8, means and scales have a bias
for each position, and the networks correct a linear transform of blocks that starts as JPEG's.
"""

import dataclasses
import math
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from lwlrd_jax.attacks.dec.codec.likelihood import LogisticMixture
from lwlrd_jax.attacks.dec.codec.parts import LATENT_GAIN, Analysis, HyperAnalysis, HyperSynthesis, Synthesis
from lwlrd_jax.models.network import Params

# Latent channels, for blocks of up to 4 x 4 pixels and for larger ones, which have more to tell.
_LATENTS, _MORE_LATENTS = 32, 48
_HYPER_LATENTS = 8
_HYPER_WIDTH = 32
_LARGEST_LATENT_SIDE = 8
_SMALLEST_SIDE = 8
# Channels at each resolution, from the one of the latents upwards.
_WIDTHS = (64, 32, 16, 16, 16)
_MIXTURE = 3


@dataclasses.dataclass(frozen=True)
class Codec:
  """The structure of a codec without its weights. Hashable, so it can be a static argument of `jax.jit`.

  Attributes:
    parts: (name, graphdef) of each top-level key of the parameters but `prior`.
    image_shape: (H, W, C).
    latent_shape: (h, w, M).
    hyper_shape: (h', w', Z), of the side information.
  """

  parts: tuple[tuple[str, nnx.GraphDef], ...]
  image_shape: tuple[int, int, int]
  latent_shape: tuple[int, int, int]
  hyper_shape: tuple[int, int, int]

  def analysis(self, params: Params, images: jax.Array) -> jax.Array:
    """Images f32[N, H, W, C] in [0, 1] -> latents f32[N, h, w, M], not rounded."""
    return self._call("analysis", params, images)

  def synthesis(self, params: Params, latents: jax.Array) -> jax.Array:
    """Latents f32[N, h, w, M] -> images f32[N, H, W, C], not clipped. `decoder_params` are enough."""
    return self._call("synthesis", params, latents)

  def hyper_analysis(self, params: Params, latents: jax.Array) -> jax.Array:
    """Latents f32[N, h, w, M] -> side information f32[N, h', w', Z], not rounded."""
    return self._call("hyper_analysis", params, latents)

  def hyper_synthesis(self, params: Params, hyper_latents: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Side information f32[N, h', w', Z] -> mean and standard deviation of each latent, f32[N, h, w, M] each."""
    return self._call("hyper_synthesis", params, hyper_latents)

  def prior(self, params: Params) -> LogisticMixture:
    """Distribution of the side information: a mixture of three logistics for each channel, alike at all positions."""
    raw = params["prior"]
    return LogisticMixture(
      jax.nn.softmax(raw["weights"], axis=0),
      LATENT_GAIN * raw["means"],
      0.05 + LATENT_GAIN * nnx.softplus(raw["scales"]),
    )

  def _call(self, part: str, params: Params, *inputs: jax.Array) -> Any:
    weights = nnx.State(jax.tree.map(nnx.Param, params[part]))
    return nnx.merge(dict(self.parts)[part], weights)(*inputs)


def decoder_params(params: Params) -> Params:
  """The part of the parameters that `Codec.synthesis` needs."""
  return {"synthesis": params["synthesis"]}


def build_codec(image_shape: tuple[int, int, int], key: jax.Array) -> tuple[Codec, Params]:
  """Structure and first weights of a codec for images of one shape (H, W, C).

  Returns:
    The codec, and its parameters f32: {"analysis", "synthesis", "hyper_analysis", "hyper_synthesis", "prior"}.

  Raises:
    ValueError: A side is smaller than 8.
  """
  height, width, channels = image_shape
  if min(height, width) < _SMALLEST_SIDE:
    raise ValueError(f"images must be at least {_SMALLEST_SIDE} pixels high and wide, not {height} x {width}")
  sides = _halvings((height, width))
  widths = tuple(_WIDTHS[min(level, len(_WIDTHS) - 1)] for level in range(len(sides) - 1))
  latent_side = sides[-1]
  latents = _LATENTS if len(widths) <= 2 else _MORE_LATENTS
  graphdefs: dict[str, nnx.GraphDef] = {}

  @jax.jit  # One program for all weights: drawn one by one, each shape would be compiled by itself.
  def draw(key: jax.Array) -> Params:
    rngs = nnx.Rngs(params=key)
    parts: dict[str, nnx.Module] = {
      "analysis": Analysis(channels, widths[::-1], latents, rngs=rngs),
      "synthesis": Synthesis(sides[-2::-1], channels, widths, latents, rngs=rngs),
      "hyper_analysis": HyperAnalysis(latents, _HYPER_WIDTH, _HYPER_LATENTS, rngs=rngs),
      "hyper_synthesis": HyperSynthesis(
        latent_side, 2 ** len(widths), latents, _HYPER_WIDTH, _HYPER_LATENTS, rngs=rngs
      ),
    }
    params = {"prior": _first_prior()}
    for name, part in parts.items():
      graphdefs[name], state = nnx.split(part, nnx.Param)
      params[name] = nnx.to_pure_dict(state)
    return params

  params = draw(key)
  hyper_shape = (math.ceil(latent_side[0] / 2), math.ceil(latent_side[1] / 2), _HYPER_LATENTS)
  return Codec(tuple(graphdefs.items()), image_shape, (*latent_side, latents), hyper_shape), params


def _halvings(side: tuple[int, int]) -> tuple[tuple[int, int], ...]:
  """(H, W) before and after each halving, down to the latents; at least one."""
  sides = [side]
  while len(sides) == 1 or max(sides[-1]) > _LARGEST_LATENT_SIDE:
    sides.append((math.ceil(sides[-1][0] / 2), math.ceil(sides[-1][1] / 2)))
  return tuple(sides)


def _first_prior() -> Params:
  """Raw parameters of the mixtures, {weights, means, scales} f32[K, Z]: logistics of different widths around 0."""
  shape = (_MIXTURE, _HYPER_LATENTS)
  spread = jnp.linspace(-2, 1, _MIXTURE, dtype=jnp.float32)[:, None]
  return {
    "weights": jnp.zeros(shape, jnp.float32),
    "means": jnp.zeros(shape, jnp.float32),
    "scales": jnp.broadcast_to(spread, shape),
  }
