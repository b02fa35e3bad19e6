"""A model as pure functions of a plain tree of parameters: what attacks, engine and metrics work on."""

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from flax.traverse_util import flatten_dict, unflatten_dict

from lwlrd_jax.models.depth import BLOCK, LAYER, UNUSED, labels_by

# Parameters: nested dicts of f32 arrays, {layer: {entry: array}}, often {layer: {"kernel": ..., "bias": ...}}. Of a
# network that normalises by batches also {STATISTICS: {layer: {entry: array}}}: running means and variances.
Params = dict[str, Any]
# No layer has this name: it is none that a Python attribute can have.
STATISTICS = "batch-statistics"
# A parameter's place in a Flax module.
Path = tuple[Any, ...]
_KERNEL = "kernel"
# No initial weights of ours are drawn from this.
_OTHER = 2**31 - 1


@dataclasses.dataclass(frozen=True)
class Network:
  """The structure of a model without its weights. Hashable, so it can be a static argument of `jax.jit`."""

  graphdef: nnx.GraphDef  # Flax's description of the module
  # In depth order, from the input; each is a top-level key of the parameters. A layer of a module inside another is
  # named with dots; a parameter of the model itself is a layer with one entry.
  layers: tuple[str, ...]
  image_shape: tuple[int, int, int]  # (H, W, C)
  num_outputs: int  # K, classes or findings
  places: tuple[tuple[str, str, Path], ...]  # layer, entry and place in the module of every parameter
  # The same of every running statistic. They are state: no optimizer moves them, no layer counts them, but a training
  # step's forward pass does.
  statistics: tuple[tuple[str, str, Path], ...]
  reversible: bool  # the module has a method `transpose`
  streams: tuple["Stream", ...]  # random number generators, by their states' places in the module
  # Arrays of the module that are no variables, and their places; they are the same whatever weights it has.
  constants: tuple[tuple[Path, "Constant"], ...]
  # Those of the layers that have an entry `kernel`: whatever its name in the module, the largest of two or more
  # dimensions, the last of which is the layer's outputs. Normalisations have none.
  kernels: tuple[str, ...] = ()
  depths: tuple[int, ...] = ()  # of each layer, see `models.depth`: from 0, none left out; parallel branches share one
  blocks: tuple[int, ...] = ()  # the same counted by block
  # Places in the module of parameters that nothing is computed with: they may hold anything. A layer of nothing else
  # lies as deep as the deepest.
  unused: tuple[str, ...] = ()

  def __hash__(self) -> int:
    # Without the description of the module: Flax lets it hold lists and other things that have no hash.
    return hash((self.layers, self.image_shape, self.num_outputs, self.places, self.statistics, self.constants))

  @property
  def is_random(self) -> bool:
    """Whether it may draw random numbers: training steps need a key."""
    return bool(self.streams)

  def depth_of_layer(self, granularity: str) -> tuple[int, ...]:
    """What a decay counts, `layer` or `block`: of each layer, the number of the unit it belongs to."""
    return {LAYER: self.depths, BLOCK: self.blocks}[granularity]

  def unused_message(self) -> str | None:
    """One line that names the parameters that nothing is computed with; None if there are none."""
    if not self.unused:
      return None
    return (
      f"nothing is computed with these parameters, so they may carry anything: {', '.join(self.unused)}; "
      "scrub re-initialises them"
    )

  def images(self, count: int) -> jax.ShapeDtypeStruct:
    """Shape and dtype of a batch of images."""
    return jax.ShapeDtypeStruct((count, *self.image_shape), jnp.float32)

  def codes(self, count: int) -> jax.ShapeDtypeStruct:
    """Shape and dtype of a batch of logits, or of codes that `transpose` takes."""
    return jax.ShapeDtypeStruct((count, self.num_outputs), jnp.float32)

  def weights(self, params: Params) -> Params:
    """What of a tree is trained: its layers."""
    return {layer: params[layer] for layer in self.layers}

  def declared(self, params: Params) -> Params:
    """What of a tree this structure has: a checkpoint may bring entries along that nothing of it uses."""
    return {**self.weights(params), **({STATISTICS: params[STATISTICS]} if self.statistics else {})}

  def tree_of(self, model: nnx.Module) -> Params:
    """The weights of a model of this structure, and its statistics."""
    weights = _by_layer(self.places, _leaves(nnx.state(model, nnx.Param)))
    return {**weights, **self._statistics_of(model)}

  def bind(self, params: Params) -> nnx.Module:
    """The model with these weights, ready to call; what it does not have is left out.

    It normalises by statistics and drops nothing out. What it draws all the same is drawn from a fixed key.
    """
    model = self._merged(params, jax.random.key(0) if self.is_random else None)
    model.eval()
    return model

  def forward(self, params: Params, images: jax.Array) -> jax.Array:
    """Images f32[N, H, W, C] in [0, 1] -> logits f32[N, K]."""
    return self.bind(params)(images)

  def forward_training(
    self, params: Params, images: jax.Array, key: jax.Array | None = None
  ) -> tuple[jax.Array, Params]:
    """As `forward`, normalised by the batch, if by anything, and with dropout, if any, drawn by the step's random key.

    Logits f32[N, K]; and {STATISTICS: ...} as they are after this batch, or {} of a network without any. Raises
    ValueError for a random network without a key.
    """
    if not self.statistics and not self.is_random:
      return self.forward(params, images), {}
    model = self._merged(params, key)
    model.train()
    logits = model(images)
    return logits, self._statistics_of(model)

  def transpose(self, params: Params, codes: jax.Array) -> jax.Array:
    """Codes f32[N, K] -> images f32[N, H, W, C], not clipped: the network run backwards."""
    return self.bind(params).transpose(codes)  # type: ignore[attr-defined]

  def transpose_stages(self, params: Params, codes: jax.Array) -> tuple[jax.Array, ...]:
    """What each layer of the backward pass makes of codes f32[N, K]: f32[N, ...] each, `transpose`'s images last.

    The images alone, if the module has no method of this name.
    """
    model = self.bind(params)
    if not hasattr(model, "transpose_stages"):
      return (model.transpose(codes),)  # type: ignore[attr-defined]
    return model.transpose_stages(codes)

  def _statistics_of(self, model: nnx.Module) -> Params:
    leaves = _leaves(nnx.state(model, nnx.BatchStat))
    return {STATISTICS: _by_layer(self.statistics, leaves)} if self.statistics else {}

  def _merged(self, params: Params, key: jax.Array | None) -> nnx.Module:
    state: dict[Path, Any] = {path: params[layer][name] for layer, name, path in self.places}
    for layer, name, path in self.statistics:
      state[path] = params[STATISTICS][layer][name]
    for path, constant in self.constants:
      state[path] = constant.array()
    for number, stream in enumerate(self.streams):
      if key is None:
        raise ValueError("this network draws random numbers: a training step needs a key")
      own = jax.random.fold_in(key, number)
      state[stream.key] = jax.random.split(own, stream.shape) if stream.shape else own
      state[stream.counter] = jnp.zeros(stream.shape, jnp.uint32)
    # Arrays become variables of the types that the description has.
    return nnx.merge(self.graphdef, nnx.from_flat_state(state))


class Stream(NamedTuple):
  """A random number generator of a module: the places of its key and its counter, and their shape."""

  key: Path
  counter: Path
  shape: tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Constant:
  """An array that can be part of a static argument."""

  on_host: bool  # a NumPy array to the module, which may read its numbers while it is traced
  shape: tuple[int, ...]
  dtype: str
  data: bytes

  @classmethod
  def of(cls, value: jax.Array | np.ndarray) -> "Constant":
    """An array of a module."""
    return cls(isinstance(value, np.ndarray), value.shape, value.dtype.name, np.asarray(value).tobytes())

  def array(self) -> jax.Array | np.ndarray:
    """As the module had it."""
    value = np.frombuffer(self.data, jnp.dtype(self.dtype)).reshape(self.shape)
    return value if self.on_host else jnp.asarray(value)


def split_model(
  model: nnx.Module,
  image_shape: tuple[int, int, int],
  num_outputs: int,
  check: Callable[[Network, Params], None] = lambda network, params: None,
) -> tuple[Network, Params]:
  """Parts a model of images (H, W, C) and K outputs into its structure and its weights.

  Depths are read from the computation. Blocks are `depth_blocks` of the model, a tuple of tuples of layer names in
  depth order, or else its top-level modules, and of a list of modules each one. Before that, `check` may refuse the
  network.

  Raises:
    ValueError: A parameter without a depth, or blocks that are not of the model's layers.
  """
  parts: Any = nnx.split(model, nnx.Param, nnx.BatchStat, nnx.RngState, ...)
  graphdef, rest = parts[0], parts[-1]
  leaves, running, random = map(_leaves, parts[1:-1])
  places = tuple(_places(leaves))
  statistics = tuple((_layer_name(path[:-1]), str(path[-1]), path) for path in running)
  weights = _by_layer(places, leaves)
  whole = Network(
    graphdef=graphdef,
    layers=tuple(weights),
    image_shape=image_shape,
    num_outputs=num_outputs,
    places=places,
    statistics=statistics,
    reversible=hasattr(model, "transpose"),
    streams=tuple(_streams(random)),
    constants=tuple((path, Constant.of(value)) for path, value in nnx.to_flat_state(rest)),
  )
  params = whole.declared({**weights, STATISTICS: _by_layer(statistics, running)})
  check(whole, params)
  depths, blocks, unused = _depths(whole, params, getattr(model, "depth_blocks", ()))
  layers = sorted(weights, key=lambda layer: (depths[layer], blocks[layer]))
  network = dataclasses.replace(
    whole,
    layers=tuple(layers),
    depths=tuple(depths[layer] for layer in layers),
    blocks=tuple(blocks[layer] for layer in layers),
    kernels=tuple(layer for layer in layers if _KERNEL in weights[layer]),
    unused=unused,
  )
  return network, network.declared(params)


def structure_of(
  build: Callable[..., nnx.Module], image_shape: tuple[int, int, int], num_outputs: int, split: Any = split_model
) -> Network:
  """The structure of what `build(image_shape, num_outputs, rngs=...)` makes, parted by `split`; nothing is computed."""

  def make() -> nnx.Module:
    return build(image_shape, num_outputs, rngs=initial_rngs(jax.random.key(0)))

  def shapes() -> nnx.Module:
    made = make()
    # Arrays that are no variables are part of the structure, which does not have them while they are traced.
    nodes = (node for _, node in nnx.iter_graph(made) if isinstance(node, nnx.Pytree))
    if any(isinstance(value, jax.Array | np.ndarray) for node in nodes for value in vars(node).values()):
      raise _ValuesMatterError
    return made

  try:
    made = nnx.eval_shape(shapes)
  except _ValuesMatterError:
    made = make()
  return split(made, image_shape, num_outputs)[0]


class _ValuesMatterError(Exception):
  """Shapes alone do not tell a module's structure. Traced arrays that are returned in a module would be leaked."""


def initial_rngs(key: jax.Array) -> nnx.Rngs:
  """Of initial weights; and for what else a network of a user's asks for while it is built."""
  return nnx.Rngs(jax.random.fold_in(key, _OTHER), params=key)


def _leaves(state: nnx.State) -> dict[Path, jax.Array]:
  return {path: variable.get_value() for path, variable in nnx.to_flat_state(state)}


def _streams(random: dict[Path, jax.Array]) -> Iterator[Stream]:
  """The generators whose keys and counters these are: `key` and `count` of one object each."""
  for path, value in random.items():
    of_stream = (*path[:-1], "key"), (*path[:-1], "count")
    if path not in of_stream or not random.keys() >= set(of_stream):
      raise ValueError(f"{_layer_name(path)}: a random state of no generator; allowed: nnx.Rngs")
    if path == of_stream[0]:
      yield Stream(*of_stream, value.shape)


def _by_layer(places: Iterable[tuple[str, str, Path]], leaves: dict[Path, jax.Array]) -> Params:
  tree: Params = {}
  for layer, name, path in places:
    tree.setdefault(layer, {})[name] = leaves[path]
  return tree


def _layer_name(path: Path) -> str:
  return ".".join(map(str, path))


def _places(leaves: dict[Path, jax.Array]) -> Iterator[tuple[str, str, Path]]:
  """Layer, entry and place of every parameter."""
  layers: dict[Path, list[Path]] = {}
  for path in leaves:
    layers.setdefault(path[:-1] or path, []).append(path)
  for of_layer, paths in layers.items():
    wide = [path for path in paths if leaves[path].ndim > 1]
    kernel = max(wide, key=lambda path: (str(path[-1]) == _KERNEL, leaves[path].size), default=None)
    for path in paths:
      yield _layer_name(of_layer), _KERNEL if path == kernel else str(path[-1]), path


def _depths(
  network: Network, params: Params, declared: tuple[tuple[str, ...], ...]
) -> tuple[dict[str, int], dict[str, int], tuple[str, ...]]:
  """Depth and block of each layer, unless blocks are declared; and which parameters nothing is computed with."""
  # Constants, which neither mix nor are the input; what they are does not matter to any depth.
  statistics = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), params.get(STATISTICS, {}))
  # As the modules are nested: a block is what is under one of the model's own attributes.
  nested = unflatten_dict({path: params[layer][name] for layer, name, path in network.places})
  nested = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), nested)

  def forward(nested: Params, images: jax.Array) -> jax.Array:
    weights = _by_layer(network.places, flatten_dict(nested))
    return network.forward({**weights, STATISTICS: statistics}, images)

  labels = [flatten_dict(found) for found in labels_by((LAYER, BLOCK), forward, nested, network.images(1))]
  unused = tuple(_layer_name(path) for _, _, path in network.places if labels[0][path] == UNUSED)
  depths, blocks = (_of_layers(network, found) for found in labels)
  if declared:
    blocks = {layer: number for number, block in enumerate(declared) for layer in block}
  if set(blocks) != set(depths):
    raise ValueError(f"blocks {declared} are not of the layers {sorted(depths)}")
  return depths, blocks, unused


def _of_layers(network: Network, labels: dict[Path, int]) -> dict[str, int]:
  """Of each layer what its used parameters have; an unused one is as deep as the deepest, to have a place there."""
  found: dict[str, int] = {}
  for layer, _, path in network.places:
    found[layer] = max(labels[path], found.get(layer, UNUSED))
  return {layer: max(found.values()) if label == UNUSED else label for layer, label in found.items()}
