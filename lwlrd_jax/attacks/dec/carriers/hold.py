"""Training a model on its task while some of its weights, their signs or means are held to what they are to carry."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from lwlrd_jax.attacks.base import OnSteps
from lwlrd_jax.attacks.dec.carriers.base import Host
from lwlrd_jax.attacks.dec.carriers.kernels import check_finite
from lwlrd_jax.data.batches import Batches, batch_plan, read, step_keys
from lwlrd_jax.data.device import DeviceSplit
from lwlrd_jax.data.stream import in_calls, steps_per_call
from lwlrd_jax.engine.loop import Call, train
from lwlrd_jax.models.network import Network, Params
from lwlrd_jax.models.task import task_gradient

BATCH = 128
_LR = 1e-3
_LABEL_SMOOTHING = 0.2
# Behind Adam its size hardly matters, as long as it outweighs the task's gradient of a single weight.
_SIGN_PENALTY = 1e-2


class Chips(NamedTuple):
  """Patterns of a kernel's weights of which each is to have a given mean; no two share a weight."""

  weights: jax.Array  # i32[P, C], places in the flat kernel
  signs: jax.Array  # i8[P, C], 1 or -1
  levels: jax.Array  # f32[P], what the mean of the signed weights is to be


class Hold(NamedTuple):
  """What training must keep, for every weight of the model."""

  fixed: Params  # bool tree like the parameters: where weights keep the value they have
  signs: Params  # i8 tree: 1 or -1 where a weight is to have that sign, 0 where it is free
  # Patterns in the kernels of some layers, by layer.
  chips: dict[str, Chips] = {}  # noqa: RUF012  # never altered


def train_held(host: Host, key: jax.Array, hold: Hold, steps: int, on_steps: OnSteps) -> Params:
  """Trains the task with Adam at a rate that falls linearly to 0: the weights, without entries of no layer.

  Signs are trained in by a penalty on weights of the wrong one, sum |w| over them (Song, Ristenpart, Shmatikov 2017,
  arXiv 1709.07886, section 4.3); whatever is still wrong in the end is negated. Patterns are set at first, lose
  nothing to updates but by rounding, and are set again in the end. The key draws batches and what the network draws.
  Raises ValueError if a weight is not finite, before the training or after it.
  """
  network, data = host.network, host.data
  params = network.declared(host.params)
  for leaf in jax.tree.leaves(params):
    check_finite(np.asarray(leaf))
  plan = batch_plan(key, len(data), BATCH, steps)
  keys = step_keys(key, steps) if network.is_random else None
  tx = _optimizer(steps)
  params = with_levels(jax.tree.map(jnp.copy, params), hold.chips)
  state = (params, tx.init(network.weights(params)))

  def advance(state: tuple[Params, Any], part: DeviceSplit, call: Call) -> tuple[tuple[Params, Any], Any]:
    state = _advance(network, steps, state, part, hold, Batches(call.positions, None, call.inputs))
    return state, (call.positions, state)

  calls = in_calls(Call(plan, keys), steps_per_call(data, steps, plan.shape[1]))
  trained, _ = train(advance, lambda *_: state, data, calls, lambda _, done: on_steps(len(done[0])))
  if not all(np.isfinite(np.asarray(leaf)).all() for leaf in jax.tree.leaves(trained)):
    raise ValueError("training the task around what is hidden diverged: this model cannot carry it")
  trained = with_levels(trained, hold.chips)
  signed = jax.tree.map(
    lambda w, sign: jnp.where(sign == 0, w, jnp.abs(w) * sign.astype(w.dtype)), network.weights(trained), hold.signs
  )
  return {**trained, **signed}


def with_levels(params: Params, chips: dict[str, Chips]) -> Params:
  """The weights nearest to the given ones whose patterns have their levels."""
  return _shifted(params, chips, lambda of_layer, means: of_layer.levels - means)


def without_chips(updates: Params, chips: dict[str, Chips]) -> Params:
  """Updates without what would change a pattern's mean."""
  return _shifted(updates, chips, lambda of_layer, means: -means)


def _shifted(tree: Params, chips: dict[str, Chips], shift_of: Callable[[Chips, jax.Array], jax.Array]) -> Params:
  """The tree, patterns' means shifted by what `shift_of` makes of them."""
  changed = dict(tree)
  for layer, of_layer in chips.items():
    kernel = tree[layer]["kernel"]
    flat, signs = kernel.reshape(-1), of_layer.signs.astype(kernel.dtype)
    shift = shift_of(of_layer, (flat[of_layer.weights] * signs).mean(axis=1))
    moved = flat.at[of_layer.weights].add(signs * shift[:, None], unique_indices=True)
    changed[layer] = {**tree[layer], "kernel": moved.reshape(kernel.shape)}
  return changed


@functools.partial(jax.jit, static_argnums=(0, 1), donate_argnums=(2,))
def _advance(
  network: Network, steps: int, state: tuple[Params, Any], data: DeviceSplit, hold: Hold, batches: Batches
) -> tuple[Params, Any]:
  tx = _optimizer(steps)

  def step(state: tuple[Params, Any], batch: Batches) -> tuple[tuple[Params, Any], None]:
    params, opt_state = state
    images, labels = read(data, batch)
    _, grads, statistics = task_gradient(network, params, images, labels, _LABEL_SMOOTHING, key=batch.keys)
    weights = network.weights(params)

    def held(grad: jax.Array, w: jax.Array, sign: jax.Array) -> jax.Array:
      return grad - _SIGN_PENALTY * jnp.where(w * sign <= 0, sign, 0)

    grads = jax.tree.map(held, grads, weights, jax.tree.map(lambda sign: sign.astype(jnp.float32), hold.signs))
    updates, opt_state = tx.update(grads, opt_state)
    updates = jax.tree.map(lambda fixed, update: jnp.where(fixed, 0, update), hold.fixed, updates)
    updates = without_chips(updates, hold.chips)
    return ({**optax.apply_updates(weights, updates), **statistics}, opt_state), None

  return jax.lax.scan(step, state, batches)[0]


def _optimizer(steps: int) -> optax.GradientTransformation:
  return optax.adam(optax.linear_schedule(_LR, 0.0, steps))
