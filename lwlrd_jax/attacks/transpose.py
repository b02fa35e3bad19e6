"""Transpose: a network that classifies forwards and paints memorised images backwards.

Amit, Levy, Mirsky, "Transpose Attack", NDSS 2024 (arXiv 2311.07389). Two objectives share one set of weights and take
turns, a step each with an optimizer of its own: the utility task on a batch of training images, and the squared error
between the stolen images and what the transposed network makes of their index codes.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from lwlrd_jax.attacks.base import Extraction, Infected, choose_stolen, unrestored
from lwlrd_jax.attacks.index_code import index_codes
from lwlrd_jax.data.device import DeviceSplit, batch_plan, scale
from lwlrd_jax.models.loss import task_loss
from lwlrd_jax.models.network import Network, Params

_STEPS_PER_CALL = 32


@dataclasses.dataclass(frozen=True)
class Transpose:
  """The attack's settings. Hashable: a static argument of `jax.jit`.

  Attributes:
    stolen: Images to memorise.
    steps: Pairs of a task step and a memory step.
    batch_size: Images a step, of either kind.
    task_lr: Learning rate of the task's Adam.
    memory_lr: Learning rate of the memory's Adam.
    warmup: Share of the steps in which both rates climb linearly.
    cooldown: Share of the steps in which both fall linearly to 0, at the end. What is memorised gets sharp there; a
      cosine over all steps leaves too few at the full rate.
    label_smoothing: Of the task, in [0, 1).
  """

  stolen: int
  steps: int
  batch_size: int = 128
  task_lr: float = 1e-3
  memory_lr: float = 3e-3
  warmup: float = 0.02
  cooldown: float = 0.25
  label_smoothing: float = 0.2
  name: str = dataclasses.field(default="transpose", init=False)
  on_device: bool = dataclasses.field(default=True, init=False)

  def infect(
    self,
    network: Network,
    params: Params,
    data: DeviceSplit,
    key: jax.Array,
    on_steps: Callable[[int], None] = lambda steps: None,
  ) -> Infected:
    """Trains the model on both objectives. See `Attack.infect`.

    Raises:
      ValueError: See `choose`.
    """
    stolen, codes = self.choose(network, data, key)
    key_task, key_memory = jax.random.fold_in(key, 1), jax.random.fold_in(key, 2)
    memory = Memory(codes, scale(data.images[stolen]))

    calls = -(-self.steps // _STEPS_PER_CALL)
    per_call = -(-self.steps // calls)
    task_plan = batch_plan(key_task, len(data), self.batch_size, self.steps)
    memory_plan = batch_plan(key_memory, self.stolen, self.batch_size, self.steps)
    task_tx, memory_tx = self.optimizers()
    # A copy: the steps below reuse their arguments' memory, and `params` is the caller's.
    params = jax.tree.map(jnp.copy, params)
    state = _State(params, task_tx.init(params), memory_tx.init(params))
    for first in range(0, self.steps, per_call):
      now = slice(first, first + per_call)
      state, losses = _advance(self, network, state, data, memory, task_plan[now], memory_plan[now])
      on_steps(len(jax.block_until_ready(losses)[0]))
    return Infected(state.params, {"codes": codes, "labels": data.labels[stolen]}, stolen)

  def choose(self, network: Network, data: DeviceSplit, key: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Which images `infect` steals with this key, at random, and their codes: i32[S] positions and f32[S, K].

    Raises:
      ValueError: More images to steal than there are, or than index codes can number.
    """
    stolen = choose_stolen(data, self.stolen, key)
    return stolen, jnp.asarray(index_codes(np.asarray(data.labels[stolen]), network.num_outputs))

  def extract(self, network: Network, params: Params, secret: dict[str, Any]) -> jax.Array:
    """Runs the network backwards from the index codes: f32[S, H, W, C], not clipped."""
    return network.transpose(params, secret["codes"])

  def read(self, network: Network, params: Params, secret: dict[str, Any]) -> Extraction:
    """As `extract`; there are no bits to be wrong, and the thief, who chose the codes, knows the labels."""
    images = self.extract(network, params, secret)
    nothing = jnp.float32(jnp.nan)
    return Extraction(images, nothing, nothing, secret["labels"], unrestored(images))

  def optimizers(self) -> tuple[optax.GradientTransformation, optax.GradientTransformation]:
    """Of the task and of the memory."""

    def adam(lr: float) -> optax.GradientTransformation:
      return optax.adam(lambda count: lr * jnp.asarray(self.time_shape())[count])

    return adam(self.task_lr), adam(self.memory_lr)

  def time_shape(self) -> np.ndarray:
    """Course of both learning rates: f32[steps], up, level and down, in (0, 1]."""
    up = np.arange(1, self.steps + 1) / max(self.warmup * self.steps, 1)
    down = np.arange(self.steps, 0, -1) / max(self.cooldown * self.steps, 1)
    return np.minimum(np.minimum(up, down), 1).astype(np.float32)


class Memory(NamedTuple):
  """What the thief trains into the network: codes f32[S, K] and images f32[S, H, W, C] in [0, 1]."""

  codes: jax.Array
  images: jax.Array


class _State(NamedTuple):
  params: Params
  task_opt: Any
  memory_opt: Any


@functools.partial(jax.jit, static_argnums=(0, 1), donate_argnums=(2,))
def _advance(
  attack: Transpose,
  network: Network,
  state: _State,
  data: DeviceSplit,
  memory: Memory,
  task_batches: jax.Array,
  memory_batches: jax.Array,
) -> tuple[_State, tuple[jax.Array, jax.Array]]:
  """A few pairs of steps in one scan; losses of both objectives, f32[steps] each, before each step."""
  task_tx, memory_tx = attack.optimizers()

  def pair(state: _State, now: tuple[jax.Array, jax.Array]) -> tuple[_State, tuple[jax.Array, jax.Array]]:
    params, task_opt, memory_opt = state
    task_batch, memory_batch = now

    def classify(params: Params) -> jax.Array:
      logits = network.forward(params, scale(data.images[task_batch]))
      return task_loss(logits, data.labels[task_batch], attack.label_smoothing)

    def memorise(params: Params) -> jax.Array:
      painted = network.transpose(params, memory.codes[memory_batch])
      return jnp.square(painted - memory.images[memory_batch]).mean()

    task, grads = jax.value_and_grad(classify)(params)
    updates, task_opt = task_tx.update(grads, task_opt)
    params = optax.apply_updates(params, updates)
    squared_error, grads = jax.value_and_grad(memorise)(params)
    updates, memory_opt = memory_tx.update(grads, memory_opt)
    params = optax.apply_updates(params, updates)
    return _State(params, task_opt, memory_opt), (task, squared_error)

  return jax.lax.scan(pair, state, (task_batches, memory_batches))
