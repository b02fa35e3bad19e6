"""Transpose: a network that classifies forwards and reconstructs memorised images backwards.

Amit, Levy, Mirsky, "Transpose Attack", NDSS 2024 (arXiv 2311.07389). Two objectives take turns, a step each with an
optimizer of its own: the utility task, and the squared error of what the transposed network makes of index codes.
"""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any, NamedTuple, Self

import jax
import jax.numpy as jnp
import numpy as np
import optax

from lwlrd_jax.attacks.base import Extraction, Infected, Means, OnSteps, PlainAttack, Task, choose_stolen, extraction
from lwlrd_jax.attacks.index_code import index_codes
from lwlrd_jax.attacks.registry import ATTACKS
from lwlrd_jax.data.batches import Batches, batch_plan, read, task_batches
from lwlrd_jax.data.device import DeviceSplit, scale
from lwlrd_jax.data.stream import in_calls, steps_per_call
from lwlrd_jax.engine.loop import Call, train
from lwlrd_jax.engine.mapping import Strategy, default_strategy, map_members
from lwlrd_jax.models.network import Network, Params
from lwlrd_jax.models.recipes import Recipe
from lwlrd_jax.models.task import task_gradient
from lwlrd_jax.models.task_training import TaskTraining


class Memory(NamedTuple):
  """What the attacker trains into the network: codes f32[M, K] and images f32[M, H, W, C] in [0, 1]."""

  codes: jax.Array
  images: jax.Array


class Hidden(NamedTuple):
  """What an infection hides: positions of the stolen images, i32[S], the memory, and the secret (see `Infected`)."""

  stolen: jax.Array
  memory: Memory
  secret: dict[str, Any]


class PairBatches(NamedTuple):
  """What a pair of steps reads: of the training split, and i32[B'] of the memory; many pairs, stacked."""

  task: Batches
  memory: jax.Array


class TrainingState(NamedTuple):
  """What an infection carries from pair to pair: weights, both optimizers' states, and what `rehearse` keeps."""

  params: Params
  task_opt: Any
  memory_opt: Any
  extra: Any


Losses = tuple[jax.Array, jax.Array]  # the task's loss and the memory's squared error, each f32[] and before its step


@dataclasses.dataclass(frozen=True, kw_only=True)
class Transpose(TaskTraining, PlainAttack):
  """The attack's settings: training on the task, in which every step is followed by one on what is memorised.

  Memories get sharp where the learning rates, which share one course, fall to 0; a cosine over all steps leaves too few
  at the full rate. They are not augmented. Relatives change what `hide` hides, how `rehearse` and `memory_gradient`
  train it, or how it is `read`.
  """

  info = ATTACKS["transpose"]
  stolen: int  # images to memorise
  memory_lr: float = 3e-3  # learning rate of the memory's Adam

  @classmethod
  def make(cls, means: Means) -> Self:
    """Makes the attack; `memory_lr` differs between networks as that of the plain attack does."""
    memory_lr = cls.memory_lr * (means.recipe.memory_lr / Recipe().memory_lr)
    return cls(stolen=means.stolen, memory_lr=memory_lr, **dataclasses.asdict(means.training))

  def settings(self) -> dict[str, Any]:
    """See `Attack.settings`."""
    # In the order in which config.json has always had them.
    first = {name: getattr(self, name) for name in ("stolen", "steps", "batch_size", "task_lr", "memory_lr")}
    return first | super().settings() | {"name": self.name, "on_device": self.on_device}

  def check(self, task: Task, params: Params, key: jax.Array) -> None:
    """Raises ValueError as `hide` does. See `Attack.check`."""
    del params
    self.hide(task, key)

  def infect(
    self, network: Network, params: Params, data: DeviceSplit, key: jax.Array, *, public: DeviceSplit | None = None
  ) -> Infected:
    """Trains one model. See `infect_all`."""
    return self.infect_all(Task(network, data, public), [params], [key])[0]

  def infect_all(
    self,
    task: Task,
    params: Sequence[Params],
    keys: Sequence[jax.Array],
    on_steps: OnSteps = lambda steps: None,
    strategy: Strategy | None = None,
  ) -> list[Infected]:
    """Trains models on both objectives, several seeds in one compiled program. See `Attack.infect_all`.

    Raises ValueError as `hide` does, or if there is not one key for each of `params`.
    """
    if len(params) != len(keys) or not keys:
      raise ValueError(f"{len(params)} models to infect need as many keys, not {len(keys)}")
    network, data = task.network, task.train
    hidden = [self.hide(task, key) for key in keys]
    plans = [self._plan(task, key, len(one.memory.codes)) for key, one in zip(keys, hidden, strict=True)]
    if strategy is None:
      strategy = default_strategy(network, params[0], plans[0].task.positions.shape[-1])
    seeds = zip(
      params, [one.memory for one in hidden], plans, [jax.random.fold_in(key, 3) for key in keys], strict=True
    )
    # Stacking copies: the steps below reuse their arguments' memory, and weights are the caller's.
    starts, memory, plan, other_keys = jax.tree.map(lambda *leaves: jnp.stack(leaves), *seeds)

    def advance(state: TrainingState, part: DeviceSplit, call: Call) -> tuple[TrainingState, Losses]:
      now = call.inputs._replace(task=call.inputs.task._replace(positions=call.positions))
      return _advance(self, network, strategy, state, part, memory, now)

    by_call = in_calls(plan, steps_per_call(data, self.steps, plan.task.positions[:, 0].size), axis=1)
    state = train(
      advance,
      lambda *_: _start(self, network, starts, other_keys),
      data,
      [Call(of_call.task.positions, of_call) for of_call in by_call],
      lambda _, losses: on_steps(losses[0].shape[1]),
    )
    trained = [jax.tree.map(lambda leaf, i=i: leaf[i], state.params) for i in range(len(keys))]
    return [Infected(weights, one.secret, one.stolen) for weights, one in zip(trained, hidden, strict=True)]

  def hide(self, task: Task, key: jax.Array) -> Hidden:
    """What an infection with this key hides. Raises ValueError for more images than there are, or than have codes."""
    stolen = choose_stolen(task.train, self.stolen, key)
    labels = task.train.labels[stolen]
    codes = jnp.asarray(index_codes(np.asarray(labels), task.network.num_outputs))
    return Hidden(stolen, Memory(codes, scale(task.train.images[stolen])), {"codes": codes, "labels": labels})

  def read(self, network: Network, params: Params, secret: dict[str, Any]) -> Extraction:
    """Runs the network backwards from the index codes. The attacker, who chose these, knows the labels."""
    return extraction(network.transpose(params, secret["codes"]), secret["labels"])

  def pair(
    self, network: Network, data: DeviceSplit, memory: Memory, state: TrainingState, batches: PairBatches
  ) -> tuple[TrainingState, Losses]:
    """A task step, then a memory step."""
    task_tx, memory_tx = self.optimizers()
    params, task_opt, memory_opt, extra = state
    images, labels = read(data, batches.task)
    loss, grads, statistics = task_gradient(
      network, params, images, labels, self.label_smoothing, key=batches.task.keys
    )
    updates, task_opt = task_tx.update(grads, task_opt)
    params = {**optax.apply_updates(network.weights(params), updates), **statistics}

    part = Memory(memory.codes[batches.memory], memory.images[batches.memory])
    extra = self.rehearse(network, params, extra, images, labels, batches.task.keys)
    error, grads = self.memory_gradient(network, params, part, extra)
    updates, memory_opt = memory_tx.update(network.weights(grads), memory_opt)
    params = {**params, **optax.apply_updates(network.weights(params), updates)}
    return TrainingState(params, task_opt, memory_opt, extra), (loss, error)

  def begin(self, network: Network, params: Params, key: jax.Array) -> Any:
    """What an attack keeps besides weights and optimizers, a tree of arrays; here nothing."""
    del network, params, key
    return ()

  def rehearse(
    self, network: Network, params: Params, extra: Any, images: jax.Array, labels: jax.Array, key: jax.Array | None
  ) -> Any:
    """What `begin` began, brought up to date before each memory step; `images`, `labels`, `key` are the task step's."""
    del network, params, images, labels, key
    return extra

  def memory_gradient(self, network: Network, params: Params, part: Memory, extra: Any) -> tuple[jax.Array, Params]:
    """The squared error of a batch of memories, f32[], and the gradient that trains them, a tree like `params`."""
    del extra
    return jax.value_and_grad(lambda params: squared_error(network, params, part))(params)

  def optimizers(self) -> tuple[optax.GradientTransformation, optax.GradientTransformation]:
    """Of the task and of the memory."""

    def adam(lr: float) -> optax.GradientTransformation:
      return optax.adam(lambda count: lr * jnp.asarray(self.time_shape())[count])

    return adam(self.task_lr), adam(self.memory_lr)

  def _plan(self, task: Task, key: jax.Array, memories: int) -> PairBatches:
    key_task, key_memory = (jax.random.fold_in(key, number) for number in (1, 2))
    data, random = task.train, task.network.is_random
    return PairBatches(
      task_batches(key_task, data, self.batch_size, self.steps, self.augment, is_random=random),
      batch_plan(key_memory, memories, self.batch_size, self.steps),
    )


@dataclasses.dataclass(frozen=True)
class Heavy(Transpose):
  """Transpose whose memories are trained at a rate three times as large and more.

  Adam's steps are of the learning rate's size, whatever that of the weights. Larger rates leave memories in larger
  weights, and the defence's own steps are smaller against them.
  """

  info = ATTACKS["transpose-heavy"]
  memory_lr: float = 1e-2


def squared_error(network: Network, params: Params, memory: Memory) -> jax.Array:
  """Mean squared error of what the network reconstructs of a memory: f32[]."""
  return jnp.square(network.transpose(params, memory.codes) - memory.images).mean()


@functools.partial(jax.jit, static_argnums=(0, 1))
def _start(attack: Transpose, network: Network, params: Params, keys: jax.Array) -> TrainingState:
  """The state of every seed before its first pair of steps."""
  task_tx, memory_tx = attack.optimizers()

  def of_seed(params: Params, key: jax.Array) -> TrainingState:
    weights, extra = network.weights(params), attack.begin(network, params, key)
    return TrainingState(network.declared(params), task_tx.init(weights), memory_tx.init(weights), extra)

  return jax.vmap(of_seed)(params, keys)


@functools.partial(jax.jit, static_argnums=(0, 1, 2), donate_argnums=(3,))
def _advance(
  attack: Transpose,
  network: Network,
  strategy: Strategy,
  state: TrainingState,
  data: DeviceSplit,
  memory: Memory,
  plan: PairBatches,
) -> tuple[TrainingState, Losses]:
  """A few pairs of every seed, in one scan; losses f32[seeds, pairs]."""

  def of_seed(state: TrainingState, memory: Memory, plan: PairBatches) -> tuple[TrainingState, Losses]:
    return jax.lax.scan(lambda state, now: attack.pair(network, data, memory, state, now), state, plan)

  return map_members(of_seed, (state, memory, plan), strategy)
