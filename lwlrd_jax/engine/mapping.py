"""How one device works through the members of a population: one after another, side by side, or a few at a time."""

from collections.abc import Callable
from typing import Any, Literal

import jax
import jax.numpy as jnp

from lwlrd_jax.models.cost import training_flops
from lwlrd_jax.models.network import Network, Params

# `loop` takes members one after another, `vmap` all of them side by side, a number so many side by side.
Strategy = Literal["loop", "vmap"] | int

# Operations of a training step. On two cores, nine members of 0.03 GFLOP a step were 1.8 times as fast side by side, of
# 0.12 a little slower, of 0.26 a fifth: they crowd each other out of the cache (docs/performance.md).
_SMALL = 1e8


def default_strategy(network: Network, params: Params, batch_size: int) -> Strategy:
  """What was fastest for members of these weights (or shapes): on CPUs a loop, unless networks are very small."""
  if jax.default_backend() != "cpu":
    return "vmap"
  return "vmap" if training_flops(network, params, batch_size) < _SMALL else "loop"


def side_by_side(strategy: Strategy, members: int) -> int:
  """How many of a device's members are worked on at a time, at least 1 and at most all of them.

  A number is lowered as far as the same number of turns allows: of 9 members 4 at a time would be 4, 4 and 1.

  >>> [side_by_side(strategy, 9) for strategy in ("loop", "vmap", 4, 5, 100)]
  [1, 9, 3, 5, 9]
  """
  if strategy == "loop":
    return 1
  if strategy == "vmap":
    return members
  turns = -(-members // strategy)
  return -(-members // turns)


def map_members(of_member: Callable[..., Any], trees: tuple[Any, ...], strategy: Strategy) -> Any:
  """Maps a function of one member's trees over trees with a leading axis of members in every array."""
  members = len(jax.tree.leaves(trees)[0])
  together = side_by_side(strategy, members)
  if together == members > 1:
    return jax.vmap(of_member)(*trees)
  batch_size = together if together > 1 else None
  return jax.lax.map(lambda member: of_member(*member), trees, batch_size=batch_size)


def advance_members(
  of_member: Callable[[Any, Any], tuple[Any, Any]], states: Any, inputs: Any, strategy: Strategy
) -> tuple[Any, Any]:
  """As `map_members`, for a function from a member's state and input to its next state and what else it returns.

  The next state replaces the last one in memory, in turns that have to be even. A map would read all states from one
  stack and write all to another, which costs members in turns some hundredths of their time.
  """
  members = len(jax.tree.leaves(states)[0])
  together = side_by_side(strategy, members)
  if members % together:
    raise ValueError(f"{members} members in turns of {together}")
  if together == members > 1:
    return jax.vmap(of_member)(states, inputs)

  def alone(state: Any, given: Any) -> tuple[Any, Any]:
    # Not mapped over an axis of one: what has one axis more is computed otherwise.
    found = of_member(*jax.tree.map(lambda leaf: leaf[0], (state, given)))
    return jax.tree.map(lambda leaf: leaf[None], found)

  of_turn = jax.vmap(of_member) if together > 1 else alone

  def take_turn(states: Any, turn: tuple[jax.Array, Any]) -> tuple[Any, Any]:
    first, given = turn
    now = jax.tree.map(lambda leaf: jax.lax.dynamic_slice_in_dim(leaf, first, together), states)
    after, found = of_turn(now, given)
    replace = lambda leaf, new: jax.lax.dynamic_update_slice_in_dim(leaf, new, first, 0)  # noqa: E731
    return jax.tree.map(replace, states, after), found

  by_turn = jax.tree.map(lambda leaf: leaf.reshape(-1, together, *leaf.shape[1:]), inputs)
  states, found = jax.lax.scan(take_turn, states, (jnp.arange(0, members, together), by_turn))
  return states, jax.tree.map(lambda leaf: leaf.reshape(members, *leaf.shape[2:]), found)
