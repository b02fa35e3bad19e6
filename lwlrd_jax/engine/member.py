"""Fine-tuning of ONE member of a population: its state and its step."""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from lwlrd_jax.data.batches import Batches, read
from lwlrd_jax.data.device import DeviceSplit
from lwlrd_jax.engine.optimizer import INNER, layer_labels, layerwise
from lwlrd_jax.models.network import Network, Params
from lwlrd_jax.models.task import Compute, task_gradient


class MemberState(NamedTuple):
  """What one member carries from step to step."""

  params: Params
  opt_state: Any


@dataclasses.dataclass(frozen=True)
class Member:
  """How every member of one population trains; only their schedules differ. Hashable, so static under `jax.jit`."""

  network: Network
  optimizer: str  # a name of `INNER`
  label_smoothing: float  # in [0, 1)
  compute: Compute = "float32"

  def init(self, params: Params) -> MemberState:
    """State before the first step."""
    weights = self.network.weights(params)
    return MemberState(self.network.declared(params), self._tx(weights).init(weights))

  def step(
    self, state: MemberState, lr: jax.Array, images: jax.Array, labels: jax.Array, key: jax.Array | None = None
  ) -> tuple[MemberState, jax.Array]:
    """One optimizer step, at rates f32[layers]; arguments as of `task_gradient`.

    At rates of 0 nothing changes but the optimizer's state. Returns the state after, and the loss before, f32[].
    """
    loss, grads, statistics = task_gradient(
      self.network, state.params, images, labels, self.label_smoothing, self.compute, key
    )
    weights = self.network.weights(state.params)
    updates, opt_state = self._tx(weights).update(grads, state.opt_state, weights, lr=lr)
    moves = (lr != 0).any()
    before = {name: state.params[name] for name in statistics}
    statistics = jax.tree.map(lambda new, old: jnp.where(moves, new, old), statistics, before)
    return MemberState({**optax.apply_updates(weights, updates), **statistics}, opt_state), loss

  def run(
    self, state: MemberState, lr: jax.Array, data: DeviceSplit, batches: Batches
  ) -> tuple[MemberState, jax.Array]:
    """Several steps in a row, at rates f32[steps, layers]: the state after, and each step's loss, f32[steps]."""

    def body(state: MemberState, now: tuple[jax.Array, Batches]) -> tuple[MemberState, jax.Array]:
      rates, batch = now
      return self.step(state, rates, *read(data, batch), batch.keys)

    return jax.lax.scan(body, state, (lr, batches))

  def _tx(self, weights: Params) -> optax.GradientTransformationExtraArgs:
    return layerwise(INNER[self.optimizer](), layer_labels(weights, self.network.layers))
