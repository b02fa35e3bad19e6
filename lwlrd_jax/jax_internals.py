"""What is used of JAX that its documentation does not promise; every release of JAX may change it.

All of it is here, so that one place has to follow; `tests/test_jax_internals.py` tries it with the oldest and the
newest JAX that the package takes. The names of an equation's inner computations are relied on (`jaxpr`, `body_jaxpr`,
`branches`), but not the counts beside them, which were renamed: counts are read from shapes.
"""

from typing import Any, NamedTuple

import jax
from jax._src import pjit
from jax._src.interpreters import pxla
from jax.extend.core import Jaxpr


class Loop(NamedTuple):
  """A `scan` or `while`."""

  body: Jaxpr  # one turn, from constants, what is carried and slices of arrays to what is carried and slices of outputs
  skipped: int  # how many of the equation's inputs, the first ones, the body does not read: those of a condition
  consts: int  # how many inputs of the body are the same in every turn
  carries: int  # how many are the outputs of the turn before


def computation(value: Any) -> Jaxpr | None:
  """A computation, with or without the values of its constants, as it is; None for anything else."""
  found = getattr(value, "jaxpr", value)  # until JAX 0.11 a closed computation is a type of its own, around this one
  return found if isinstance(found, Jaxpr) else None


def loop_of(equation: Any) -> Loop | None:
  """How an equation loops; None if it does not."""
  name, settings = equation.primitive.name, equation.params
  if name == "scan":
    body = computation(settings["jaxpr"])
    assert body is not None
    # What is sliced has one more axis outside; all else has the same shape on both sides.
    sliced = sum(map(_is_longer, equation.invars, body.invars))
    carries = len(body.outvars) - sum(map(_is_longer, equation.outvars, body.outvars))
    return Loop(body, 0, len(body.invars) - carries - sliced, carries)
  if name == "while":
    body = computation(settings["body_jaxpr"])
    assert body is not None
    carries = len(body.outvars)
    return Loop(body, len(equation.invars) - len(body.invars), len(body.invars) - carries, carries)
  return None


def branches_of(equation: Any) -> list[Jaxpr]:
  """What a `cond` or `switch` chooses from by its first input, each of all other inputs; empty for other equations."""
  if equation.primitive.name != "cond":
    return []
  return [branch for branch in map(computation, equation.params["branches"]) if branch is not None]


def _is_longer(outside: Any, inside: Any) -> bool:
  return len(outside.aval.shape) > len(inside.aval.shape)


def setting(name: str) -> Any:
  """One of JAX's settings, as the context has it; before JAX 0.12 their type does not know them by name."""
  return getattr(jax.config, name)


def coordination_client() -> Any:
  """The client of JAX's coordination service; there is no public way to read a value without waiting."""
  from jax._src import distributed  # noqa: PLC0415

  return distributed.global_state.client


def forget_lowered() -> None:
  """Frees what programs were compiled from, in JAX 0.10 a megabyte for each. They stay compiled."""
  pjit._pjit_lower.cache_clear()
  pxla._cached_lowering_to_hlo.cache_clear()
