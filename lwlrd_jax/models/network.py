"""A model as pure functions of a plain tree of parameters: what attacks, engine and metrics work on."""

import dataclasses
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from flax.traverse_util import flatten_dict, unflatten_dict

from lwlrd_jax.models.depth import BLOCK, LAYER, depth_labels

# Parameters: nested dicts of f32 arrays, {layer: {entry: array}}, often {layer: {"kernel": ..., "bias": ...}}.
Params = dict[str, Any]
# A parameter's place in a Flax module.
Path = tuple[Any, ...]
_KERNEL = "kernel"


@dataclasses.dataclass(frozen=True)
class Network:
  """The structure of a model without its weights. Hashable, so it can be a static argument of `jax.jit`.

  Attributes:
    graphdef: Flax's description of the module.
    layers: Names of the layers in depth order, from the input; each is a top-level key of the parameters. A layer of a
      module inside another is named with dots; a parameter of the model itself is a layer with one entry.
    image_shape: (H, W, C).
    num_outputs: K, classes or findings.
    depths: How deep each layer lies, see `models.depth`: from 0, none left out; layers of parallel branches share one.
    blocks: The same counted by block.
    kernels: Those of the layers that have an entry `kernel`: whatever its name in the module, the largest of two or
      more dimensions, the last of which is the layer's outputs. Normalisations have none.
    places: Layer, entry and place in the module of every parameter.
    reversible: Whether the module has a method `transpose`.
  """

  graphdef: nnx.GraphDef
  layers: tuple[str, ...]
  image_shape: tuple[int, int, int]
  num_outputs: int
  depths: tuple[int, ...]
  blocks: tuple[int, ...]
  kernels: tuple[str, ...]
  places: tuple[tuple[str, str, Path], ...]
  reversible: bool

  def depth_of_layer(self, granularity: str) -> tuple[int, ...]:
    """What a decay counts: of each layer, the number of the unit it belongs to.

    Args:
      granularity: `layer` or `block`.
    """
    return {LAYER: self.depths, BLOCK: self.blocks}[granularity]

  def one_image(self) -> jax.ShapeDtypeStruct:
    """Shape and dtype of a batch of one image."""
    return jax.ShapeDtypeStruct((1, *self.image_shape), jnp.float32)

  def declared(self, params: Params) -> Params:
    """What of a tree this structure has: a checkpoint may bring entries along that no layer uses."""
    return {layer: params[layer] for layer in self.layers}

  def bind(self, params: Params) -> nnx.Module:
    """The model with these weights, ready to call; entries that are no layer are left out."""
    state = {path: nnx.Param(params[layer][name]) for layer, name, path in self.places}
    return nnx.merge(self.graphdef, nnx.from_flat_state(state))

  def forward(self, params: Params, images: jax.Array) -> jax.Array:
    """Images f32[N, H, W, C] in [0, 1] -> logits f32[N, K]."""
    return self.bind(params)(images)

  def transpose(self, params: Params, codes: jax.Array) -> jax.Array:
    """Codes f32[N, K] -> images f32[N, H, W, C], not clipped: the network run backwards."""
    return self.bind(params).transpose(codes)  # type: ignore[attr-defined]

  def transpose_stages(self, params: Params, codes: jax.Array) -> tuple[jax.Array, ...]:
    """What each layer of the backward pass makes of codes f32[N, K]: f32[N, ...] each, `transpose`'s images last.

    Of a module that does not say, the images alone.
    """
    model = self.bind(params)
    if not hasattr(model, "transpose_stages"):
      return (model.transpose(codes),)  # type: ignore[attr-defined]
    return model.transpose_stages(codes)


def split_model(model: nnx.Module, image_shape: tuple[int, int, int], num_outputs: int) -> tuple[Network, Params]:
  """Parts a model into its structure and its weights.

  Depths are read from the computation. Blocks are what `depth_blocks` of the model says, a tuple of tuples of layer
  names in depth order, or else its top-level modules, and of a list of modules each one.

  Raises:
    ValueError: A parameter without a depth, or blocks that are not of the model's layers.
  """
  graphdef, state = nnx.split(model, nnx.Param)
  leaves = {path: variable.get_value() for path, variable in nnx.to_flat_state(state)}
  places = tuple(_places(leaves))
  params: Params = {}
  for layer, name, path in places:
    params.setdefault(layer, {})[name] = leaves[path]
  whole = Network(graphdef, tuple(params), image_shape, num_outputs, (), (), (), places, hasattr(model, "transpose"))
  depths, blocks = _depths(whole, params), _blocks(whole, params, getattr(model, "depth_blocks", ()))
  layers = sorted(params, key=lambda layer: (depths[layer], blocks[layer]))
  network = dataclasses.replace(
    whole,
    layers=tuple(layers),
    depths=tuple(depths[layer] for layer in layers),
    blocks=tuple(blocks[layer] for layer in layers),
    kernels=tuple(layer for layer in layers if _KERNEL in params[layer]),
  )
  return network, {layer: params[layer] for layer in layers}


def _places(leaves: dict[Path, jax.Array]) -> Iterator[tuple[str, str, Path]]:
  """Layer, entry and place of every parameter."""
  layers: dict[Path, list[Path]] = {}
  for path in leaves:
    layers.setdefault(path[:-1] or path, []).append(path)
  for of_layer, paths in layers.items():
    wide = [path for path in paths if leaves[path].ndim > 1]
    kernel = max(wide, key=lambda path: (str(path[-1]) == _KERNEL, leaves[path].size), default=None)
    for path in paths:
      yield ".".join(map(str, of_layer)), _KERNEL if path == kernel else str(path[-1]), path


def _abstract(leaf: jax.Array) -> jax.ShapeDtypeStruct:
  return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype)


def _depths(network: Network, params: Params) -> dict[str, int]:
  """Depth of each layer."""
  labels = depth_labels(network.forward, jax.tree.map(_abstract, params), network.one_image())
  return {layer: min(labels[layer].values()) for layer in params}


def _blocks(network: Network, params: Params, declared: tuple[tuple[str, ...], ...]) -> dict[str, int]:
  """Number of each layer's block."""
  if declared:
    blocks = {layer: number for number, block in enumerate(declared) for layer in block}
    if set(blocks) != set(params):
      raise ValueError(f"blocks {declared} are not of the layers {sorted(params)}")
    return blocks
  nested = unflatten_dict({path: _abstract(params[layer][name]) for layer, name, path in network.places})

  def forward(nested: Params, images: jax.Array) -> jax.Array:
    leaves = flatten_dict(nested)
    flat: Params = {layer: {} for layer in params}
    for layer, name, path in network.places:
      flat[layer][name] = leaves[path]
    return network.forward(flat, images)

  labels = flatten_dict(depth_labels(forward, nested, network.one_image(), by=BLOCK))
  return {layer: labels[path] for layer, _, path in network.places}
