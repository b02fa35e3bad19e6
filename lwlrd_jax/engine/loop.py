"""The one training loop, of infection, fine-tuning, held codes and the image codec."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

import jax

from lwlrd_jax.data.device import DeviceSplit
from lwlrd_jax.data.stream import portions

State = TypeVar("State")


class Call(NamedTuple):
  """What a call of the compiled program reads."""

  positions: jax.Array  # i32[...], examples of the split
  inputs: Any  # what else its steps take: a tree of arrays


def train(
  advance: Callable[[State, DeviceSplit, Call], tuple[State, Any]],
  start: Callable[[DeviceSplit, Call], State],
  data: DeviceSplit,
  calls: Sequence[Call],
  after: Callable[[State, Any], None],
  *,
  sharding: jax.sharding.Sharding | None = None,
) -> State:
  """Trains by a compiled program of a few steps, called until all are done; returns the last state.

  Args:
    advance: Takes the steps of a call: from a state, examples and the call, whose positions are those in the examples,
      to the state after and what is waited for, such as losses.
    start: Makes the first state, once the examples of the first call are there.
    data: The split, on the device or read ahead from the host.
    calls: At least one.
    after: Receives both results of `advance` once they are computed: progress is what is done, not what is queued.
    sharding: Where examples are to be; the default device if None.
  """
  state: Any = None
  read = portions(data, [call.positions for call in calls], sharding)
  for call, (part, positions) in zip(calls, read, strict=True):
    now = call._replace(positions=positions)
    state = start(part, now) if state is None else state
    state, found = advance(state, part, now)
    after(state, jax.block_until_ready(found))
  return state
