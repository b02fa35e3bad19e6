"""Members are measured in groups that change nothing."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lwlrd_jax.attacks.transpose import Transpose
from lwlrd_jax.metrics.measure import Bench
from lwlrd_jax.metrics.postprocess import public_statistics
from lwlrd_jax.runs.measuring import Treated, measure_all, status


@pytest.fixture(scope="module")
def case(tiny_network, smooth_split):
  """What `measure_all` needs: a bench, an attack, and members with and without an entry beside their layers."""
  network, params = tiny_network("mlp", width=32)
  data = smooth_split(64)
  attack = Transpose(stolen=16, steps=20, batch_size=16)
  infected = attack.infect(network, params, data, jax.random.key(0))
  live = jax.tree.map(lambda leaf: jnp.ones(leaf.shape, bool), params)

  def member(i, converged=True, **extra):
    moved = jax.tree.map(lambda leaf: leaf + 0.01 * i, infected.params)
    return Treated(f"m{i}", {"number": i}, {**moved, **extra}, live, converged)

  extra = {"extra": jnp.ones(3)}
  members = [
    member(0),
    member(1, **extra),
    member(2, **extra),
    member(3, **extra),
    member(4),
    member(5, converged=False),
  ]
  return Bench(network, data, data, data, public_statistics(data)), attack, infected, members


def _measured(case, together, members):
  bench, attack, infected, _ = case
  return list(measure_all(bench, attack, members, infected, together))


@pytest.mark.parametrize("together", [2, 4])
def test_side_by_side_is_one_after_another(case, together):
  members = case[-1]
  alone, grouped = (_measured(case, size, iter(members)) for size in (1, together))
  assert [member.name for member, _ in alone] == [member.name for member, _ in grouped] == [m.name for m in members]
  for (_, one), (_, other) in zip(alone, grouped, strict=True):
    for name in ("utility", "utility_val", "auc_by_image", "leakage", "survival"):
      jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4), getattr(one, name), getattr(other, name)
      )
    # Of classifiers that are trained, in which rounding grows from step to step.
    np.testing.assert_allclose(one.downstream.mean(), other.downstream.mean(), atol=0.02)


def test_members_are_made_as_they_are_needed(case):
  made = []

  def members():
    for member in case[-1]:
      made.append(member.name)
      yield member

  bench, attack, infected, _ = case
  first = next(iter(measure_all(bench, attack, members(), infected, 1)))
  assert first[0].name == "m0"
  assert made == ["m0"]


def test_status(case):
  found = _measured(case, 1, case[-1][-2:])
  assert [status(*one) for one in found] == ["ok", "diverged"]
  member, measured = found[0]
  broken = member._replace(params=jax.tree.map(lambda leaf: leaf * jnp.inf, member.params))
  assert status(broken, measured) == "diverged"
  unread = measured._replace(leakage=measured.leakage._replace(reid=measured.leakage.reid * jnp.nan))
  assert status(member, unread) == "failed: the extracted images are not finite"
