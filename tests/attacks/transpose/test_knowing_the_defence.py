"""Each attacker who knows the defence against the plain one, in the situation they prepare for."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lwlrd_jax.attacks.transpose import Flat, Heavy, Rehearsed, Restorer, Transpose
from lwlrd_jax.attacks.transpose.rehearsed import unlikeness
from lwlrd_jax.data.batches import Batches, batch_plan
from lwlrd_jax.data.device import scale
from lwlrd_jax.defenses.schedules import lwlrd, time_shape
from lwlrd_jax.engine.member import Member
from lwlrd_jax.metrics.leakage import reidentification
from lwlrd_jax.metrics.postprocess import POSTPROCESSINGS, public_statistics

STOLEN, STEPS = 16, 400


@pytest.fixture(scope="module")
def victim(tiny_network, smooth_split):
  network, params = tiny_network("mlp", width=64)
  return network, params, smooth_split(128)


@pytest.fixture(scope="module")
def plain(victim):
  network, params, data = victim
  return Transpose(stolen=STOLEN, steps=STEPS, batch_size=32).infect(network, params, data, jax.random.key(0))


def _loss(attack, network, params, infected, data):
  reconstructed = attack.read(network, params, infected.secret).images
  return float(unlikeness(reconstructed, scale(data.images[infected.stolen])))


def test_flat_memories_stand_noise(victim, plain):
  network, params, data = victim
  attack = Flat(stolen=STOLEN, steps=STEPS, batch_size=32)
  flat = attack.infect(network, params, data, jax.random.key(0))

  def after_noise(infected, seed):
    leaves, tree = jax.tree.flatten(infected.params)
    keys = jax.random.split(jax.random.key(seed), len(leaves))
    moved = [w + 0.3 * w.std() * jax.random.normal(k, w.shape) for w, k in zip(leaves, keys, strict=True)]
    return _loss(attack, network, jax.tree.unflatten(tree, moved), infected, data)

  losses = np.array([[after_noise(infected, seed) for seed in range(5)] for infected in (plain, flat)]).mean(axis=1)
  assert losses[1] < 0.9 * losses[0]


@pytest.mark.parametrize(
  "attack",
  [
    Heavy(stolen=STOLEN, steps=STEPS, batch_size=32),
    Rehearsed(stolen=STOLEN, steps=STEPS, batch_size=32, weight=0.1),
  ],
)
def test_memories_made_for_it_stand_the_defence(attack, victim, plain):
  network, params, data = victim
  prepared = attack.infect(network, params, data, jax.random.key(0))
  rates = jnp.asarray(lwlrd(0.02, 0.6, layers=4, shape=time_shape("cosine", 100)))
  batches = Batches(batch_plan(jax.random.key(7), len(data), 32, 100), None)
  member = Member(network, "adam", 0.0)

  def after_defence(infected):
    defended, _ = jax.jit(member.run)(member.init(infected.params), rates, data, batches)
    return _loss(attack, network, defended.params, infected, data)

  losses = [after_defence(infected) for infected in (plain, prepared)]
  assert losses[1] < 0.9 * losses[0]


def test_restorer_replaces_a_destroyed_layer(victim, tiny_network, smooth_split):
  _, _, data = victim
  network, params = tiny_network("mlp", width=48)
  attack = Restorer(stolen=STOLEN, steps=3 * STEPS, batch_size=112, memory_lr=1e-2, pilots=96)
  infected = attack.infect(network, params, data, jax.random.key(0), public=smooth_split(96, seed=5))
  kernel = infected.params["dense0"]["kernel"]
  noise = kernel.std() * jax.random.normal(jax.random.key(1), kernel.shape)
  destroyed = {**infected.params, "dense0": {**infected.params["dense0"], "kernel": noise}}
  read = attack.read(network, destroyed, infected.secret)
  assert read.restored.shape == (3, STOLEN, 12, 12, 1)
  public = public_statistics(data)
  closed = jnp.stack([restore(read.images, public) for restore in POSTPROCESSINGS.values()])
  by_anybody, by_the_attacker = (
    float(reidentification(versions, infected.stolen, data, public.mean).mean(axis=1).max())
    for versions in (closed, read.restored)
  )
  assert by_anybody < 0.3
  assert by_the_attacker > by_anybody + 0.2
