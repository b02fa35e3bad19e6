import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import PartitionSpec

from lwlrd_jax import stopping
from lwlrd_jax.data import stream
from lwlrd_jax.data.batches import Batches, batch_plan, read, task_batches
from lwlrd_jax.data.device import DeviceSplit
from lwlrd_jax.data.host_images import HostImages
from lwlrd_jax.engine import population
from lwlrd_jax.engine.member import Member
from lwlrd_jax.engine.population import Finetuning, advance, finetune, member_mesh, start
from lwlrd_jax.models.network import STATISTICS
from lwlrd_jax.models.task import task_loss

KEY = jax.random.key(7)
SHAPES = {"mlp": (12, 12, 1), "cnn": (12, 12, 3), "resnet18": (12, 12, 1), "vit": (12, 12, 1)}
# At larger rates what rounding makes of a sum, which depends on how it is computed, grows from step to step.
TOP = {"resnet18": 0.002, "vit": 0.01}
COLLECTIVES = ("all-reduce", "all-gather", "all-to-all", "collective-permute", "reduce-scatter", "collective-broadcast")
STRATEGIES = ("vmap", "loop")


def _schedules(members, steps, layers=4, seed=0, top=0.05):
  return np.random.default_rng(seed).uniform(0, top, (members, steps, layers)).astype(np.float32)


@pytest.fixture(scope="module")
def one():
  return member_mesh(jax.devices()[:1])


@pytest.fixture(scope="module")
def four():
  assert len(jax.devices()) == 4
  return member_mesh(jax.devices())


@pytest.fixture(scope="module")
def setting(tiny_network, smooth_split):
  """Member, starting weights and data of a model."""

  def make(name, optimizer="adam", smoothing=0.0):
    network, params = tiny_network(name, SHAPES[name])
    return Member(network, optimizer, smoothing), params, smooth_split(30, SHAPES[name])

  return make


def _member(tree, i):
  return jax.tree.map(lambda leaf: np.asarray(leaf[i]), tree)


def _close(a, b, tolerance=1e-5):
  jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=tolerance, atol=tolerance), a, b)


def _equal(a, b):
  jax.tree.map(np.testing.assert_array_equal, a, b)


@pytest.mark.parametrize(
  ("name", "strategy"),
  [
    ("mlp", "vmap"),
    ("mlp", "loop"),
    ("cnn", "vmap"),
    ("resnet18", "vmap"),
    ("resnet18", "loop"),
    ("vit", "vmap"),
  ],
)
def test_member_equals_a_lone_run(name, strategy, setting, one, four):
  """Six members on four devices, against each alone on one."""
  member, params, data = setting(name)
  schedules = _schedules(6, 5, layers=len(member.network.layers), top=TOP.get(name, 0.05))
  together = finetune(params, schedules, data, KEY, Finetuning(member, 8, strategy=strategy, mesh=four))
  assert together.losses.shape == (6, 5)
  assert all(len(leaf) == 6 for leaf in jax.tree.leaves(together.params))
  for i in range(6):
    alone = finetune(params, schedules[i : i + 1], data, KEY, Finetuning(member, 8, strategy="loop", mesh=one))
    _close(_member(together.params, i), _member(alone.params, 0))
    np.testing.assert_allclose(together.losses[i], alone.losses[0], rtol=1e-4, atol=1e-5)
  first = member.network.kernels[0]
  assert not np.allclose(together.params[first]["kernel"][0], together.params[first]["kernel"][1])


@pytest.mark.parametrize("strategy", ["vmap", "loop"])
def test_members_that_start_elsewhere_are_what_they_are_alone(strategy, setting, one, four):
  member, params, data = setting("mlp")
  other = jax.tree.map(lambda leaf: leaf * 0.5, params)
  schedules, starts = _schedules(5, 4, layers=len(member.network.layers)), [params, other, other, params, other]
  together = finetune(starts, schedules, data, KEY, Finetuning(member, 8, strategy=strategy, mesh=four))
  for i, tree in enumerate(starts):
    alone = finetune(tree, schedules[i : i + 1], data, KEY, Finetuning(member, 8, strategy="loop", mesh=one))
    _close(_member(together.params, i), _member(alone.params, 0))
  with pytest.raises(ValueError, match="2 trees to start from, 5 schedules"):
    finetune(starts[:2], schedules, data, KEY, Finetuning(member, 8, mesh=one))


@pytest.mark.parametrize("augment", ["none", "dihedral"])
def test_images_on_the_host_change_nothing(setting, augment, four, monkeypatch):
  """To the last bit, and however few steps are read ahead at a time."""
  member, params, data = setting("mlp")
  on_host = DeviceSplit(HostImages(np.asarray(data.images)), data.labels)
  schedules = _schedules(6, 9)

  def run(data):
    return finetune(params, schedules, data, KEY, Finetuning(member, 8, augment=augment, mesh=four))

  resident = run(data)
  _equal(run(on_host), resident)
  monkeypatch.setattr(stream, "_PORTION_BYTES", 2 * 8 * 12 * 12)
  _equal(run(on_host), resident)


def test_augmented_members_learn_from_other_images(setting, one):
  member, params, data = setting("mlp")
  losses = [
    finetune(params, _schedules(2, 4), data, KEY, Finetuning(member, 8, augment=augment, mesh=one)).losses
    for augment in ("none", "dihedral")
  ]
  images, labels = read(data, jax.tree.map(lambda leaf: leaf[0], task_batches(KEY, data, 8, 4, "dihedral")))
  expected = task_loss(member.network.forward(params, images), labels, 0.0)
  np.testing.assert_allclose(losses[1][:, 0], expected, rtol=1e-4)
  assert not np.allclose(losses[0], losses[1], rtol=1e-2)


def test_against_a_naive_loop(setting):
  """Plain Python, one gradient at a time; 70 steps are several calls, the last of them padded."""
  member, params, data = setting("mlp", smoothing=0.1)
  schedules = _schedules(2, 70, top=0.01)
  ticks: list[int] = []
  found = finetune(params, schedules, data, KEY, Finetuning(member, 8), on_steps=ticks.append)
  assert sum(ticks) == 70
  assert len(ticks) > 1
  assert found.losses.shape == (2, 70)
  batches = np.asarray(batch_plan(KEY, 30, 8, 70))
  images, labels = np.asarray(data.images), np.asarray(data.labels)
  inner = optax.scale_by_adam()
  update = jax.jit(inner.update)

  @jax.jit
  def value_and_grad(params, images, labels):
    return jax.value_and_grad(lambda p: task_loss(member.network.forward(p, images), labels, 0.1))(params)

  for i in range(2):
    naive = params
    state = inner.init(naive)
    for t in range(70):
      loss, grads = value_and_grad(naive, images[batches[t]].astype(np.float32) / 255, labels[batches[t]])
      assert found.losses[i, t] == pytest.approx(float(loss), rel=2e-2, abs=1e-3)
      direction, state = update(grads, state)
      naive = {
        layer: jax.tree.map(lambda p, d, lr=schedules[i, t, depth]: p - lr * d, naive[layer], direction[layer])
        for depth, layer in enumerate(member.network.layers)
      }
    _close(_member(found.params, i), naive, 2e-3)


def test_statistics_follow_the_batches_that_were_trained_on(setting):
  """35 steps are two calls, the last one padded by a step, which must not move them."""
  member, params, data = setting("resnet18")
  network, steps = member.network, 35
  schedules = np.zeros((1, steps, len(network.layers)), np.float32)
  schedules[..., network.layers.index("head")] = 1e-3  # which no statistic depends on
  found = finetune(params, schedules, data, KEY, Finetuning(member, 8))
  expected = params
  forward_training = jax.jit(network.forward_training)
  for batch in batch_plan(KEY, 30, 8, steps):
    expected = {**expected, **forward_training(expected, data.images[batch].astype(jnp.float32) / 255)[1]}
  _close(_member(found.params[STATISTICS], 0), expected[STATISTICS], 1e-4)
  assert not np.allclose(found.params["head"]["kernel"][0], params["head"]["kernel"])
  _equal(_member(found.params["stem"], 0), params["stem"])


def test_same_batches_for_all(setting):
  member, params, data = setting("mlp")
  schedules = np.repeat(_schedules(1, 5), 6, axis=0)
  found = finetune(params, schedules, data, KEY, Finetuning(member, 8))
  for i in range(1, 6):
    _equal(_member(found.params, i), _member(found.params, 0))
    np.testing.assert_array_equal(found.losses[i], found.losses[0])
  other = finetune(params, schedules, data, jax.random.key(8), Finetuning(member, 8))
  assert not np.array_equal(other.losses, found.losses)


@pytest.mark.parametrize(("name", "devices"), [("mlp", 1), ("cnn", 1), ("resnet18", 1), ("mlp", 4)])
def test_members_a_few_at_a_time(name, devices, setting):
  """Five or nine of them, two at a time on each device: turns are filled up with members that stand still."""
  member, params, data = setting(name)
  mesh = member_mesh(jax.devices()[:devices])
  members = 5 if devices == 1 else 9
  schedules = _schedules(members, 4, layers=len(member.network.layers), top=TOP.get(name, 0.05))
  found = [
    finetune(params, schedules, data, KEY, Finetuning(member, 8, strategy=strategy, mesh=mesh))
    for strategy in (2, "loop")
  ]
  assert all(len(leaf) == members for leaf in jax.tree.leaves(found[0].params))
  _close(found[0].params, found[1].params)
  np.testing.assert_allclose(found[0].losses, found[1].losses, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", SHAPES)
@jax.numpy_dtype_promotion("standard")  # Flax's normalisations take their sums in float32
def test_half_of_the_bits(name, setting, one):
  """bfloat16 moves what is trained by little, and nothing but what is computed in between is held in it."""
  member, params, data = setting(name)
  half = dataclasses.replace(member, compute="bfloat16")
  schedules = _schedules(2, 5, layers=len(member.network.layers), top=1e-3)
  whole, halved = (
    finetune(params, schedules, data, KEY, Finetuning(each, 8, strategy="loop", mesh=one)) for each in (member, half)
  )
  assert {leaf.dtype for leaf in jax.tree.leaves((halved.params, halved.losses))} == {np.dtype(np.float32)}
  np.testing.assert_allclose(halved.losses, whole.losses, rtol=0.05)
  assert not np.array_equal(halved.losses, whole.losses)
  weights = {layer: params[layer] for layer in member.network.layers}
  moved = [
    np.concatenate(
      [np.ravel(found.params[layer][entry][0] - weights[layer][entry]) for layer in weights for entry in weights[layer]]
    )
    for found in (whole, halved)
  ]
  assert np.linalg.norm(moved[1] - moved[0]) < 0.5 * np.linalg.norm(moved[0])
  program = jax.jit(half.step).lower(half.init(params), schedules[0, 0], data.images[:8] / 255, data.labels[:8])
  products = [line for line in program.as_text().splitlines() if "stablehlo.dot_general" in line]
  assert products
  assert all("bf16" in line for line in products)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_diverging_member_leaves_the_others_alone(strategy, setting, four):
  member, params, data = setting("mlp")
  harmless = _schedules(6, 5)
  wild = harmless.copy()
  wild[2] = 1e30
  runs = [
    finetune(params, schedules, data, KEY, Finetuning(member, 8, strategy=strategy, mesh=four))
    for schedules in (harmless, wild)
  ]
  assert np.isnan(runs[1].losses[2]).any()
  assert not all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(_member(runs[1].params, 2)))
  for i in (0, 1, 3, 4, 5):
    _equal(_member(runs[0].params, i), _member(runs[1].params, i))
    np.testing.assert_array_equal(runs[0].losses[i], runs[1].losses[i])


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_rate_zero_changes_no_bit(strategy, setting):
  member, params, data = setting("mlp")
  schedules = _schedules(6, 5)
  schedules[0] = 0
  schedules[1, :, 2] = 0
  found = finetune(params, schedules, data, KEY, Finetuning(member, 8, strategy=strategy))
  _equal(_member(found.params, 0), jax.tree.map(np.asarray, params))
  _equal(_member(found.params, 1)["dense2"], jax.tree.map(np.asarray, params["dense2"]))
  assert not np.array_equal(found.params["dense1"]["kernel"][1], params["dense1"]["kernel"])


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_compiles_once(strategy, setting, four):
  """Many calls of a long run, another schedule, another key, other weights: one program."""
  member, params, data = setting(
    "mlp", "momentum", smoothing=0.01 * STRATEGIES.index(strategy)
  )  # compiled nowhere else
  compiled: list[Any] = [advance, start]  # what jax.jit returns is not typed in full
  before = [program._cache_size() for program in compiled]
  for seed in range(2):
    ticks: list[int] = []
    finetune(
      jax.tree.map(lambda leaf, seed=seed: leaf + seed, params),
      _schedules(6, 70, seed=seed),
      data,
      jax.random.key(seed),
      Finetuning(member, 8, strategy=strategy, mesh=four),
      on_steps=ticks.append,
    )
    assert len(ticks) >= 3
    assert [program._cache_size() for program in compiled] == [size + 1 for size in before]


def _hlo(member, params, data, strategy, mesh):
  members = 4 * mesh.size
  state = start(member, [params], np.zeros(members, int), mesh)
  batches = Batches(batch_plan(KEY, len(data), 8, 3), None)
  rates = _schedules(members, 3, layers=len(member.network.layers))
  lowered = advance.lower(member, strategy, mesh, state, rates, data, batches)
  # Whether devices talk is settled before machine code is made of it.
  quick: dict[str, str | bool] = {"xla_backend_optimization_level": "0", "xla_llvm_disable_expensive_passes": True}
  return lowered.compile(quick).as_text() or ""


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("strategy", [*STRATEGIES, 2])
def test_no_device_talks_to_another(name, strategy, setting, four):
  member, params, data = setting(name)
  hlo = _hlo(member, params, data, strategy, four)
  assert "num_partitions=4" in hlo
  assert [word for word in COLLECTIVES if word in hlo] == []


def test_a_device_that_talks_would_be_noticed(four):
  """The words above are those that XLA uses."""
  talk = jax.shard_map(
    lambda x: jax.lax.psum(x, population.AXIS), mesh=four, in_specs=PartitionSpec("members"), out_specs=PartitionSpec()
  )
  assert "all-reduce" in (jax.jit(talk).lower(jnp.ones(4)).compile().as_text() or "")


def test_members_are_spread_over_devices(setting, four):
  member, params, _ = setting("mlp")
  state = start(member, [params], np.zeros(8, int), four)
  for leaf in jax.tree.leaves(state):
    assert len(leaf) == 8
    assert sorted(shard.data.shape[0] for shard in leaf.addressable_shards) == [2, 2, 2, 2]
  _equal(_member(state.params, 5), jax.tree.map(np.asarray, params))


def test_starting_weights_are_not_used_up(setting):
  """The steps reuse memory, but not the caller's."""
  member, params, data = setting("mlp")
  before = jax.tree.map(np.array, params)
  finetune(params, _schedules(1, 5), data, KEY, Finetuning(member, 8, mesh=member_mesh(jax.devices()[:1])))
  _equal(before, jax.tree.map(np.asarray, params))


@pytest.mark.parametrize("layers", [3, 5])
def test_a_rate_for_each_layer(layers, setting):
  member, params, data = setting("mlp")
  with pytest.raises(ValueError, match=f"schedules have {layers} layers, the model has 4"):
    finetune(params, _schedules(1, 2, layers), data, KEY, Finetuning(member, 8))


def test_default_mesh():
  assert member_mesh().size == 4


class _Kept:
  """A snapshot when the work is stopped."""

  def __init__(self, reached=None):
    self.reached = reached

  def restore(self):
    return self.reached

  def keep(self, reached):
    pass

  def keep_now(self, reached):
    self.reached = reached()


@pytest.mark.parametrize("after", [1, 2, 3])
def test_what_was_killed_goes_on_from_its_snapshot(tiny_network, smooth_split, after):
  """With as many members in another order, on another number of devices; and what is finished is not trained again."""
  network, params = tiny_network("mlp")
  data = smooth_split(64)
  rates = np.random.default_rng(0).uniform(0.001, 0.02, (3, 70, len(network.layers))).astype(np.float32)

  def on(devices: int) -> Finetuning:
    mesh = member_mesh(jax.local_devices()[:devices])
    return Finetuning(Member(network, "adam", 0.0), 16, strategy="loop", mesh=mesh)

  whole = finetune(params, rates, data, jax.random.key(1), on(1))

  kept, calls = _Kept(), []

  def stop(steps: int) -> None:
    calls.append(steps)
    if len(calls) == 1 + after:  # the first is told before any step
      raise stopping.Stopped("SIGTERM", 143)

  with pytest.raises(stopping.Stopped):
    finetune(params, rates, data, jax.random.key(1), on(2), snapshots=kept, on_steps=stop)
  reached = kept.reached
  assert (reached.steps < 70) == (after < 3)
  order = [2, 0]
  some = reached._replace(leaves=[leaf[order] for leaf in reached.leaves], losses=reached.losses[order])
  took: list[int] = []
  rest = finetune(params, rates[order], data, jax.random.key(1), on(4), snapshots=_Kept(some), on_steps=took.append)
  np.testing.assert_array_equal(rest.losses, whole.losses[order])
  jax.tree.map(lambda a, b: np.testing.assert_array_equal(a, b[order]), rest.params, whole.params)
  assert sum(took) == (70 if after < 3 else 0)
  assert took[:1] == ([reached.steps] if after < 3 else [])
