"""Members whose network draws random numbers: each is still what it would be alone."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from lwlrd_jax.data.batches import step_keys, task_batches
from lwlrd_jax.data.device import DeviceSplit
from lwlrd_jax.engine import population
from lwlrd_jax.engine.member import Member
from lwlrd_jax.engine.population import Finetuning, Reached, finetune, member_mesh
from lwlrd_jax.models.network import split_model

STEPS = 40


class Net(nnx.Module):
  """Dropout, and a loop that starts from a constant."""

  def __init__(self, rngs):
    self.first, self.last = nnx.Linear(16, 8, rngs=rngs), nnx.Linear(8, 3, rngs=rngs)
    self.drop = nnx.Dropout(0.5, rngs=rngs)
    self.read = nnx.RNN(nnx.GRUCell(8, 8, rngs=rngs), rngs=rngs)

  def __call__(self, images):
    hidden = self.drop(nnx.relu(self.first(images.reshape(len(images), -1))))
    return self.last(self.read(hidden[:, None])[:, 0])


@pytest.fixture(scope="module")
def problem():
  rng = np.random.default_rng(0)
  data = DeviceSplit(
    jnp.asarray(rng.integers(0, 256, (24, 4, 4, 1)), jnp.uint8), jnp.asarray(rng.integers(0, 3, 24), jnp.int32)
  )
  network, params = split_model(Net(nnx.Rngs(0)), (4, 4, 1), 3)
  schedules = np.full((3, STEPS, len(network.layers)), 1e-2, np.float32) * np.array([1, 0.5, 0.1])[:, None, None]
  return Member(network, "adam", 0.1), params, schedules.astype(np.float32), data


def tune(problem, members=slice(None), mesh=None, **more):
  member, params, schedules, data = problem
  how = Finetuning(member, 8, strategy="loop", mesh=mesh)
  return finetune(params, schedules[members], data, jax.random.key(1), how, **more)


def same(one, other):
  jax.tree.map(np.testing.assert_array_equal, one, other)


def test_a_member_is_what_it_would_be_alone(problem):
  together = tune(problem)
  lone = tune(problem, slice(1, 2), mesh=member_mesh(jax.local_devices()[:1]))
  same(jax.tree.map(lambda leaf: leaf[1:2], together.params), lone.params)
  np.testing.assert_array_equal(together.losses[1:2], lone.losses)


def test_it_goes_on_as_if_nothing_had_been(problem):
  kept: list[Reached] = []

  class Kept:
    def __init__(self, reached=None):
      self.reached = reached

    def restore(self):
      return self.reached

    def keep(self, reached):
      kept.append(reached())

    keep_now = keep

  whole = tune(problem, snapshots=Kept())
  assert 0 < kept[0].steps < STEPS
  # Random states are none of a member's: weights and two moments each, and the optimizer's counter.
  weights = len(jax.tree.leaves(whole.params))
  assert len(kept[0].leaves) < 4 * weights
  assert all(leaf.dtype in (np.float32, np.int32) for leaf in kept[0].leaves)
  resumed = tune(problem, snapshots=Kept(kept[0]))
  same(whole.params, resumed.params)
  np.testing.assert_array_equal(whole.losses, resumed.losses)


def test_each_step_draws_anew(problem):
  member, params, _, data = problem
  state = member.init(params)
  still = jnp.zeros(len(member.network.layers))
  keys = step_keys(jax.random.key(1), 3)
  images, labels = data.images[:8].astype(jnp.float32) / 255, data.labels[:8]
  loss = jax.jit(lambda key: member.step(state, still, images, labels, key)[1])
  losses = {float(loss(key)) for key in keys}
  assert len(losses) == 3
  np.testing.assert_array_equal(jax.random.key_data(step_keys(jax.random.key(1), 2)), jax.random.key_data(keys[:2]))


def test_nothing_is_drawn_for_a_network_without(problem):
  data = problem[-1]
  assert task_batches(jax.random.key(1), data, 8, 3, "none").keys is None
  with_keys = task_batches(jax.random.key(1), data, 8, 3, "shift", is_random=True)
  without = task_batches(jax.random.key(1), data, 8, 3, "shift")
  same(with_keys[:2], without[:2])


def test_a_second_call_compiles_nothing(problem):
  advance: Any = population.advance
  tune(problem)
  compiled = advance._cache_size()
  tune(problem)
  assert advance._cache_size() == compiled
