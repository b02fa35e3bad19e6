"""Training of infected models, several seeds in one compiled program: what a pair of steps is, the attacks say."""

import functools
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp

from lwlrd_jax.attacks.base import OnSteps
from lwlrd_jax.data.batches import Batches
from lwlrd_jax.data.device import DeviceSplit
from lwlrd_jax.data.stream import in_calls, steps_per_call
from lwlrd_jax.engine.loop import Call, train
from lwlrd_jax.engine.mapping import Strategy, default_strategy, map_members
from lwlrd_jax.models.network import Network, Params


class Memory(NamedTuple):
  """What the attacker trains into the network: codes f32[M, K] and images f32[M, H, W, C] in [0, 1]."""

  codes: jax.Array
  images: jax.Array


class TrainingState(NamedTuple):
  """What an infection carries from pair to pair.

  Attributes:
    params: The weights.
    task_opt: The task's optimizer.
    memory_opt: The memory's optimizer.
    extra: What else an attack keeps.
  """

  params: Params
  task_opt: Any
  memory_opt: Any
  extra: Any


class PairBatches(NamedTuple):
  """What a pair of steps reads: of the training split, and i32[B'] of the memory; many pairs, stacked."""

  task: Batches
  memory: jax.Array


class Losses(NamedTuple):
  """The task's loss and the memory's squared error, each f32[] and before its step."""

  task: jax.Array
  memory: jax.Array


class Trainer(Protocol):
  """How an attack trains. Hashable: a static argument of `jax.jit`."""

  @property
  def steps(self) -> int:
    """Pairs of a task step and a memory step."""

  def start(self, network: Network, params: Params, key: jax.Array) -> TrainingState:
    """State before the first pair."""

  def pair(
    self, network: Network, data: DeviceSplit, memory: Memory, state: TrainingState, batches: PairBatches
  ) -> tuple[TrainingState, Losses]:
    """A task step and a memory step."""


class Seed(NamedTuple):
  """What the training of one seed starts from.

  Attributes:
    params: Its weights.
    memory: What it memorises.
    plan: What each of its steps reads.
    key: For whatever else is random.
  """

  params: Params
  memory: Memory
  plan: PairBatches
  key: jax.Array


def train_seeds(
  trainer: Trainer,
  network: Network,
  data: DeviceSplit,
  seeds: list[Seed],
  on_steps: OnSteps,
  strategy: Strategy | None = None,
) -> list[Params]:
  """Trains several seeds together; each ends as it would alone.

  Args:
    trainer: What a pair of steps is.
    network: The models' structure.
    data: The training split, shared.
    seeds: Where each starts; all memorise as many images.
    on_steps: Called with the number of pairs every seed has just finished.
    strategy: How the device maps over seeds; `default_strategy` if None.

  Returns:
    The trained weights.
  """
  if strategy is None:
    strategy = default_strategy(network, seeds[0].params, seeds[0].plan.task.positions.shape[-1])
  # Stacking copies: the steps below reuse their arguments' memory, and weights are the caller's.
  params, memory, plan, keys = jax.tree.map(lambda *leaves: jnp.stack(leaves), *seeds)
  by_call = in_calls(plan, steps_per_call(data, trainer.steps, plan.task.positions[:, 0].size), axis=1)

  def advance(state: TrainingState, part: DeviceSplit, call: Call) -> tuple[TrainingState, Losses]:
    now = call.inputs._replace(task=call.inputs.task._replace(positions=call.positions))
    return _advance(trainer, network, strategy, state, part, memory, now)

  state = train(
    advance,
    lambda *_: _start(trainer, network, params, keys),
    data,
    [Call(of_call.task.positions, of_call) for of_call in by_call],
    lambda _, losses: on_steps(losses.task.shape[1]),
  )
  return [jax.tree.map(lambda leaf, i=i: leaf[i], state.params) for i in range(len(seeds))]


@functools.partial(jax.jit, static_argnums=(0, 1))
def _start(trainer: Trainer, network: Network, params: Params, keys: jax.Array) -> TrainingState:
  return jax.vmap(lambda params, key: trainer.start(network, params, key))(params, keys)


@functools.partial(jax.jit, static_argnums=(0, 1, 2), donate_argnums=(3,))
def _advance(
  trainer: Trainer,
  network: Network,
  strategy: Strategy,
  state: TrainingState,
  data: DeviceSplit,
  memory: Memory,
  plan: PairBatches,
) -> tuple[TrainingState, Losses]:
  """A few pairs of every seed, in one scan; losses f32[seeds, pairs]."""

  def of_seed(state: TrainingState, memory: Memory, plan: PairBatches) -> tuple[TrainingState, Losses]:
    return jax.lax.scan(lambda state, now: trainer.pair(network, data, memory, state, now), state, plan)

  return map_members(of_seed, (state, memory, plan), strategy)
