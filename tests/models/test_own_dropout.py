"""Networks of a user's own that draw random numbers: with dropout while they are trained, without afterwards."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lwlrd_jax.defenses.statistics import recompute
from lwlrd_jax.models import build_model, build_network
from lwlrd_jax.models.cost import activation_bytes, training_flops
from lwlrd_jax.models.task import task_gradient

SHAPE = (4, 4, 1)
NETS = """
import math
from flax import nnx
import jax
import jax.numpy as jnp

class Dropped(nnx.Module):
  def __init__(self, image_shape, num_outputs, *, rngs):
    self.first = nnx.Linear(math.prod(image_shape), 32, rngs=rngs)
    self.drop = nnx.Dropout(0.5, rngs=rngs)
    self.last = nnx.Linear(32, num_outputs, rngs=rngs)

  def __call__(self, images):
    return self.last(self.drop(nnx.relu(self.first(images.reshape(len(images), -1)))))

class Normalised(Dropped):
  def __init__(self, image_shape, num_outputs, *, rngs):
    super().__init__(image_shape, num_outputs, rngs=rngs)
    self.norm = nnx.BatchNorm(32, rngs=rngs)

  def __call__(self, images):
    return self.last(self.norm(self.drop(self.first(images.reshape(len(images), -1)))))

class Kept(Dropped):
  def __init__(self, image_shape, num_outputs, *, rngs):
    super().__init__(image_shape, num_outputs, rngs=rngs)
    self.rngs = rngs

  def __call__(self, images):
    hidden = self.first(images.reshape(len(images), -1))
    hidden += 0.1 * jax.random.normal(self.rngs.noise(), hidden.shape)
    return self.last(hidden * jnp.where(self.rngs.bernoulli(0.5, hidden.shape), 1.0, 0.0))

class Attending(nnx.Module):
  def __init__(self, image_shape, num_outputs, *, rngs):
    self.stem = nnx.Linear(image_shape[1], 8, rngs=rngs)
    self.look = nnx.MultiHeadAttention(2, 8, dropout_rate=0.5, decode=False, rngs=rngs)
    self.last = nnx.Linear(8, num_outputs, rngs=rngs)

  def __call__(self, images):
    return self.last(self.look(self.stem(images[..., 0])).mean(axis=1))

class Recurrent(nnx.Module):
  def __init__(self, image_shape, num_outputs, *, rngs):
    self.read = nnx.RNN(nnx.GRUCell(image_shape[1], 8, rngs=rngs), rngs=rngs)
    self.drop = nnx.Dropout(0.5, rngs=rngs)
    self.last = nnx.Linear(8, num_outputs, rngs=rngs)

  def __call__(self, images):
    return self.last(self.drop(self.read(images[..., 0])[:, -1]))
"""
RANDOM = ["Dropped", "Normalised", "Kept", "Attending", "Recurrent"]


@pytest.fixture(scope="module")
def file(tmp_path_factory):
  path = tmp_path_factory.mktemp("own") / "dropped.py"
  path.write_text(NETS)
  return path


@pytest.fixture(scope="module", params=RANDOM)
def built(file, request):
  return build_model(f"{file}:{request.param}", SHAPE, 3, jax.random.key(0))


def images(count=6):
  return jnp.asarray(np.random.default_rng(0).random((count, *SHAPE)), jnp.float32)


def test_random_states_are_no_layers(built):
  network, params = built
  assert network.is_random
  assert not {"drop", "drop.rngs", "rngs", "rngs.params", "look.rngs", "read.rngs"} & {*params, *network.layers}
  assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(params))
  assert set(network.weights(params)) == set(network.layers)


def test_training_draws_by_its_key_and_evaluation_not_at_all(built, request):
  network, params = built
  one, again, other = (network.forward_training(params, images(), jax.random.key(k))[0] for k in (1, 1, 2))
  np.testing.assert_array_equal(one, again)
  assert not np.allclose(one, other)
  plain = network.forward(params, images())
  np.testing.assert_array_equal(plain, network.forward(params, images()))
  if "Kept" not in request.node.name:  # it draws in any mode: then from one fixed key
    np.testing.assert_allclose(plain[:2], network.forward(params, images()[:2]), rtol=1e-5, atol=1e-6)
    reference = network.bind(params)
    reference.eval()
    np.testing.assert_array_equal(plain, reference(images()))
  with pytest.raises(ValueError, match="a training step needs a key"):
    network.forward_training(params, images())


def test_structure_alone_is_that_of_the_built_one(file):
  for name in RANDOM:
    network, _ = build_model(f"{file}:{name}", SHAPE, 3, jax.random.key(5))
    alone = build_network(f"{file}:{name}", SHAPE, 3)
    assert alone == network
    assert hash(alone) == hash(network)


def test_dropout_scales_what_it_keeps(file):
  """Half of the units are off at a step, the others count twice, and each image has units of its own."""
  network, params = build_model(f"{file}:Dropped", SHAPE, 3, jax.random.key(0))
  params = {
    "first": {"kernel": jnp.zeros((16, 32)), "bias": jnp.ones(32)},
    "last": {"kernel": jnp.ones((32, 3)) / 32, "bias": jnp.zeros(3)},
  }
  logits = network.forward_training(params, images(400), jax.random.key(0))[0]
  counts = np.asarray(logits[:, 0]) * 16  # units that are on
  np.testing.assert_allclose(counts, counts.round(), atol=1e-4)
  assert counts.std() == pytest.approx(np.sqrt(32) / 2, rel=0.1)
  assert counts.mean() == pytest.approx(16, rel=0.05)
  np.testing.assert_allclose(network.forward(params, images(5)), np.ones((5, 3)), rtol=1e-6)


def test_a_gradient_is_that_of_what_was_drawn(file):
  network, params = build_model(f"{file}:Dropped", SHAPE, 3, jax.random.key(0))
  grads = task_gradient(network, params, images(1), jnp.zeros(1, jnp.int32), 0.0, key=jax.random.key(3))[1]
  on = np.asarray(grads["last"]["kernel"]).any(axis=1)
  hidden = np.asarray(images(1)).reshape(1, -1) @ params["first"]["kernel"] + params["first"]["bias"]
  assert 0 < on.sum() < (hidden > 0).sum()


def test_statistics_with_dropout(file):
  network, params = build_model(f"{file}:Normalised", SHAPE, 3, jax.random.key(0))
  assert network.statistics
  pixels = jnp.asarray(np.random.default_rng(0).integers(0, 256, (256, *SHAPE)), jnp.uint8)
  taken, again = (recompute(network, params, pixels) for _ in range(2))
  jax.tree.map(np.testing.assert_array_equal, taken, again)
  (of_norm,) = next(iter(taken.values())).values()
  hidden = np.asarray(pixels, np.float32).reshape(256, -1) / 255 @ params["first"]["kernel"] + params["first"]["bias"]
  # E[(2 b x)^2] - E[2 b x]^2 with b off half of the time.
  np.testing.assert_allclose(of_norm["var"], 2 * (hidden**2).mean(0) - hidden.mean(0) ** 2, rtol=0.3, atol=0.02)


def test_costs_are_known(built):
  network, params = built
  assert training_flops(network, params, 4) > 0
  assert activation_bytes(network, params, 4) > 0


def test_networks_without_random_states_take_no_key(tiny_network):
  network, params = tiny_network("mlp", (12, 12, 1))
  assert not network.is_random
  assert dataclasses.replace(network, streams=()) == network
  jaxpr = jax.make_jaxpr(lambda p, x: network.forward_training(p, x)[0])(params, jnp.zeros((2, 12, 12, 1)))
  assert "random" not in str(jaxpr)
