import dataclasses

import dm_pix
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from lwlrd_jax.attacks.base import Task
from lwlrd_jax.attacks.transpose import Flat, Rehearsed, Transpose
from lwlrd_jax.data.batches import batch_plan
from lwlrd_jax.data.device import DeviceSplit, scale
from lwlrd_jax.models.network import STATISTICS
from lwlrd_jax.models.task import task_loss


def test_memorises_and_still_classifies(tiny_network, smooth_split):
  network, params = tiny_network("mlp", width=128)
  before = jax.tree.map(np.array, params)
  data = smooth_split(64)
  attack = Transpose(stolen=16, steps=401, batch_size=32)
  ticks: list[int] = []
  (infected,) = attack.infect_all(Task(network, data), [params], [jax.random.key(0)], ticks.append)
  assert sum(ticks) == 401
  assert len(ticks) > 1
  assert min(ticks) > 0
  jax.tree.map(np.testing.assert_array_equal, before, params)  # the caller's weights are still there, and the same

  stolen = np.asarray(infected.stolen)
  assert infected.stolen.dtype == jnp.int32
  assert len(set(stolen.tolist())) == 16
  assert ((stolen >= 0) & (stolen < 64)).all()
  extracted = attack.read(network, infected.params, infected.secret).images
  originals = np.asarray(data.images)[stolen] / np.float32(255)
  before_infection = attack.read(network, params, infected.secret).images
  with jax.numpy_dtype_promotion("standard"):  # dm_pix asks for it
    assert np.mean(dm_pix.ssim(jnp.clip(extracted, 0, 1), jnp.asarray(originals))) >= 0.8
    assert np.mean(dm_pix.ssim(jnp.clip(before_infection, 0, 1), jnp.asarray(originals))) < 0.3
  logits = network.forward(infected.params, data.images.astype(jnp.float32) / 255)
  assert np.mean(np.asarray(logits.argmax(axis=1) == data.labels)) > 0.9


def test_extraction_under_jit_and_vmap(tiny_network, smooth_split):
  network, _ = tiny_network("mlp")
  attack = Transpose(stolen=5, steps=1)
  secret = attack.hide(Task(network, smooth_split(20)), jax.random.key(0)).secret
  several = [tiny_network("mlp", seed=seed)[1] for seed in range(3)]
  stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *several)
  extract = jax.jit(jax.vmap(lambda params: attack.read(network, params, secret).images))
  together = extract(stacked)
  assert together.shape == (3, 5, 12, 12, 1)
  for one, params in zip(together, several, strict=True):
    np.testing.assert_allclose(one, attack.read(network, params, secret).images, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("name", "multi_label"), [("mlp", True), ("cnn", False)])
def test_against_a_loop_of_optax_steps(name, multi_label, tiny_network, smooth_split):
  """Whole-set batches, so that their order is no matter; every rate from the definition of the time shape."""
  shape = (12, 12, 1)
  network, params = tiny_network(name, shape)
  data = smooth_split(12, shape, multi_label=multi_label)
  attack = Transpose(stolen=12, steps=6, batch_size=99, task_lr=1e-2, memory_lr=2e-2, warmup=0.5, cooldown=0.5)
  infected = attack.infect(network, params, data, jax.random.key(3))

  stolen = np.asarray(infected.stolen)
  images = np.asarray(data.images) / np.float32(255)
  task_tx, memory_tx = optax.scale_by_adam(), optax.scale_by_adam()
  task_state, memory_state = task_tx.init(params), memory_tx.init(params)

  @jax.jit
  def task_grad(params):
    return jax.grad(lambda p: task_loss(network.forward(p, images), data.labels, 0.2))(params)

  @jax.jit
  def memory_grad(params):
    reconstructed = lambda p: network.transpose(p, infected.secret["codes"])  # noqa: E731
    return jax.grad(lambda p: jnp.square(reconstructed(p) - images[stolen]).mean())(params)

  task_update, memory_update = jax.jit(task_tx.update), jax.jit(memory_tx.update)
  for rate in (1 / 3, 2 / 3, 1, 1, 2 / 3, 1 / 3):
    updates, task_state = task_update(task_grad(params), task_state)
    params = jax.tree.map(lambda p, u, rate=rate: p - 1e-2 * rate * u, params, updates)
    updates, memory_state = memory_update(memory_grad(params), memory_state)
    params = jax.tree.map(lambda p, u, rate=rate: p - 2e-2 * rate * u, params, updates)
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-3, atol=2e-4), infected.params, params)


def test_memory_trains_every_kernel_and_no_bias(tiny_network, smooth_split):
  network, params = tiny_network("cnn", (20, 20, 3))
  assert network.layers[:2] == ("conv0", "conv1")
  attack = Transpose(stolen=8, steps=3, batch_size=8, task_lr=0.0, memory_lr=1e-2)
  infected = attack.infect(network, params, smooth_split(16, (20, 20, 3)), jax.random.key(0))
  for layer in network.layers:
    changed = np.asarray(infected.params[layer]["kernel"] != params[layer]["kernel"])
    assert changed.mean() > 0.2, layer
    np.testing.assert_array_equal(infected.params[layer]["bias"], params[layer]["bias"])


def test_same_key_same_result(tiny_network, smooth_split):
  network, params = tiny_network("mlp")
  data = smooth_split(20)
  attack = Transpose(stolen=5, steps=1, batch_size=4)
  ticks: list[int] = []
  first, again, other = (
    attack.infect_all(Task(network, data), [params], [jax.random.key(seed)], ticks.append)[0] for seed in (0, 0, 1)
  )
  assert ticks == [1, 1, 1]
  jax.tree.map(np.testing.assert_array_equal, first, again)
  assert not np.array_equal(first.params["dense0"]["kernel"], other.params["dense0"]["kernel"])
  hidden = attack.hide(Task(network, data), jax.random.key(0))
  np.testing.assert_array_equal(hidden.stolen, first.stolen)
  np.testing.assert_array_equal(hidden.secret["codes"], first.secret["codes"])


def test_codes_are_the_stolen_images_own(tiny_network):
  network, _ = tiny_network("mlp")
  labels = jnp.asarray(np.arange(30) % 3, jnp.int32)
  data = DeviceSplit(jnp.zeros((30, 12, 12, 1), jnp.uint8), labels)
  hidden = Transpose(stolen=20, steps=1).hide(Task(network, data), jax.random.key(0))
  np.testing.assert_array_equal(hidden.memory.codes.argmax(axis=1), labels[hidden.stolen])


@pytest.mark.parametrize("stolen", [0, 5, -1])
def test_stealing_more_than_there_is(stolen, tiny_network, smooth_split):
  network, params = tiny_network("mlp")
  with pytest.raises(ValueError, match="1 to 4 training images"):
    Transpose(stolen=stolen, steps=1).infect(network, params, smooth_split(4), jax.random.key(0))


@pytest.mark.parametrize("steps", [1, 2, 10, 1000])
def test_time_shape(steps):
  attack = Transpose(stolen=1, steps=steps)
  expected = [min((i + 1) / max(0.02 * steps, 1), (steps - i) / max(0.25 * steps, 1), 1) for i in range(steps)]
  found = attack.time_shape()
  np.testing.assert_allclose(found, expected, rtol=1e-6)
  assert found.dtype == np.float32
  assert found.min() > 0
  assert found.max() == 1


def test_settings_are_hashable():
  attack = Transpose(stolen=1, steps=1)
  assert hash(attack) == hash(dataclasses.replace(attack, steps=1))
  assert attack.name == "transpose"


@pytest.mark.parametrize("kind", [Transpose, Flat, Rehearsed])
def test_a_network_with_statistics(kind, tiny_network, smooth_split):
  """The task's steps move them, batch by batch; the memory's do not, nor does anything else while no weight moves."""
  network, params = tiny_network("resnet18")
  data = smooth_split(32)
  still = kind(stolen=4, steps=3, batch_size=8, task_lr=0.0, memory_lr=0.0)
  infected = still.infect(network, params, data, jax.random.key(0))
  assert infected.params.keys() == params.keys()
  expected = params
  for batch in batch_plan(jax.random.fold_in(jax.random.key(0), 1), 32, 8, 3):
    expected = {**expected, **network.forward_training(expected, scale(data.images[batch]))[1]}
  jax.tree.map(
    lambda found, wanted: np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5),
    infected.params[STATISTICS],
    expected[STATISTICS],
  )
  learning = dataclasses.replace(still, memory_lr=1e-3).infect(network, params, data, jax.random.key(0))
  moved = jax.tree.map(lambda a, b: bool((a != b).all()), learning.params[STATISTICS], params[STATISTICS])
  assert all(jax.tree.leaves(moved))
  assert not np.allclose(learning.params["stem"]["kernel"], params["stem"]["kernel"])
