"""How one device works through the members of a population: one after another, side by side, or a few at a time."""

from collections.abc import Callable
from typing import Any, Literal

import jax

from lwlrd_jax.models.cost import training_flops
from lwlrd_jax.models.network import Network, Params

# `loop` takes members one after another, `vmap` all of them side by side, a number so many side by side.
Strategy = Literal["loop", "vmap"] | int


# Of a training step. On two cores, 9 members of 0.03 GFLOP a step were twice as fast side by side, of 0.1 as fast, and
# of 0.2 or more a fifth slower, whatever the network: they crowd each other out of the cache.
_SMALL = 1e8


def default_strategy(network: Network, params: Params, batch_size: int) -> Strategy:
  """What was fastest for such members: on CPUs a loop, unless networks are very small; else `vmap`.

  Args:
    network: The members' structure.
    params: Their weights, or the shapes of these.
    batch_size: Images a step.
  """
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
  if together == 1:
    return jax.lax.map(lambda member: of_member(*member), trees)
  if together == members:
    return jax.vmap(of_member)(*trees)
  return jax.lax.map(lambda member: of_member(*member), trees, batch_size=together)
