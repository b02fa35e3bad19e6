"""Training of infected models, several seeds in one compiled program: what a pair of steps is, the attacks say."""

import functools
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp

from lwlrd_jax.attacks.base import OnSteps
from lwlrd_jax.data.batches import Batches
from lwlrd_jax.data.device import DeviceSplit
from lwlrd_jax.data.stream import in_calls, portions, steps_per_call
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


def train(
  trainer: Trainer,
  network: Network,
  params: list[Params],
  data: DeviceSplit,
  memories: list[Memory],
  plans: list[PairBatches],
  keys: list[jax.Array],
  on_steps: OnSteps,
  strategy: Strategy | None = None,
) -> list[Params]:
  """Trains several seeds together; each ends as it would alone.

  Args:
    trainer: What a pair of steps is.
    network: The models' structure.
    params: Where each seed starts.
    data: The training split, shared.
    memories: What each seed memorises, as many images each.
    plans: What each step of each seed reads.
    keys: For whatever else is random.
    on_steps: Called with the number of pairs every seed has just finished.
    strategy: How the device maps over seeds; `default_strategy` if None.

  Returns:
    The trained weights.
  """
  if strategy is None:
    strategy = default_strategy(network, params[0], plans[0].task.positions.shape[-1])
  # Stacking copies: the steps below reuse their arguments' memory, and `params` are the caller's.
  state = _start(trainer, network, _stack(params), jnp.stack(keys))
  memory, plan = _stack(memories), _stack(plans)
  per_call = steps_per_call(data, trainer.steps, plan.task.positions[:, 0].size)
  by_call = in_calls(plan, per_call, axis=1)
  read = portions(data, [of_call.task.positions for of_call in by_call])
  for of_call, (part, positions) in zip(by_call, read, strict=True):
    now = of_call._replace(task=of_call.task._replace(positions=positions))
    state, losses = _advance(trainer, network, strategy, state, part, memory, now)
    on_steps(jax.block_until_ready(losses).task.shape[1])
  return [jax.tree.map(lambda leaf, i=i: leaf[i], state.params) for i in range(len(params))]


def _stack(trees: list[Any]) -> Any:
  return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)


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
