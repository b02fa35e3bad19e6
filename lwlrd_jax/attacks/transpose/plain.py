"""Transpose: a network that classifies forwards and paints memorised images backwards.

Amit, Levy, Mirsky, "Transpose Attack", NDSS 2024 (arXiv 2311.07389). Two objectives share one set of weights and take
turns, a step each with an optimizer of its own: the utility task on a batch of training images, and the squared error
between the stolen images and what the transposed network makes of their index codes.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from lwlrd_jax.attacks.base import Extraction, Infected, OnSteps, Task, choose_stolen, unrestored
from lwlrd_jax.attacks.index_code import index_codes
from lwlrd_jax.attacks.registry import ATTACKS, AttackInfo
from lwlrd_jax.attacks.transpose.training import Losses, Memory, PairBatches, Seed, TrainingState, train_seeds
from lwlrd_jax.data.batches import batch_plan, read, task_batches
from lwlrd_jax.data.device import DeviceSplit, scale
from lwlrd_jax.engine.mapping import Strategy
from lwlrd_jax.models.network import Network, Params
from lwlrd_jax.models.task import task_gradient
from lwlrd_jax.models.task_training import TaskTraining

LossFn = Callable[[Params], jax.Array]


class Hidden(NamedTuple):
  """What an infection hides, and what the attacker keeps to find it again.

  Attributes:
    stolen: i32[S], the stolen images' positions in the training split.
    memory: What is trained into the network.
    secret: What stays with the attacker: a tree of arrays.
  """

  stolen: jax.Array
  memory: Memory
  secret: dict[str, Any]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Transpose(TaskTraining):
  """The attack's settings: training on the task, in which every step is followed by one on what is memorised.

  Both have steps of one size, and one course of their learning rates. What is memorised gets sharp where these fall to
  0; a cosine over all steps leaves too few at the full rate. Memories are not augmented.

  Its relatives change what `hide` hides, how `start` and `memory_gradient` train it, or how it is `read`.

  Attributes:
    stolen: Images to memorise.
    memory_lr: Learning rate of the memory's Adam.
  """

  stolen: int
  memory_lr: float = 3e-3
  name: str = dataclasses.field(default="transpose", init=False)
  on_device: bool = dataclasses.field(default=True, init=False)

  size_is_known: ClassVar[bool] = True

  @property
  def info(self) -> AttackInfo:
    """See `Attack.info`."""
    return ATTACKS[self.name]

  def settings(self) -> dict[str, Any]:
    """See `Attack.settings`."""
    # In the order in which config.json has always had them.
    first = {name: getattr(self, name) for name in ("stolen", "steps", "batch_size", "task_lr", "memory_lr")}
    return first | super().settings()

  def check(self, task: Task, params: Params, key: jax.Array) -> None:
    """Raises ValueError as `hide` does. See `Attack.check`."""
    del params
    self.hide(task.network, task.train, key, task.public)

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

    Raises:
      ValueError: See `hide`; or not one key for each of `params`.
    """
    network, data = task.network, task.train
    if len(params) != len(keys) or not keys:
      raise ValueError(f"{len(params)} models to infect need as many keys, not {len(keys)}")
    hidden = [self.hide(network, data, key, task.public) for key in keys]
    seeds = []
    for weights, key, of_seed in zip(params, keys, hidden, strict=True):
      batches = task_batches(
        jax.random.fold_in(key, 1), data, self.batch_size, self.steps, self.augment, is_random=network.is_random
      )
      memories = batch_plan(jax.random.fold_in(key, 2), len(of_seed.memory.codes), self.batch_size, self.steps)
      seeds.append(Seed(weights, of_seed.memory, PairBatches(batches, memories), jax.random.fold_in(key, 3)))
    trained = train_seeds(self, network, data, seeds, on_steps, strategy)
    return [Infected(weights, of_seed.secret, of_seed.stolen) for weights, of_seed in zip(trained, hidden, strict=True)]

  def choose(self, network: Network, data: DeviceSplit, key: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Which images `infect` steals with this key, at random, and their codes: i32[S] positions and f32[S, K].

    Raises:
      ValueError: More images to steal than there are, or than index codes can number.
    """
    stolen = choose_stolen(data, self.stolen, key)
    return stolen, jnp.asarray(index_codes(np.asarray(data.labels[stolen]), network.num_outputs))

  def hide(self, network: Network, data: DeviceSplit, key: jax.Array, public: DeviceSplit | None) -> Hidden:
    """What `infect` hides with this key.

    Raises:
      ValueError: See `choose`.
    """
    del public
    stolen, codes = self.choose(network, data, key)
    memory = Memory(codes, scale(data.images[stolen]))
    return Hidden(stolen, memory, {"codes": codes, "labels": data.labels[stolen]})

  def extract(self, network: Network, params: Params, secret: dict[str, Any]) -> jax.Array:
    """Runs the network backwards from the index codes: f32[S, H, W, C], not clipped."""
    return network.transpose(params, secret["codes"])

  def read(self, network: Network, params: Params, secret: dict[str, Any]) -> Extraction:
    """As `extract`; there are no bits to be wrong, and the attacker, who chose the codes, knows the labels."""
    images = self.extract(network, params, secret)
    nothing = jnp.float32(jnp.nan)
    return Extraction(images, nothing, nothing, secret["labels"], unrestored(images))

  def columns(
    self, task: Task, host: Params | None, infected: Infected, psnr: Callable[[jax.Array], float]
  ) -> dict[str, float]:
    """None. See `Attack.columns`."""
    del task, host, infected, psnr
    return {}

  def start(self, network: Network, params: Params, key: jax.Array) -> TrainingState:
    """State before the first pair of steps."""
    del key
    task_tx, memory_tx = self.optimizers()
    weights = network.weights(params)
    return TrainingState(network.declared(params), task_tx.init(weights), memory_tx.init(weights), ())

  def pair(
    self, network: Network, data: DeviceSplit, memory: Memory, state: TrainingState, batches: PairBatches
  ) -> tuple[TrainingState, Losses]:
    """A task step, then a memory step."""
    task_tx, memory_tx = self.optimizers()
    params, task_opt, memory_opt, extra = state
    images, labels = read(data, batches.task)
    task, grads, statistics = task_gradient(
      network, params, images, labels, self.label_smoothing, key=batches.task.keys
    )
    updates, task_opt = task_tx.update(grads, task_opt)
    params = {**optax.apply_updates(network.weights(params), updates), **statistics}

    part = Memory(memory.codes[batches.memory], memory.images[batches.memory])
    extra = self.rehearse(network, params, extra, images, labels, batches.task.keys)
    squared_error, grads = self.memory_gradient(network, params, part, extra)
    updates, memory_opt = memory_tx.update(network.weights(grads), memory_opt)
    params = {**params, **optax.apply_updates(network.weights(params), updates)}
    return TrainingState(params, task_opt, memory_opt, extra), Losses(task, squared_error)

  def rehearse(
    self,
    network: Network,
    params: Params,
    extra: Any,
    images: jax.Array,
    labels: jax.Array,
    key: jax.Array | None = None,
  ) -> Any:
    """What the attack keeps besides weights and optimizers, brought up to date before each memory step; here nothing.

    Args:
      network: The model's structure.
      params: Its weights.
      extra: As it was.
      images: f32[B, H, W, C], the task's batch.
      labels: Its labels.
      key: What the network draws in the task's step; None for one that draws nothing.
    """
    del network, params, images, labels, key
    return extra

  def memory_gradient(self, network: Network, params: Params, part: Memory, extra: Any) -> tuple[jax.Array, Params]:
    """The squared error of a batch of memories, f32[], and the gradient that trains them, a tree like `params`.

    What of it belongs to no layer is left out by who calls this.
    """
    del extra
    return jax.value_and_grad(lambda params: squared_error(network, params, part))(params)

  def optimizers(self) -> tuple[optax.GradientTransformation, optax.GradientTransformation]:
    """Of the task and of the memory."""

    def adam(lr: float) -> optax.GradientTransformation:
      return optax.adam(lambda count: lr * jnp.asarray(self.time_shape())[count])

    return adam(self.task_lr), adam(self.memory_lr)


def squared_error(network: Network, params: Params, memory: Memory) -> jax.Array:
  """Mean squared error of what the network paints of a memory: f32[]."""
  return jnp.square(network.transpose(params, memory.codes) - memory.images).mean()
