"""Fine-tuning of MANY members at once: one compiled program for any mix of schedules, on all devices.

The step is written for one member (`member.py`). Here it is mapped over the members of each device (`mapping.py`),
inside `jax.shard_map` over a one-axis mesh: no member ever needs another's numbers, so no device ever talks to another.
"""

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

from lwlrd_jax import stopping
from lwlrd_jax.data.batches import Batches, task_batches
from lwlrd_jax.data.device import DeviceSplit
from lwlrd_jax.data.stream import in_calls, portions, steps_per_call
from lwlrd_jax.engine.loop import Call, train
from lwlrd_jax.engine.mapping import Strategy, advance_members, default_strategy, side_by_side
from lwlrd_jax.engine.member import Member, MemberState
from lwlrd_jax.engine.memory import check_room
from lwlrd_jax.models.network import Params

AXIS = "members"


class Reached(NamedTuple):
  """How far members have come."""

  steps: int  # that all of them have taken
  # Of their states, in the order of `jax.tree.leaves`, with a leading axis of members; of members that have taken all
  # steps those of their parameters alone.
  leaves: list[np.ndarray]
  losses: np.ndarray  # f32[members, steps]


class Population(NamedTuple):
  """Fine-tuned members.

  Attributes:
    params: Parameters with a leading axis of members, NumPy arrays: what follows looks at one member at a time, and
      picking one out of arrays that are spread over devices would set all of them to work, and to wait for each other.
    losses: f32[members, steps], each step's training loss before its update.
  """

  params: Params
  losses: np.ndarray

  def reached(self) -> Reached:
    """That they have taken all steps."""
    return Reached(self.losses.shape[1], jax.tree.leaves(self.params), self.losses)


class Snapshots(Protocol):
  """What keeps unfinished members where they outlive the process."""

  def restore(self) -> Reached | None:
    """How far these members had come; None if they had not begun."""

  def keep(self, reached: Callable[[], Reached]) -> None:
    """Keeps how far they have come, if it is time to."""

  def keep_now(self, reached: Callable[[], Reached]) -> None:
    """Keeps it: nothing will come of them in this process."""


@contextlib.contextmanager
def kept_at_the_end(snapshots: Snapshots | None, reached: Callable[[], Reached]) -> Iterator[None]:
  """Keeps how far members have come if what is done within stops the work, or fails."""
  try:
    yield
  except (stopping.Stopped, Exception):
    if snapshots is not None:
      snapshots.keep_now(reached)
    raise


def member_mesh(devices: list[jax.Device] | None = None) -> jax.sharding.Mesh:
  """A mesh of one axis over these devices; all of this process's by default."""
  devices = jax.local_devices() if devices is None else devices
  return jax.make_mesh((len(devices),), (AXIS,), axis_types=(jax.sharding.AxisType.Auto,), devices=devices)


@dataclasses.dataclass(frozen=True)
class Finetuning:
  """How all members of a population are fine-tuned."""

  member: Member
  batch_size: int  # examples a step
  augment: str = "none"  # a name of `data.augment.AUGMENTATIONS`
  strategy: Strategy | None = None  # how a device maps over its members; `default_strategy` if None
  mesh: jax.sharding.Mesh | None = None  # devices to use; `member_mesh()` if None


class _Program(NamedTuple):
  """A fine-tuning as equal calls of one compiled program. Padding steps and members have rate 0: nothing changes."""

  member: Member
  strategy: Strategy
  mesh: jax.sharding.Mesh
  rows: int  # members, with those that fill turns
  per_call: int  # steps
  calls: list[Call]  # of each, inputs are its rates f32[rows, steps, layers] and its batches

  @property
  def everywhere(self) -> NamedSharding:
    """Of what all members read."""
    return NamedSharding(self.mesh, PartitionSpec())

  def arguments(self, state: MemberState, part: DeviceSplit, call: Call) -> tuple[Any, ...]:
    """Of `advance`."""
    rates, batches = call.inputs
    return self.member, self.strategy, self.mesh, state, rates, part, batches._replace(positions=call.positions)

  def compile(self, starts: Sequence[Params], part: DeviceSplit, call: Call) -> jax.stages.Compiled:
    """What `advance` runs, and finds compiled then. Starts may be shapes."""
    sharding = NamedSharding(self.mesh, PartitionSpec(AXIS))
    states = jax.tree.map(
      lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding),
      jax.eval_shape(lambda starts: start(self.member, starts, np.zeros(self.rows, int), self.mesh), starts),
    )
    return advance.lower(*self.arguments(states, part, call)).compile()


def _program(params: Params, schedules: np.ndarray, data: DeviceSplit, key: jax.Array, how: Finetuning) -> _Program:
  """Arguments as of `finetune`."""
  schedules, network = np.asarray(schedules, np.float32), how.member.network
  members, steps, layers = schedules.shape
  if layers != len(network.layers):
    raise ValueError(f"schedules have {layers} layers, the model has {len(network.layers)}")
  strategy, mesh = how.strategy, member_mesh() if how.mesh is None else how.mesh
  if strategy is None:
    strategy = default_strategy(network, network.declared(params), how.batch_size)
  per_call = steps_per_call(data, steps, min(how.batch_size, len(data)))
  count = -(-steps // per_call)
  turn = mesh.size * side_by_side(strategy, -(-members // mesh.size))
  rates = np.pad(schedules, ((0, -members % turn), (0, count * per_call - steps), (0, 0)))
  batches = task_batches(key, data, how.batch_size, count * per_call, how.augment, is_random=network.is_random)
  calls = [
    Call(of_call.positions, (rates[:, i * per_call :][:, :per_call], of_call))
    for i, of_call in enumerate(in_calls(batches, per_call))
  ]
  return _Program(how.member, strategy, mesh, len(rates), per_call, calls)


def compile_finetune(params: Params, schedules: np.ndarray, data: DeviceSplit, how: Finetuning) -> jax.stages.Compiled:
  """The program that `finetune` would run, and nothing of it run; arguments as there, of `params` the shapes alone."""
  program = _program(params, schedules, data, jax.random.key(0), how)
  first = program.calls[0]
  part, positions = next(portions(data, [first.positions], program.everywhere))
  return program.compile([params], part, first._replace(positions=positions))


def finetune(
  params: Params | Sequence[Params],
  schedules: np.ndarray,
  data: DeviceSplit,
  key: jax.Array,
  how: Finetuning,
  *,
  snapshots: Snapshots | None = None,
  on_steps: Callable[[int], None] = lambda steps: None,
) -> Population:
  """Fine-tunes one model, or several of one structure, under many schedules.

  All members see the same batches, so that they differ by nothing but their rates and what they start from. Member i of
  a population equals a lone run of member i, whatever the population's size, the number of devices, and where the
  images are.

  Args:
    params: Where every member starts; or a tree for each of them, several of which may be one object.
    schedules: f32[members, steps, layers], the learning rates.
    data: The training split.
    key: Random key of the batches' order, of augmentation, and of what the network draws at each step.
    how: What all members have in common.
    snapshots: Where unfinished members are kept from time to time, and found again; nowhere if None.
    on_steps: Called with the number of steps each member has just finished.

  Returns:
    The population. Members may have diverged: their losses or parameters are not finite then.

  Raises:
    ValueError: `schedules` does not have one rate for each layer, or there are not as many trees as schedules.
    TooLargeError: The devices have no room for so many members.
  """
  members, steps, _ = np.shape(schedules)
  starts, of_member = _distinct(params, members)
  program = _program(starts[0], schedules, data, key, how)
  of_row = np.pad(of_member, (0, program.rows - members))
  reached = None if snapshots is None else snapshots.restore()
  if reached is not None and reached.steps == steps:
    structure = jax.tree.structure(how.member.network.declared(starts[0]))
    return Population(jax.tree.unflatten(structure, reached.leaves), reached.losses)
  if reached is not None and reached.steps % program.per_call:
    reached = None  # it was taken between other calls than these
  done = 0 if reached is None else reached.steps
  losses = [] if reached is None else [reached.losses]

  def begin(part: DeviceSplit, call: Call) -> MemberState:
    # Before anything of it is allocated.
    check_room(program.compile(starts, part, call), program.mesh.size)
    state = start(how.member, starts, of_row, program.mesh)
    on_steps(done)
    return state if reached is None else _resumed(state, reached)

  def after(state: MemberState, loss: jax.Array) -> None:
    nonlocal done
    losses.append(np.asarray(loss)[:members])
    before, done = done, min(done + program.per_call, steps)
    if done < steps:
      reached_now = functools.partial(_reached, state, np.concatenate(losses, axis=1))
      if snapshots is not None:
        snapshots.keep(reached_now)
      with kept_at_the_end(snapshots, reached_now):
        on_steps(done - before)

  left = program.calls[-(-done // program.per_call) :]
  state = train(lambda *now: advance(*program.arguments(*now)), begin, data, left, after, sharding=program.everywhere)
  kept = jax.tree.map(lambda leaf: leaf[:members], jax.device_get(state.params))
  population = Population(kept, np.concatenate(losses, axis=1)[:, :steps])
  with kept_at_the_end(snapshots, population.reached):
    on_steps(steps - (len(program.calls) - 1) * program.per_call)  # of the last call
  return population


def _reached(state: MemberState, losses: np.ndarray) -> Reached:
  """How far the members have come; those that only fill a turn are no members."""
  leaves = [np.asarray(leaf)[: len(losses)] for leaf in jax.tree.leaves(jax.device_get(state))]
  return Reached(losses.shape[1], leaves, losses)


def _resumed(state: MemberState, reached: Reached) -> MemberState:
  """States as they were, in the places of those at the start."""

  def place(leaf: jax.Array, kept: np.ndarray) -> jax.Array:
    filled = np.concatenate([kept, np.repeat(kept[:1], len(leaf) - len(kept), axis=0)])
    return jax.device_put(filled, leaf.sharding)

  return jax.tree.map(place, state, jax.tree.unflatten(jax.tree.structure(state), reached.leaves))


def _distinct(params: Params | Sequence[Params], members: int) -> tuple[list[Params], np.ndarray]:
  """The different trees that members start from, and the number of each member's: int[members]."""
  trees = [params] * members if isinstance(params, dict) else list(params)
  if len(trees) != members:
    raise ValueError(f"{len(trees)} trees to start from, {members} schedules")
  starts = list({id(tree): tree for tree in trees}.values())
  places = {id(tree): number for number, tree in enumerate(starts)}
  return starts, np.array([places[id(tree)] for tree in trees], int)


@functools.partial(jax.jit, static_argnums=(0, 3))
def start(member: Member, starts: Sequence[Params], of_member: jax.Array, mesh: jax.sharding.Mesh) -> MemberState:
  """States before the first step, spread over the mesh; each member's from the start with its number i[members]."""
  states = [member.init(params) for params in starts]
  stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves)[of_member], *states)
  return jax.lax.with_sharding_constraint(stacked, NamedSharding(mesh, PartitionSpec(AXIS)))


@functools.partial(jax.jit, static_argnums=(0, 1, 2), donate_argnums=(3,))
def advance(
  member: Member,
  strategy: Strategy,
  mesh: jax.sharding.Mesh,
  state: MemberState,
  rates: jax.Array,
  data: DeviceSplit,
  batches: Batches,
) -> tuple[MemberState, jax.Array]:
  """A few steps of every member, at rates f32[members, steps, layers]; turns are even, and equal on all devices.

  Returns the states after, in the memory of those before, and losses f32[members, steps].
  """
  sharded, everywhere = PartitionSpec(AXIS), PartitionSpec()

  # Unchecked, since a user's network may start a loop from a constant, which no member's numbers have to do with.
  @functools.partial(
    jax.shard_map,
    mesh=mesh,
    in_specs=(sharded, sharded, everywhere, everywhere),
    out_specs=(sharded, sharded),
    check_vma=False,
  )
  def on_each_device(state, rates, data, batches):
    return advance_members(lambda state, rates: member.run(state, rates, data, batches), state, rates, strategy)

  return on_each_device(state, rates, data, batches)
