"""What is used of JAX beyond its documentation; the oldest and the newest JAX have to have it."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.monitoring
import jax.numpy as jnp
import pytest
from jax._src import pjit
from jax._src.interpreters import pxla

from lwlrd_jax.jax_internals import (
  Loop,
  branches_of,
  computation,
  coordination_client,
  forget_lowered,
  loop_of,
  setting,
)

pytestmark = pytest.mark.newest
X, KERNEL = jnp.ones((2, 4)), jnp.ones((4, 4))


def equations_of(fn, *arguments):
  traced = computation(jax.make_jaxpr(fn)(*arguments))
  assert traced is not None
  return traced.eqns


def only_loop(fn, *arguments) -> Loop:
  (loop,) = [loop for loop in map(loop_of, equations_of(fn, *arguments)) if loop is not None]
  return loop


def shapes(variables: Sequence[Any]) -> list[tuple[int, ...]]:
  return [variable.aval.shape for variable in variables]


def scanned(x, kernel, sliced):
  """Two constants, two carries, two arrays that are sliced, and outputs of each turn."""
  turn = lambda c, row: ((c[0] @ kernel + row["a"] + x, c[1] + 1), (row["b"] * 2, c[1]))  # noqa: E731
  return jax.lax.scan(turn, (x, jnp.zeros((), jnp.int32)), sliced)


SLICED = {"a": jnp.ones((3, 2, 4)), "b": jnp.ones((3, 4))}


def test_a_scan():
  loop = only_loop(scanned, X, KERNEL, SLICED)
  assert (loop.skipped, loop.carries) == (0, 2)
  assert loop.consts + loop.carries + len(SLICED) == len(loop.body.invars)
  assert shapes(loop.body.invars[loop.consts + loop.carries :]) == [(2, 4), (4,)]
  assert shapes(loop.body.outvars) == [(2, 4), (), (4,), ()]


def test_a_scan_of_nothing_but_turns():
  loop = only_loop(lambda x, kernel: jax.lax.scan(lambda y, _: (y @ kernel, None), x, length=3)[0], X, KERNEL)
  assert (loop.skipped, loop.consts, loop.carries) == (0, 1, 1)


@pytest.mark.parametrize("reverse", [False, True])
def test_a_scan_under_other_transformations(reverse):
  def fn(x, kernel, rows):
    return jax.lax.scan(lambda y, row: (jnp.tanh(y @ kernel + row), y.sum()), x, rows, reverse=reverse)

  rows = jnp.ones((3, 4))
  loop = only_loop(jax.vmap(fn, (0, None, None)), X[None], KERNEL, rows)
  assert (loop.consts, loop.carries, len(loop.body.invars)) == (1, 1, 3)
  tangents = only_loop(lambda *given: jax.jvp(fn, given, given), X, KERNEL, rows)
  assert (tangents.consts, tangents.carries, len(tangents.body.invars)) == (2, 2, 6)


def test_a_while_loop():
  def fn(x, kernel, limit):
    return jax.lax.while_loop(lambda y: y.sum() < limit, lambda y: y @ kernel, x)

  loop = only_loop(fn, X, KERNEL, jnp.float32(3))
  assert (loop.skipped, loop.consts, loop.carries) == (1, 1, 1)


@pytest.mark.parametrize("turns", [3, None])
def test_a_fori_loop(turns):
  """Known turns make a scan, others a while."""
  fn = lambda x, kernel, n: jax.lax.fori_loop(0, turns or n, lambda _, y: y @ kernel, x)  # noqa: E731
  loop = only_loop(fn, X, KERNEL, 3)
  assert (loop.skipped, loop.consts) == (0, 1)
  assert loop.carries in (2, 3)  # what is counted is carried beside the value


def test_branches():
  fn = lambda n, x, kernel: jax.lax.switch(n, [lambda x, k: x @ k, lambda x, k: x, lambda x, k: x - k[0]], x, kernel)  # noqa: E731
  (found,) = [branches for branches in map(branches_of, equations_of(fn, 0, X, KERNEL)) if branches]
  assert [len(branch.invars) for branch in found] == [2, 2, 2]
  assert [shapes(branch.outvars) for branch in found] == [[(2, 4)]] * 3


def test_what_neither_loops_nor_branches():
  for equation in equations_of(lambda x, kernel: jnp.tanh(x @ kernel), X, KERNEL):
    assert loop_of(equation) is None
    assert branches_of(equation) == []
    assert not [value for value in equation.params.values() if computation(value) is not None]


def test_settings():
  assert setting("jax_enable_x64") is False
  with jax.default_matmul_precision("float32"):
    assert setting("jax_default_matmul_precision") == "float32"
  assert setting("jax_compilation_cache_dir") == jax.config.values["jax_compilation_cache_dir"]


def test_nobody_to_coordinate_with():
  """What it is asked for where there is somebody is in tests/multihost."""
  assert coordination_client() is None


def test_what_a_program_was_compiled_from_is_forgotten_but_not_the_program():
  lowered: list[str] = []

  def listen(event: str, duration_secs: float, **kwargs: Any) -> None:
    del duration_secs, kwargs
    if event.endswith("jaxpr_to_mlir_module_duration"):
      lowered.append(event)

  program = jax.jit(lambda x: x * 3 + 1)
  jax.monitoring.register_event_duration_secs_listener(listen)
  try:
    first = program(X)
    assert len(lowered) == 1
    forget_lowered()
    caches = pjit._pjit_lower, pxla._cached_lowering_to_hlo
    assert [cache.cache_info().currsize for cache in caches] == [0, 0]
    again = program(X)
    assert len(lowered) == 1
  finally:
    jax.monitoring.unregister_event_duration_listener(listen)
  assert (first == again).all()
