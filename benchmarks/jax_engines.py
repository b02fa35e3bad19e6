"""This package's engine, and the plain JAX loop that one would write instead."""

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.problem import Engine, Problem
from lwlrd_jax.data.dataset import Split
from lwlrd_jax.data.device import scale, to_device
from lwlrd_jax.engine.mapping import Strategy, default_strategy
from lwlrd_jax.engine.member import Member
from lwlrd_jax.engine.population import Finetuning, finetune, member_mesh


def ours(problem: Problem) -> Engine:
  """`finetune` on one device, with the strategy that it chooses itself."""
  return _ours(problem, _default(problem))


def ours_otherwise(problem: Problem) -> Engine:
  """The same with the other strategy, to see whether the choice is right."""
  return _ours(problem, "loop" if _default(problem) == "vmap" else "vmap")


def _default(problem: Problem) -> Strategy:
  return default_strategy(problem.network, problem.params, problem.batches.shape[1])


def _ours(problem: Problem, strategy: Strategy) -> Engine:
  data = to_device(Split(problem.images, problem.labels))
  member = Member(problem.network, "adam", 0.0)

  def run(steps: int) -> np.ndarray:
    return finetune(
      problem.params,
      problem.schedules[:, :steps],
      data,
      jax.random.key(1),
      Finetuning(member, problem.batches.shape[1], strategy=strategy, mesh=member_mesh(jax.local_devices()[:1])),
    ).losses

  return run


def plain_loop(problem: Problem) -> Engine:
  """One member after another, one compiled step after another, the loss read at the end of each member."""
  member = Member(problem.network, "adam", 0.0)
  images, labels = jnp.asarray(problem.images), jnp.asarray(problem.labels)

  def one_step(state, lr, batch):
    return member.step(state, lr, scale(images[batch]), labels[batch])

  step = jax.jit(one_step, donate_argnums=0)
  start = jax.jit(member.init)

  def run(steps: int) -> np.ndarray:
    losses = []
    for schedule in problem.schedules:
      state, of_member = start(problem.params), []
      for lr, batch in zip(schedule[:steps], problem.batches[:steps], strict=True):
        state, loss = step(state, lr, batch)
        of_member.append(loss)
      losses.append(np.asarray(jnp.stack(of_member)))
    return np.stack(losses)

  return run
