"""Which weights a model uses at all: those that its outputs on given images depend on."""

import collections
import functools
import itertools
import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

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


# Splits, each with positions [batches, images] of what is looked at.
Seen = tuple[tuple[jax.Array | HostImages, np.ndarray | jax.Array], ...]


class Liveness(NamedTuple):
  """What the outputs depend on: bool arrays, in trees like `network.weights(params)`."""

  live: Params  # see `live_weights`
  # The live ones that no gradient shows: behind `stop_gradient`, sign or step units, or a choice between paths.
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
  few, many = (tuple((split, _spread(len(split), most)) for split in splits) for most in (_SCREENED, _MOST))
  candidates, sizes = _without_gradient(network, params, many)

  def changes(units: np.ndarray, seen: Seen) -> bool:
    changed, spread = _outputs_change(network, params, sizes, jnp.asarray(units), seen)
    return not float(changed) <= SAME_OUTPUTS**2 * float(spread)  # NaN counts as a change

  dead = np.asarray(candidates)
  if dead.any() and changes(dead, many):
    counts = [math.prod(segment.shape) for segment in _segments(network, params)]
    dead = _dead_among(dead, counts, lambda tried: changes(tried, few) or changes(tried, many))
  return _liveness(network, network.weights(params), candidates, jnp.asarray(dead))


def small_draw(weights: jax.Array, key: jax.Array) -> jax.Array:
  """Weights that are re-initialised: normal, 2^-20 of their array's usual size (`robust_std`), at most of 1.

  An array whose weights are all 0 has no size, and biases that switch units off may be nearly all that an array holds:
  then it is 1.
  """
  return jax.random.normal(key, weights.shape, weights.dtype) * _small_size(robust_std(weights))


def _small_size(spread: jax.Array) -> jax.Array:
  return jnp.where((spread > 0) & (spread < 1), spread, 1) * _SMALL


def _dead_among(candidates: np.ndarray, counts: list[int], changes: Callable[[np.ndarray], bool]) -> np.ndarray:
  """Units, of candidates bool[units], that may be re-initialised together; tried by segments, of so many units each."""
  dead = np.zeros_like(candidates)
  # Breadth first: large groups are decided before small ones.
  waiting = collections.deque(
    first + np.flatnonzero(candidates[first:last]) for first, last in itertools.pairwise(np.cumsum([0, *counts]))
  )
  for _ in range(_MOST_TRIALS):
    if not waiting:
      break
    group = waiting.popleft()
    if not len(group):
      continue
    tried = dead.copy()
    tried[group] = True
    if not changes(tried):
      dead = tried
    elif len(group) > 1:
      waiting.extend(np.array_split(group, 2))
  return dead


def _spread(size: int, most: int) -> np.ndarray:
  """Positions, evenly spread, in full batches. What fills the last one up is seen twice, and still counts."""
  seen = np.linspace(0, size - 1, min(size, most)).round().astype(np.int32)
  batch = min(_BATCH, len(seen))
  return np.resize(seen, (-(-len(seen) // batch), batch))


@functools.partial(jax.jit, static_argnums=0)
def _outputs_change(
  network: Network, params: Params, sizes: Params, units: jax.Array, seen: Seen
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

  def add(totals: Any, images: jax.Array, _: jax.Array) -> Any:
    logits = network.forward(params, images)
    moved = sum(jnp.square(network.forward({**params, **of_sign}, images) - logits).sum() for of_sign in changed)
    return totals[0] + moved, totals[1] + jnp.square(logits - logits.mean(axis=0)).sum()

  return _summed(add, (jnp.float32(0), jnp.float32(0)), seen)


def _summed(add: Callable[[Any, jax.Array, jax.Array], Any], totals: Any, seen: Seen) -> Any:
  """What `add(totals, images, key)` makes of totals, batch by batch."""
  for split, positions in seen:

    def next_batch(totals: Any, now: Any, split: jax.Array | HostImages = split) -> tuple[Any, None]:
      return add(totals, scale(split[now[0]]), now[1]), None

    keys = jax.random.split(jax.random.key(0), len(positions))
    totals = jax.lax.scan(next_batch, totals, (jnp.asarray(positions), keys))[0]
  return totals


def _signs(shape: tuple[int, ...]) -> jax.Array:
  """Signs without a pattern, f32 of a shape. Random numbers would take several times as long to compile."""
  number = jax.lax.iota(jnp.uint32, math.prod(shape)) * np.uint32(2654435769)  # Knuth's multiplicative hash
  number = (number ^ (number >> np.uint32(15))) * np.uint32(2246822519)
  return jnp.where(number >> np.uint32(31) == 0, jnp.float32(1), jnp.float32(-1)).reshape(shape)


@functools.partial(jax.jit, static_argnums=0)
def _without_gradient(network: Network, params: Params, seen: Seen) -> tuple[jax.Array, Params]:
  """Units that no gradient shows, bool[units]; and how large re-initialised weights of each array are, f32[] each."""
  weights = network.weights(params)

  def add(totals: tuple[Params, jax.Array], images: jax.Array, key: jax.Array) -> tuple[Params, jax.Array]:
    def outputs_with_signs(weights: Params) -> tuple[jax.Array, jax.Array]:
      logits = network.forward({**params, **weights}, images)
      return (jax.random.rademacher(key, logits.shape, logits.dtype) * logits).sum(), logits

    grads, logits = jax.grad(outputs_with_signs, has_aux=True)(weights)
    squares = jax.tree.map(lambda total, g: total + jnp.square(g), totals[0], grads)
    return squares, totals[1] + jnp.square(logits - logits.mean(axis=0)).sum()

  count = sum(positions.size for _, positions in seen)
  squares, spread = _summed(add, (jax.tree.map(jnp.zeros_like, weights), jnp.float32(0)), seen)
  limit = TOLERANCE * jnp.sqrt(spread / count)

  def matter(square: jax.Array, width: jax.Array) -> jax.Array:
    # Zero biases have no size; any gradient counts.
    sensitivity = jnp.sqrt(square / count) * jnp.where(width > 0, width, 1)
    return ~(sensitivity <= limit)

  widths = jax.tree.map(robust_std, weights)
  matters = jax.tree.map(matter, squares, widths)
  units = [~_any_matters(matters[segment.layer], segment) for segment in _segments(network, weights)]
  return jnp.concatenate(units), jax.tree.map(_small_size, widths)


class _Segment(NamedTuple):
  """Units of a layer: the inputs of its kernel, the outputs, or each number of another entry."""

  layer: str
  entries: tuple[str, ...]  # that their weights are in
  shape: tuple[int, ...]  # of the units; it broadcasts to that of each entry, which gives each weight its unit


def _segments(network: Network, params: Params) -> Iterator[_Segment]:
  """All units, in order. A weight of a kernel is of two."""
  for layer in network.layers:
    shapes = {name: leaf.shape for name, leaf in sorted(params[layer].items())}
    kernel = shapes.get("kernel")
    if kernel:
      outputs = kernel[-1:]
      biases = [name for name, shape in shapes.items() if shape == outputs]
      yield _Segment(layer, ("kernel", *biases), outputs)
      yield _Segment(layer, ("kernel",), (*kernel[:-1], 1))
      shapes = {name: shape for name, shape in shapes.items() if name not in ("kernel", *biases)}
    yield from (_Segment(layer, (name,), shape) for name, shape in shapes.items())


def _any_matters(matters: Params, segment: _Segment) -> jax.Array:
  """Of each unit whether any of its weights matters: bool[units]."""

  def of_entry(matter: jax.Array) -> jax.Array:
    unit = (1,) * (matter.ndim - len(segment.shape)) + segment.shape
    return matter.any(axis=tuple(axis for axis, size in enumerate(unit) if size < matter.shape[axis])).reshape(-1)

  return functools.reduce(jnp.logical_or, (of_entry(matters[name]) for name in segment.entries))


def _weights_of(network: Network, weights: Params, units: jax.Array) -> Params:
  """Which weights belong to some of these units, bool[units]: bool arrays in a tree like `weights`."""
  chosen = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, bool), weights)
  first = 0
  for layer, entries, shape in _segments(network, weights):
    size = math.prod(shape)
    of_segment = units[first : first + size].reshape(shape)
    first += size
    chosen[layer] |= {name: chosen[layer][name] | of_segment for name in entries}
  return chosen


@functools.partial(jax.jit, static_argnums=0)
def _liveness(network: Network, weights: Params, candidates: jax.Array, dead: jax.Array) -> Liveness:
  live = jax.tree.map(jnp.logical_not, _weights_of(network, weights, dead))
  return Liveness(live, jax.tree.map(jnp.logical_and, live, _weights_of(network, weights, candidates)))
