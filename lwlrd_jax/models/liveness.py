"""Which weights a model uses at all: those that its outputs on given images depend on."""

import collections
import functools
import itertools
import math
from collections.abc import Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lwlrd_jax.data.device import scale
from lwlrd_jax.data.host_images import HostImages
from lwlrd_jax.models.network import Network, Params
from lwlrd_jax.models.spread import robust_std

_BATCH = 128
# Images that are looked at, at most: a unit that fires on none of so many hardly takes part in what the model does.
_MOST = 2048
# All weights of a model of ten million that are just below it, re-initialised together, move the outputs by 0.3 % of
# their spread (errors of independent draws add in squares).
TOLERANCE = 1e-6
# Of the outputs' spread: the root mean square change up to which outputs are the same.
SAME_OUTPUTS = 1e-3
# Re-initialised weights are so small, relative to their array's usual size, that a unit they switch on has no effect.
_SMALL = 2.0**-20
# A group of units that matters mostly shows on few images.
_SCREENED = 32
# Groups of units that are tried, at most, where gradients do not show what is used. With so many images each, that
# costs a few times what the gradients do.
_MOST_TRIALS = 1024


class Liveness(NamedTuple):
  """What the outputs depend on.

  Attributes:
    live: bool arrays, in a tree like `network.weights(params)`: see `live_weights`.
    hidden_from_gradients: The live ones that no gradient shows, in a like tree: behind `stop_gradient`, sign or step
      units, or a choice between paths.
  """

  live: Params
  hidden_from_gradients: Params


def live_weights(
  network: Network, params: Params, images: jax.Array | HostImages, held_out: jax.Array | HostImages | None = None
) -> Params:
  """Which weights the outputs on some images depend on.

  A weight is dead if it leads into a unit that has no effect, or out of one, and if the outputs stay the same when all
  dead weights are re-initialised together. Candidates are units all of whose weights on one side have a root mean
  square gradient over images that, times the usual size of their array's weights (`robust_std`), is at most `TOLERANCE`
  of the outputs' spread. A ReLU unit that never fires is such a unit. A single weight without a gradient is not dead:
  between two units that fire on different images it may be what keeps one of them silent.

  A missing gradient does not show that a unit has no effect: it may stand behind `stop_gradient`, or be a sign or a
  step. So candidates are re-initialised, and the outputs compared (`SAME_OUTPUTS`). Where they change, groups of
  candidates are tried, from whole layers by halving to single units; what could not be tried within `_MOST_TRIALS` is
  live.

  The mean square of gradients is taken without a gradient for every image: with r_i independent signs, the gradient of
  sum_i r_i f(x_i) has the expected square sum_i |df(x_i)/dw|^2 (Hutchinson 1989), and is exactly 0 where every term is.

  Args:
    network: The model's structure.
    params: Its weights, and statistics if it has any; other entries are left out.
    images: u8[N, H, W, C]; of more than 2048 as many, evenly spread, are looked at.
    held_out: u8[M, H, W, C], more images, such as the validation split; likewise.

  Returns:
    bool arrays, in a tree like `network.weights(params)`. An array that is not finite anywhere counts as live.
  """
  return liveness(network, params, images, held_out).live


def liveness(
  network: Network, params: Params, images: jax.Array | HostImages, held_out: jax.Array | HostImages | None = None
) -> Liveness:
  """As `live_weights`; also which of the live weights no gradient shows."""
  params = network.declared(params)
  splits = (images,) if held_out is None else (images, held_out)
  candidates, sizes = _without_gradient(network, params, splits)
  trials = _Trials(network, params, sizes, splits)
  dead = trials.dead_among(np.asarray(candidates))
  return _liveness(network, network.weights(params), candidates, jnp.asarray(dead))


def small_draw(weights: jax.Array, key: jax.Array) -> jax.Array:
  """Weights that are re-initialised: normal, 2^-20 of their array's usual size (`robust_std`), at most of 1.

  An array whose weights are all 0 has no size, and biases that switch units off may be nearly all that an array holds:
  then it is 1.
  """
  return jax.random.normal(key, weights.shape, weights.dtype) * _small_size(robust_std(weights))


def _small_size(spread: jax.Array) -> jax.Array:
  return jnp.where((spread > 0) & (spread < 1), spread, 1) * _SMALL


class _Trials:
  """Re-initialises groups of units and compares outputs."""

  def __init__(self, network: Network, params: Params, sizes: Params, splits: tuple[jax.Array | HostImages, ...]):
    self._network = network
    self._params = params
    self._sizes = sizes
    self._splits = splits
    self._positions = [_spread(len(split), _MOST) for split in splits]
    self._segments = list(_segments(network, params))

  def dead_among(self, candidates: np.ndarray) -> np.ndarray:
    """The units, of candidates bool[units], without which the outputs stay the same; bool[units]."""
    if not candidates.any() or not self._changes(candidates, self._positions):
      return candidates
    few = [_spread(len(split), _SCREENED) for split in self._splits]
    dead = np.zeros_like(candidates)
    ends = np.cumsum([0, *(size for _, _, size in self._segments)])
    # Breadth first: large groups are decided before small ones.
    waiting = collections.deque(
      first + np.flatnonzero(candidates[first:last]) for first, last in itertools.pairwise(ends)
    )
    for _ in range(_MOST_TRIALS):
      if not waiting:
        break
      group = waiting.popleft()
      if not len(group):
        continue
      tried = dead.copy()
      tried[group] = True
      if not self._changes(tried, few) and not self._changes(tried, self._positions):
        dead = tried
      elif len(group) > 1:
        waiting.extend(np.array_split(group, 2))
    return dead

  def _changes(self, units: np.ndarray, positions: list[np.ndarray]) -> bool:
    """Whether outputs change if these units are re-initialised."""
    seen = tuple(zip(self._splits, positions, strict=True))
    changed, spread = _outputs_change(self._network, self._params, self._sizes, jnp.asarray(units), seen)
    return not float(changed) <= SAME_OUTPUTS**2 * float(spread)  # what is not a number counts as a change


def _spread(size: int, most: int) -> np.ndarray:
  """Positions, evenly spread, in full batches. What fills the last one up is seen twice, and still counts."""
  seen = np.linspace(0, size - 1, min(size, most)).round().astype(np.int32)
  batch = min(_BATCH, len(seen))
  return np.resize(seen, (-(-len(seen) // batch), batch))


@functools.partial(jax.jit, static_argnums=0)
def _outputs_change(
  network: Network,
  params: Params,
  sizes: Params,
  units: jax.Array,
  seen: tuple[tuple[jax.Array | HostImages, jax.Array], ...],
) -> tuple[jax.Array, jax.Array]:
  """Squared change of the outputs when units are re-initialised, and squared spread of the outputs: sums, f32[].

  By small numbers of either sign and by their opposites: a sign unit that never changes its sign has the same one by
  half of all draws.
  """
  weights = network.weights(params)
  dead = _weights_of(network, weights, units)

  def replaced(sign: float) -> Params:
    return jax.tree.map(lambda w, size, gone: jnp.where(gone, sign * size * _signs(w.shape), w), weights, sizes, dead)

  changed = [replaced(1.0), replaced(-1.0)]
  totals = jnp.float32(0), jnp.float32(0)
  for images, positions in seen:

    def add(
      totals: tuple[jax.Array, jax.Array], batch: jax.Array, images: jax.Array | HostImages = images
    ) -> tuple[tuple[jax.Array, jax.Array], None]:
      scaled = scale(images[batch])
      logits = network.forward(params, scaled)
      moved = sum(jnp.square(network.forward({**params, **of_sign}, scaled) - logits).sum() for of_sign in changed)
      return (totals[0] + moved, totals[1] + jnp.square(logits - logits.mean(axis=0)).sum()), None

    totals = jax.lax.scan(add, totals, positions)[0]
  return totals


def _signs(shape: tuple[int, ...]) -> jax.Array:
  """Signs without a pattern, f32 of a shape. Random numbers would take several times as long to compile."""
  number = jax.lax.iota(jnp.uint32, math.prod(shape)) * np.uint32(2654435769)  # Knuth's multiplicative hash
  number = (number ^ (number >> np.uint32(15))) * np.uint32(2246822519)
  return jnp.where(number >> np.uint32(31) == 0, jnp.float32(1), jnp.float32(-1)).reshape(shape)


@functools.partial(jax.jit, static_argnums=0)
def _without_gradient(
  network: Network, params: Params, splits: tuple[jax.Array | HostImages, ...]
) -> tuple[jax.Array, Params]:
  """Units that no gradient over images shows, and how large re-initialised weights of each array are.

  Returns:
    bool[units], in the order of `_segments`; f32[] in a tree like the weights.
  """
  weights = network.weights(params)
  totals: tuple[Params, jax.Array] = (jax.tree.map(jnp.zeros_like, weights), jnp.float32(0))
  count = 0
  for images in splits:
    positions = _spread(len(images), _MOST)
    count += positions.size
    totals = _add_squares(network, params, images, positions, totals)
  squares, spread = totals
  limit = TOLERANCE * jnp.sqrt(spread / count)

  def matter(square: jax.Array, width: jax.Array) -> jax.Array:
    # Zero biases have no size; any gradient counts.
    sensitivity = jnp.sqrt(square / count) * jnp.where(width > 0, width, 1)
    return ~(sensitivity <= limit)

  widths = jax.tree.map(robust_std, weights)
  matters = jax.tree.map(matter, squares, widths)
  units = [~_unit_matters(matters[layer], kind) for layer, kind, _ in _segments(network, weights)]
  return jnp.concatenate(units), jax.tree.map(_small_size, widths)


def _add_squares(
  network: Network,
  params: Params,
  images: jax.Array | HostImages,
  positions: np.ndarray,
  totals: tuple[Params, jax.Array],
) -> tuple[Params, jax.Array]:
  """Adds squares of gradients and the outputs' squared spread, over images of a split."""

  def add(totals: tuple[Params, jax.Array], now: tuple[jax.Array, jax.Array]) -> tuple[tuple[Params, jax.Array], None]:
    squares, outputs = totals
    part, key = images[now[0]], now[1]

    def outputs_with_signs(weights: Params) -> tuple[jax.Array, jax.Array]:
      logits = network.forward({**params, **weights}, scale(part))
      return (jax.random.rademacher(key, logits.shape, logits.dtype) * logits).sum(), logits

    grads, logits = jax.grad(outputs_with_signs, has_aux=True)(network.weights(params))
    spread = jnp.square(logits - logits.mean(axis=0)).sum()
    return (jax.tree.map(lambda total, g: total + jnp.square(g), squares, grads), outputs + spread), None

  keys = jax.random.split(jax.random.key(0), len(positions))
  return jax.lax.scan(add, totals, (jnp.asarray(positions), keys))[0]


# Kinds of units: inputs and outputs of a kernel. Any other entry of a layer is a kind of its own: each number a unit.
_ROWS, _COLUMNS = "rows of kernel", "columns of kernel"


def _beside(of_layer: Params) -> list[str]:
  """Entries that have a number for each output of the layer's kernel: a bias."""
  kernel = of_layer["kernel"]
  return [name for name, leaf in of_layer.items() if name != "kernel" and leaf.shape == kernel.shape[-1:]]


def _segments(network: Network, params: Params) -> Iterator[tuple[str, str, int]]:
  """Layer, kind and number of the units that there are."""
  for layer in network.layers:
    of_layer = params[layer]
    if "kernel" not in of_layer:
      yield from ((layer, name, leaf.size) for name, leaf in sorted(of_layer.items()))
      continue
    outputs = of_layer["kernel"].shape[-1]
    yield layer, _COLUMNS, outputs
    yield layer, _ROWS, of_layer["kernel"].size // outputs
    with_columns = {"kernel", *_beside(of_layer)}
    yield from ((layer, name, leaf.size) for name, leaf in sorted(of_layer.items()) if name not in with_columns)


def _unit_matters(matters: Params, kind: str) -> jax.Array:
  """Of each unit of a kind whether any of its weights matters: bool[units]."""
  if kind not in {_ROWS, _COLUMNS}:
    return matters[kind].reshape(-1)
  rows = matters["kernel"].reshape(-1, matters["kernel"].shape[-1])
  if kind == _ROWS:
    return rows.any(axis=1)
  return functools.reduce(jnp.logical_or, (matters[name] for name in _beside(matters)), rows.any(axis=0))


def _weights_of(network: Network, weights: Params, units: jax.Array) -> Params:
  """Which weights belong to some of these units, bool[units]: bool arrays in a tree like `weights`."""
  chosen: dict[str, Params] = {layer: {} for layer in network.layers}
  first = 0
  for layer, kind, size in _segments(network, weights):
    chosen[layer][kind] = units[first : first + size]
    first += size
  trees: Params = {}
  for layer, kinds in chosen.items():
    of_layer = weights[layer]
    trees[layer] = {name: kinds[name].reshape(leaf.shape) for name, leaf in of_layer.items() if name in kinds}
    if _ROWS in kinds:
      both = kinds[_ROWS][:, None] | kinds[_COLUMNS]
      trees[layer] |= dict.fromkeys(_beside(of_layer), kinds[_COLUMNS])
      trees[layer]["kernel"] = both.reshape(of_layer["kernel"].shape)
  return trees


@functools.partial(jax.jit, static_argnums=0)
def _liveness(network: Network, weights: Params, candidates: jax.Array, dead: jax.Array) -> Liveness:
  live = jax.tree.map(jnp.logical_not, _weights_of(network, weights, dead))
  return Liveness(live, jax.tree.map(jnp.logical_and, live, _weights_of(network, weights, candidates)))
