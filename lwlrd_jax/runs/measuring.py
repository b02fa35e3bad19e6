"""Members of a sweep are measured: one after another on CPUs, a few side by side elsewhere."""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from lwlrd_jax.attacks.base import Attack, Infected
from lwlrd_jax.metrics.measure import Bench, Measured, measure, measure_images, utility_of
from lwlrd_jax.models.network import Params
from lwlrd_jax.setup.setup import Setup
from lwlrd_jax.setup.starting_points import host_model


class Treated(NamedTuple):
  """A member that is to be measured."""

  name: str
  row: dict[str, Any]  # the cells that are known already
  params: Params
  live: Params  # see `metrics.capacity.survival`
  converged: bool  # whether all losses of its fine-tuning are finite


def measure_all(
  bench: Bench, attack: Attack, members: Iterable[Treated], infected: Infected, together: int
) -> Iterator[tuple[Treated, Measured]]:
  """Measures members in their order, so many at a time; the rest of a group one by one, so that two programs do."""
  for group in _groups(members, together):
    params, live = (_stack(trees) for trees in ([one.params for one in group], [one.live for one in group]))
    found = measure(bench, attack, infected, params, live, "vmap")
    for i, member in enumerate(group):
      yield member, jax.tree.map(lambda leaf, i=i: leaf[i], found)


def status(member: Treated, measured: Measured) -> str:
  """What the results table says of a member: `ok`, or what is wrong with it."""
  finite = all(bool(jnp.isfinite(leaf).all()) for leaf in jax.tree.leaves(member.params))
  if not (finite and member.converged):
    return "diverged"
  if not bool(jnp.isfinite(measured.leakage.reid).all()):
    return "failed: the extracted images are not finite"
  return "ok"


def hiding_figures(setup: Setup, attack: Attack, seed: int, infected: Infected) -> dict[str, float]:
  """Columns that only an untreated model has: the attack's own, and the host's AUC where it hides in a trained host."""
  host = host_model(setup.origin, seed) if attack.info.family.needs_host else None

  def psnr(images: jax.Array) -> float:
    return float(measure_images(images, infected.stolen, setup.bench.train, setup.bench.public).psnr.mean())

  found = attack.columns(setup.origin.task, host, infected, psnr)
  return (
    found if host is None else {"host_auc": float(utility_of(setup.plan.network, host, setup.bench.test).auc), **found}
  )


def _groups(members: Iterable[Treated], size: int) -> Iterator[list[Treated]]:
  """So many neighbours whose checkpoints have the same entries, or one alone."""
  group: list[Treated] = []
  for member in members:
    if group and _structure(member) != _structure(group[0]):
      yield from ([one] for one in group)
      group = []
    group.append(member)
    if len(group) == size:  # not when the next one is ready: that may take a while
      yield group
      group = []
  yield from ([one] for one in group)


def _structure(member: Treated) -> Any:
  return jax.tree.structure(member.params)


def _stack(trees: list[Params]) -> Params:
  return jax.tree.map(lambda *leaves: jnp.stack([jnp.asarray(leaf) for leaf in leaves]), *trees)
