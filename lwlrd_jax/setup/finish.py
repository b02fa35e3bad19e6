"""Steps on the weights alone, as a sweep applies them: by name, one checkpoint at a time.

What a step costs of utility is the AUC lost on the validation split, or a quarter of the balanced accuracy lost if that
is more. A single image of a rare class moves the latter: one may be lost in any case.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lwlrd_jax.config import Finishing
from lwlrd_jax.data.device import DeviceSplit
from lwlrd_jax.defenses.finishing import noise, prune, quantize, strip
from lwlrd_jax.defenses.scrub import choose_planes, randomise, take_planes
from lwlrd_jax.defenses.start import checkpoint_bytes
from lwlrd_jax.defenses.statistics import recompute
from lwlrd_jax.metrics.measure import utility_of
from lwlrd_jax.metrics.utility import step_of_balanced_accuracy
from lwlrd_jax.models.liveness import Liveness, liveness
from lwlrd_jax.models.network import Network, Params

# Random mantissas cost more or less utility by luck: this many are drawn, their mean decides, and the luckiest is kept.
_DRAWS = 4
_BACC_WEIGHT = 0.25


class Scrubbed(NamedTuple):
  """What scrubbing did."""

  planes: tuple[int, ...]  # mantissa planes that were replaced, by layer
  reinitialised: int  # weights on which nothing depends
  kept: tuple[str, ...]  # what was left as it was for the sake of utility, in words
  kept_weights: int  # weights without a gradient on which the outputs depend


class Finished(NamedTuple):
  """A checkpoint after its steps."""

  params: Params
  stripped: tuple[str, ...]
  scrubbed: Scrubbed | None  # what scrubbing did, if that was among them
  size: float  # bytes of the checkpoint where it was smallest: what follows adds nothing of what was hidden
  passes: int  # images that a model was run on, backwards counted as two


class Finisher:
  """Applies finishers by name.

  Args:
    network: The model's structure.
    declared: Its tree of arrays, or of their shapes: what a checkpoint may hold.
    train: The training split, on which weights are live or dead.
    val: The validation split, on which utility is watched.
    settings: The finishers' settings.
  """

  def __init__(self, network: Network, declared: Params, train: DeviceSplit, val: DeviceSplit, settings: Finishing):
    self._network = network
    self._declared = declared
    self._train = train
    self._val = val
    self._settings = settings
    step = step_of_balanced_accuracy(np.asarray(val.labels), network.num_outputs)
    self._weights = np.array([1, min(_BACC_WEIGHT, settings.scrub_loss / step) if step else _BACC_WEIGHT])

  def live(self, params: Params) -> Liveness:
    """See `liveness`, on images of the training and the validation split."""
    return liveness(self._network, params, self._train.images, self._val.images)

  def apply(self, steps: tuple[str, ...], params: Params, key: jax.Array, *, live: Liveness | None = None) -> Finished:
    """Applies finishers (noise, prune, quantize, scrub, strip) one after another to a checkpoint.

    scrub strips first, and recomputes running statistics. Entries that are no layer stay unless they are stripped.
    `live` is what `self.live` returns for the checkpoint, if that is known.
    """
    stripped: tuple[str, ...] = ()
    scrubbed, size, self._passes = None, checkpoint_bytes(params), 0
    for number, step in enumerate(steps):
      step_key = jax.random.fold_in(key, number)
      if step in {"strip", "scrub"}:
        params, found = strip(params, self._declared)
        stripped += found
        size = min(size, checkpoint_bytes(params))
      if step == "strip":
        continue
      whole = jax.tree.map(jnp.asarray, self._network.declared(params))
      if step == "scrub":
        changed, scrubbed = self._scrub(whole, step_key, live)
      else:
        changed = self._simple(step, self._network.weights(whole), step_key)
      live = None
      params = {**params, **changed}
      if step == "quantize":
        size = min(size, checkpoint_bytes(params, quantized=True))
    return Finished(params, stripped, scrubbed, size, self._passes)

  def _simple(self, step: str, params: Params, key: jax.Array) -> Params:
    steps = {
      "noise": lambda: noise(params, key, scale=self._settings.noise_scale),
      "prune": lambda: prune(params, share=self._settings.prune_share),
      "quantize": lambda: quantize(params),
    }
    return steps[step]()

  def _scrub(self, params: Params, key: jax.Array, live: Liveness | None) -> tuple[Params, Scrubbed]:
    """What scrubbing changes, for at most the stated loss of utility, and what it did.

    Layers of one depth lose as many planes. To try each layer of a deep network by itself would take too long.
    """
    limit = self._settings.scrub_loss
    kept: list[str] = []
    before = self._utility(params)
    # What an attacker wrote into statistics must not decide what is dead, nor how much utility there is to lose.
    if statistics := _recomputed(self._network, params, self._train.images):
      recomputed = self._utility({**params, **statistics})
      if (costs := self._lost(before, recomputed)) > limit:
        kept.append(f"running statistics: recomputing them costs {costs:.3f} of utility")
        statistics = {}
      else:
        params, live, before = {**params, **statistics}, None, np.fmax(before, recomputed)
      self._passes += len(self._train)
    found = self.live(params) if live is None else live
    self._passes += 3 * (len(self._train) + len(self._val))
    weights = self._network.weights(params)
    scrubber = _Scrubber(
      self._network, params, self._val, jax.random.split(key, _DRAWS), functools.partial(self._lost, before)
    )
    alive, spared = scrubber.affordable(found.live, limit)
    kept += spared
    depths = self._network.depths
    counts = [0] * (max(depths) + 1)
    for layer, depth in zip(self._network.layers, depths, strict=True):
      counts[depth] += _count(alive[layer])
    planes = scrubber.by_layer(choose_planes(scrubber.loss, counts, limit))
    layers = scrubber.luckiest(planes)
    if statistics:
      again = _recomputed(self._network, {**params, **layers}, self._train.images)
      # The weights were chosen with the statistics from before; both are the owner's own.
      layers |= again if self._lost(before, self._utility({**params, **layers, **again})) <= limit else statistics
      self._passes += len(self._train)
    hidden = {layer: _count(found.hidden_from_gradients[layer]) for layer in self._network.layers}
    depended = "weights without a gradient that the outputs depend on"
    kept += [f"{layer}: {count:,} {depended}" for layer, count in hidden.items() if count]
    self._passes += scrubber.passes
    reinitialised = sum(leaf.size for leaf in jax.tree.leaves(weights)) - _count(alive)
    return layers, Scrubbed(planes, reinitialised, tuple(kept), sum(hidden.values()))

  def _lost(self, before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Utility lost, of f[..., 2] each."""
    return ((before - after) * self._weights).max(axis=-1)

  def _utility(self, params: Params) -> np.ndarray:
    self._passes += len(self._val)
    return np.asarray(_watched(self._network, params, self._val))


class _Scrubber:
  """Scrubs one model in several draws, and measures on the validation split what that costs, by `lost` of f[..., 2]."""

  def __init__(
    self, network: Network, params: Params, val: DeviceSplit, keys: jax.Array, lost: Callable[[np.ndarray], np.ndarray]
  ):
    self._network, self._params, self._val, self._keys, self._lost = network, params, val, keys, lost
    self._weights = network.weights(params)
    self.passes = 0  # images that the model was run on

  def affordable(self, live: Params, limit: float) -> tuple[Params, list[str]]:
    """Treats as live what costs too much to re-initialise, depth by depth.

    Returns:
      bool tree of the weights that `loss` and `luckiest` do not re-initialise from then on; what was spared, in words.
    """
    self._use(live)
    no_planes, spared = (0,) * (max(self._network.depths) + 1), []
    depths = sorted(set(self._network.depths))
    while depths and not (loss := self.loss(no_planes)) <= limit:
      costs = {}
      for depth in depths:
        self._use(self._only(live, [depth]))
        costs[depth] = self.loss(no_planes)
      dearest = max(costs, key=lambda depth: costs[depth])
      depths.remove(dearest)
      spared.append(f"dead weights of depth {dearest}: re-initialising them and others costs {loss:.3f} of utility")
      self._use(self._only(live, depths))
    return self._live, spared

  def loss(self, planes: tuple[int, ...]) -> float:
    """Utility that is lost on average over draws, with so many planes of each depth scrubbed."""
    return float(self._lost(self._measured(self.by_layer(planes)).mean(axis=0)))

  def luckiest(self, planes: tuple[int, ...]) -> Params:
    """The draw that costs least, with so many planes of each layer scrubbed."""
    losses = self._lost(self._measured(planes))
    number = int(np.nan_to_num(losses, nan=np.inf).argmin())
    tree = _planes_tree(self._network, self._weights, np.asarray(planes, np.int32))
    drawn = jax.tree.map(lambda leaf: leaf[number], self._drawn)
    return take_planes(self._weights, drawn, planes=tree, live=self._live)

  def by_layer(self, planes: tuple[int, ...]) -> tuple[int, ...]:
    """From planes of each depth to planes of each layer."""
    return tuple(planes[depth] for depth in self._network.depths)

  def _use(self, live: Params) -> None:
    self._live = live
    self._drawn = _draw(self._weights, self._keys, live)

  def _only(self, live: Params, depths: list[int]) -> Params:
    """Weights are dead at these depths only."""
    dead = {layer: depth in depths for layer, depth in zip(self._network.layers, self._network.depths, strict=True)}
    return {
      layer: of_layer if dead[layer] else jax.tree.map(jnp.ones_like, of_layer) for layer, of_layer in live.items()
    }

  def _measured(self, planes: tuple[int, ...]) -> np.ndarray:
    of_layers = np.asarray(planes, np.int32)
    self.passes += _DRAWS * len(self._val)
    return np.asarray(_scrubbed(self._network, self._params, self._drawn, of_layers, self._live, self._val))


def _count(tree: Params) -> int:
  return sum(int(leaf.sum()) for leaf in jax.tree.leaves(tree))


def _planes_tree(network: Network, params: Params, planes: Any) -> Params:
  return {layer: jax.tree.map(lambda _, i=i: planes[i], params[layer]) for i, layer in enumerate(network.layers)}


def _watched(network: Network, params: Params, split: DeviceSplit) -> jax.Array:
  found = utility_of(network, params, split)
  return jnp.stack([found.auc, found.balanced_accuracy])


_recomputed = jax.jit(recompute, static_argnums=0)


@jax.jit
def _draw(params: Params, keys: jax.Array, live: Params) -> Params:
  """Several draws, stacked. Comparisons share them, so that only the planes differ."""
  return jax.lax.map(lambda key: randomise(params, key, live=live), keys)


@functools.partial(jax.jit, static_argnums=0)
def _scrubbed(
  network: Network, params: Params, drawn: Params, planes: jax.Array, live: Params, split: DeviceSplit
) -> jax.Array:
  """AUC and balanced accuracy with these planes, i32[layers], of each draw: f32[draws, 2]."""
  weights = network.weights(params)
  tree = _planes_tree(network, weights, planes)

  def of_draw(of_one: Params) -> jax.Array:
    return _watched(network, {**params, **take_planes(weights, of_one, planes=tree, live=live)}, split)

  return jax.lax.map(of_draw, drawn)
