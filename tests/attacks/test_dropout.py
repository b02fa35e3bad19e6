"""Attacks on networks with dropout: each trains with it in its own way, by its own keys."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from lwlrd_jax.attacks.base import Task
from lwlrd_jax.attacks.dec.carriers.base import Host
from lwlrd_jax.attacks.dec.carriers.hold import Hold, train_held
from lwlrd_jax.attacks.transpose import Rehearsed
from lwlrd_jax.data.device import DeviceSplit
from lwlrd_jax.models.network import split_model


class Net(nnx.Module):
  def __init__(self, rate, rngs):
    self.first, self.last = nnx.Linear(16, 8, rngs=rngs), nnx.Linear(8, 3, rngs=rngs)
    self.drop = nnx.Dropout(rate, rngs=rngs)

  def __call__(self, images):
    return self.last(self.drop(nnx.relu(self.first(images.reshape(len(images), -1)))))

  def transpose(self, codes):
    return (nnx.relu(codes @ self.last.kernel[...].T) @ self.first.kernel[...].T).reshape(-1, 4, 4, 1)


def build(rate=0.5, seed=0):
  return split_model(Net(rate, nnx.Rngs(seed)), (4, 4, 1), 3)


@pytest.fixture(scope="module")
def data():
  rng = np.random.default_rng(0)
  images = jnp.asarray(rng.integers(0, 256, (24, 4, 4, 1)), jnp.uint8)
  return DeviceSplit(images, jnp.asarray(rng.integers(0, 3, 24), jnp.int32))


def same(one, other):
  jax.tree.map(np.testing.assert_array_equal, one, other)


def test_an_infection_is_what_it_would_be_alone(data):
  attack = Rehearsed(stolen=4, steps=4, batch_size=8, rehearsal_steps=2)
  (network, first), (_, second) = build(), build(seed=1)
  keys = list(jax.random.split(jax.random.key(7), 2))
  together = attack.infect_all(Task(network, data), [first, second], keys, strategy="loop")
  alone = attack.infect_all(Task(network, data), [second], keys[1:], strategy="loop")
  same(together[1].params, alone[0].params)
  without = attack.infect_all(Task(build(0.0)[0], data), [second], keys[1:], strategy="loop")
  assert not np.array_equal(without[0].params["first"]["kernel"], alone[0].params["first"]["kernel"])


def test_what_is_held_is_trained_around_with_dropout(data):
  def trained(rate, key):
    network, params = build(rate)
    hold = Hold(
      jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, bool).at[0].set(True), params),
      jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, jnp.int8), params),
    )
    after = train_held(Host(network, params, data), jax.random.key(key), hold, 4, lambda steps: None)
    same(jax.tree.map(lambda leaf: leaf[0], params), jax.tree.map(lambda leaf: leaf[0], after))
    return after

  same(trained(0.5, 1), trained(0.5, 1))
  assert not np.array_equal(trained(0.5, 1)["first"]["kernel"], trained(0.0, 1)["first"]["kernel"])
