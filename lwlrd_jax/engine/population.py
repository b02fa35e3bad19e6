"""Fine-tuning of MANY members at once: one compiled program for any mix of schedules, on all devices.

The step is written for one member (`member.py`). Here it is mapped over the members of each device (`mapping.py`),
inside `jax.shard_map` over a one-axis mesh: no member ever needs another's numbers, so no device ever talks to another.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

from lwlrd_jax.data.batches import Batches, task_batches
from lwlrd_jax.data.device import DeviceSplit
from lwlrd_jax.data.stream import in_calls, portions, steps_per_call
from lwlrd_jax.engine.mapping import Strategy, advance_members, default_strategy, side_by_side
from lwlrd_jax.engine.member import Member, MemberState
from lwlrd_jax.models.network import Params

AXIS = "members"


class Population(NamedTuple):
  """Fine-tuned members.

  Attributes:
    params: Parameters with a leading axis of members, NumPy arrays: what follows looks at one member at a time, and
      picking one out of arrays that are spread over devices would set all of them to work, and to wait for each other.
    losses: f32[members, steps], each step's training loss before its update.
  """

  params: Params
  losses: np.ndarray


def member_mesh(devices: list[jax.Device] | None = None) -> jax.sharding.Mesh:
  """A mesh of one axis over these devices; all of this process's by default."""
  devices = jax.local_devices() if devices is None else devices
  return jax.make_mesh((len(devices),), (AXIS,), axis_types=(jax.sharding.AxisType.Auto,), devices=devices)


def finetune(
  params: Params,
  schedules: np.ndarray,
  data: DeviceSplit,
  key: jax.Array,
  *,
  member: Member,
  batch_size: int,
  augment: str = "none",
  strategy: Strategy | None = None,
  mesh: jax.sharding.Mesh | None = None,
  on_steps: Callable[[int], None] = lambda steps: None,
) -> Population:
  """Fine-tunes one model under many schedules.

  All members see the same batches, so that schedules differ by nothing but their rates. Member i of a population equals
  a lone run of member i, whatever the population's size, the number of devices, and where the images are.

  Args:
    params: Where every member starts.
    schedules: f32[members, steps, layers], the learning rates.
    data: The training split.
    key: Random key of the batches' order, and of augmentation.
    member: How a member trains.
    batch_size: Examples a step.
    augment: What is done to images, a name of `data.augment.AUGMENTATIONS`.
    strategy: How a device maps over its members; `default_strategy` if None.
    mesh: Devices to use; `member_mesh()` if None.
    on_steps: Called with the number of steps each member has just finished.

  Returns:
    The population. Members may have diverged: their losses or parameters are not finite then.

  Raises:
    ValueError: `schedules` does not have one rate for each layer.
  """
  schedules = np.asarray(schedules, np.float32)
  members, steps, layers = schedules.shape
  if layers != len(member.network.layers):
    raise ValueError(f"schedules have {layers} layers, the model has {len(member.network.layers)}")
  if strategy is None:
    strategy = default_strategy(member.network, member.network.declared(params), batch_size)
  mesh = member_mesh() if mesh is None else mesh

  # Steps are split into equal calls of one compiled program. Padding steps and members have rate 0: nothing changes.
  per_call = steps_per_call(data, steps, min(batch_size, len(data)))
  calls = -(-steps // per_call)
  turn = mesh.size * side_by_side(strategy, -(-members // mesh.size))
  padding = (-members % turn, calls * per_call - steps)
  rates = np.pad(schedules, ((0, padding[0]), (0, padding[1]), (0, 0)))
  batches = task_batches(key, data, batch_size, calls * per_call, augment)
  by_call = in_calls(batches, per_call)
  everywhere = NamedSharding(mesh, PartitionSpec())

  state = start(member, params, len(rates), mesh)
  losses = []
  for call, (part, positions) in enumerate(portions(data, [of_call.positions for of_call in by_call], everywhere)):
    now = by_call[call]._replace(positions=positions)
    state, loss = advance(member, strategy, mesh, state, rates[:, call * per_call :][:, :per_call], part, now)
    losses.append(np.asarray(loss))  # waits for the device: progress is what is done, not what is queued
    on_steps(min(per_call, steps - call * per_call))
  kept = jax.tree.map(lambda leaf: leaf[:members], jax.device_get(state.params))
  return Population(kept, np.concatenate(losses, axis=1)[:members, :steps])


@functools.partial(jax.jit, static_argnums=(0, 2, 3))
def start(member: Member, params: Params, members: int, mesh: jax.sharding.Mesh) -> MemberState:
  """The same start for every member, spread over the mesh."""
  stacked = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (members, *leaf.shape)), member.init(params))
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
  """A few steps of every member.

  Args:
    member: How a member trains.
    strategy: How a device maps over its members.
    mesh: The devices; its size divides the number of members, and each has even turns.
    state: Every member's state; its memory is reused.
    rates: f32[members, steps, layers].
    data: The training split, or as much of it as these steps read.
    batches: What each step reads.

  Returns:
    The states after, and losses f32[members, steps].
  """
  sharded, everywhere = PartitionSpec(AXIS), PartitionSpec()

  @functools.partial(
    jax.shard_map, mesh=mesh, in_specs=(sharded, sharded, everywhere, everywhere), out_specs=(sharded, sharded)
  )
  def on_each_device(state, rates, data, batches):
    def run(state, rates):
      return member.run(state, rates, data, batches)

    return advance_members(run, state, rates, strategy)

  return on_each_device(state, rates, data, batches)
