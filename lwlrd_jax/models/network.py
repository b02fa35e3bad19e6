"""A model as pure functions of a plain tree of parameters: what attacks, engine and metrics work on."""

import dataclasses
from typing import Any

import jax
from flax import nnx

# Parameters: nested dicts of f32 arrays, {layer: {"kernel": ..., "bias": ...}}.
Params = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Network:
  """The structure of a model without its weights. Hashable, so it can be a static argument of `jax.jit`.

  Attributes:
    graphdef: Flax's description of the module.
    layers: Names of the layers in depth order, from the input; each is a top-level key of the parameters.
    image_shape: (H, W, C).
    num_outputs: K, classes or findings.
    blocks: The same layers in the same order, those of one kind together; each layer by itself if the model does not
      say.
  """

  graphdef: nnx.GraphDef
  layers: tuple[str, ...]
  image_shape: tuple[int, int, int]
  num_outputs: int
  blocks: tuple[tuple[str, ...], ...] = ()

  def depth_of_layer(self, granularity: str) -> tuple[int, ...]:
    """What a decay counts: of each layer, the number of the unit it belongs to.

    Args:
      granularity: `layer`, where every layer is one, or `block`.
    """
    if granularity == "layer" or not self.blocks:
      return tuple(range(len(self.layers)))
    return tuple(number for number, block in enumerate(self.blocks) for _ in block)

  def declared(self, params: Params) -> Params:
    """What of a tree this structure has: a checkpoint may bring entries along that no layer uses."""
    return {layer: params[layer] for layer in self.layers}

  def bind(self, params: Params) -> nnx.Module:
    """The model with these weights, ready to call; entries that are no layer are left out."""
    return nnx.merge(self.graphdef, nnx.State(jax.tree.map(nnx.Param, self.declared(params))))

  def forward(self, params: Params, images: jax.Array) -> jax.Array:
    """Images f32[N, H, W, C] in [0, 1] -> logits f32[N, K]."""
    return self.bind(params)(images)

  def transpose(self, params: Params, codes: jax.Array) -> jax.Array:
    """Codes f32[N, K] -> images f32[N, H, W, C], not clipped: the network run backwards."""
    return self.bind(params).transpose(codes)  # type: ignore[attr-defined]

  def transpose_stages(self, params: Params, codes: jax.Array) -> tuple[jax.Array, ...]:
    """What each layer of the backward pass makes of codes f32[N, K]: f32[N, ...] each, `transpose`'s images last."""
    return self.bind(params).transpose_stages(codes)  # type: ignore[attr-defined]


def split_model(model: nnx.Module, image_shape: tuple[int, int, int], num_outputs: int) -> tuple[Network, Params]:
  """Parts a model into its structure and its weights."""
  graphdef, state = nnx.split(model, nnx.Param)
  layers, blocks = tuple(model.layers), tuple(getattr(model, "blocks", ()))  # type: ignore[attr-defined]
  if blocks and sum(blocks, ()) != layers:
    raise ValueError(f"blocks {blocks} are not the layers {layers} in their order")
  return Network(graphdef, layers, image_shape, num_outputs, blocks), nnx.to_pure_dict(state)
