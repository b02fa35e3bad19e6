"""Steps on the weights alone, as a sweep applies them: by name, one checkpoint at a time."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lwlrd_jax.config import Finishing
from lwlrd_jax.data.device import DeviceSplit
from lwlrd_jax.defenses.finishing import noise, prune, quantize
from lwlrd_jax.defenses.scrub import choose_planes, draw_anew, take_planes
from lwlrd_jax.defenses.statistics import take_anew
from lwlrd_jax.defenses.structure import strip
from lwlrd_jax.metrics.measure import auc_of
from lwlrd_jax.models.liveness import live_weights
from lwlrd_jax.models.network import Network, Params

# Random mantissas cost more or less utility by luck: this many are drawn, their mean decides, and the luckiest is kept.
_DRAWS = 4


class Finished(NamedTuple):
  """A checkpoint after its steps; what was stripped from it; mantissa planes scrubbed, by layer, if any were."""

  params: Params
  stripped: tuple[str, ...]
  planes: tuple[int, ...] | None


class Finisher:
  """Applies steps by name.

  Args:
    network: The model's structure.
    declared: Its tree of arrays, or of their shapes: what a checkpoint may hold.
    train: The training split, on which weights are live or dead.
    val: The validation split, on which utility is watched.
    settings: The steps' settings.
  """

  def __init__(self, network: Network, declared: Params, train: DeviceSplit, val: DeviceSplit, settings: Finishing):
    self._network = network
    self._declared = declared
    self._train = train
    self._val = val
    self._settings = settings

  def live(self, params: Params) -> Params:
    """See `live_weights`, on images of the training split."""
    return live_weights(self._network, params, self._train.images)

  def apply(self, steps: tuple[str, ...], params: Params, key: jax.Array, *, live: Params | None = None) -> Finished:
    """Applies steps one after another.

    Args:
      steps: Names: noise, prune, quantize, scrub, strip. scrub strips first.
      params: A checkpoint.
      key: Random key.
      live: What `live` says of it, if that is known.

    Returns:
      The checkpoint after them. Entries that are no layer stay unless they are stripped; scrubbing takes running
      statistics anew.
    """
    stripped: tuple[str, ...] = ()
    planes = None
    for number, step in enumerate(steps):
      step_key = jax.random.fold_in(key, number)
      if step in {"strip", "scrub"}:
        params, found = strip(params, self._declared)
        stripped += found
      if step == "strip":
        continue
      whole = jax.tree.map(jnp.asarray, self._network.declared(params))
      if step == "scrub":
        # What a thief wrote into statistics must not decide what is dead, nor how much utility there is to lose.
        whole |= (statistics := _taken_anew(self._network, whole, self._train.images))
        layers, planes = self._scrub(whole, step_key, self.live(whole) if live is None or statistics else live)
        layers |= _taken_anew(self._network, {**whole, **layers}, self._train.images)
      else:
        layers = self._simple(step, self._network.weights(whole), step_key)
      live = None
      params = {**params, **layers}
    return Finished(params, stripped, planes)

  def _simple(self, step: str, params: Params, key: jax.Array) -> Params:
    steps = {
      "noise": lambda: noise(params, key, scale=self._settings.noise_scale),
      "prune": lambda: prune(params, share=self._settings.prune_share),
      "quantize": lambda: quantize(params),
    }
    return steps[step]()

  def _scrub(self, params: Params, key: jax.Array, live: Params) -> tuple[Params, tuple[int, ...]]:
    """The layers with as many planes scrubbed as the limit allows, and how many that is.

    Layers of one depth lose as many: a norm with what it is applied to, a shortcut with what it passes by. Deep nets
    have so many layers that to try each by itself would take longer than all else.
    """
    depths = self._network.depths
    counts = [0] * (max(depths) + 1)
    for layer, depth in zip(self._network.layers, depths, strict=True):
      counts[depth] += int(sum(leaf.sum() for leaf in live[layer].values()))
    before = float(auc_of(self._network, params, self._val))
    weights = self._network.weights(params)
    drawn = _draw(weights, jax.random.split(key, _DRAWS), live)

    def by_layer(planes: tuple[int, ...]) -> tuple[int, ...]:
      return tuple(planes[depth] for depth in depths)

    def aucs(planes: tuple[int, ...]) -> np.ndarray:
      of_layers = np.asarray(by_layer(planes), np.int32)
      return np.asarray(_scrubbed_aucs(self._network, params, drawn, of_layers, live, self._val))

    chosen = choose_planes(lambda planes: before - float(aucs(planes).mean()), counts, self._settings.scrub_loss)
    luckiest = int(np.nan_to_num(aucs(chosen)).argmax())
    planes = by_layer(chosen)
    tree = _planes_tree(self._network, weights, np.asarray(planes, np.int32))
    return take_planes(weights, jax.tree.map(lambda leaf: leaf[luckiest], drawn), planes=tree, live=live), planes


def _planes_tree(network: Network, params: Params, planes: Any) -> Params:
  return {layer: jax.tree.map(lambda _, i=i: planes[i], params[layer]) for i, layer in enumerate(network.layers)}


_taken_anew = jax.jit(take_anew, static_argnums=0)


@jax.jit
def _draw(params: Params, keys: jax.Array, live: Params) -> Params:
  """Several draws, stacked. The same ones serve every comparison: what differs is then the planes alone."""
  return jax.lax.map(lambda key: draw_anew(params, key, live=live), keys)


@functools.partial(jax.jit, static_argnums=0)
def _scrubbed_aucs(
  network: Network, params: Params, drawn: Params, planes: jax.Array, live: Params, split: DeviceSplit
) -> jax.Array:
  """AUC with these planes, i32[layers], of each draw: f32[draws]."""
  weights = network.weights(params)
  tree = _planes_tree(network, weights, planes)

  def of_draw(of_one: Params) -> jax.Array:
    return auc_of(network, {**params, **take_planes(weights, of_one, planes=tree, live=live)}, split)

  return jax.lax.map(of_draw, drawn)
