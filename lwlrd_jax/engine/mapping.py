"""How one device works through the members of a population: one after another, side by side, or a few at a time."""

from collections.abc import Callable
from typing import Any, Literal

import jax

# `loop` takes members one after another, `vmap` all of them side by side, a number so many side by side.
Strategy = Literal["loop", "vmap"] | int


def default_strategy() -> Strategy:
  """A loop on CPUs, where members would only crowd each other out of the cache; `vmap` elsewhere."""
  return "loop" if jax.default_backend() == "cpu" else "vmap"


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
  """Maps a function over members; traced once in each of at most two forms.

  Args:
    of_member: Takes one member's trees.
    trees: The same with a leading axis of members in every array.
    strategy: How.

  Returns:
    What it returns, with a leading axis of members.
  """
  members = len(jax.tree.leaves(trees)[0])
  together = side_by_side(strategy, members)
  if together == members:
    return jax.vmap(of_member)(*trees)
  return jax.lax.map(lambda member: of_member(*member), trees, batch_size=None if together == 1 else together)
