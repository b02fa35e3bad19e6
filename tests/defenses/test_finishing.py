import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lwlrd_jax.defenses.finishing import noise, prune, quantize, strip
from lwlrd_jax.defenses.scrub import ALL_PLANES, LEVELS, choose_planes, scrub
from lwlrd_jax.models.liveness import live_weights


@pytest.fixture(scope="module")
def params():
  rng = np.random.default_rng(0)
  return {"a": {"kernel": jnp.asarray(rng.normal(size=(200, 50)), jnp.float32), "bias": jnp.zeros(50)}}


def bits(tree):
  return np.asarray(tree["a"]["kernel"]).view(np.uint32)


def test_noise_is_relative_to_each_layers_spread_whatever_an_attacker_puts_in_a_few_weights(params):
  poisoned = {"a": {"kernel": params["a"]["kernel"].at[3, 4].set(1e20), "bias": params["a"]["bias"].at[0].set(-1e6)}}
  for given in (params, poisoned):
    noisy = noise(given, jax.random.key(0), scale=0.1)
    for name, untouched in (("kernel", (slice(10, None),)), ("bias", (slice(1, None),))):
      added = (noisy["a"][name] - given["a"][name])[untouched]
      ratio = float(jnp.std(added) / jnp.std(params["a"]["kernel"]))
      assert ratio == pytest.approx(0.1, rel=0.07 if name == "kernel" else 0.4)


def test_pruning_takes_the_smallest(params):
  kernel, pruned = (np.abs(np.asarray(p["a"]["kernel"])) for p in (params, prune(params, share=0.3)))
  assert (pruned == 0).sum() == 3000
  assert kernel[pruned == 0].max() <= kernel[pruned != 0].min()


def test_quantizing_leaves_255_values_and_destroys_low_bits(params):
  poisoned = {"a": {"kernel": params["a"]["kernel"].at[:, 0].set(1e20), "bias": params["a"]["bias"].at[0].set(-1e6)}}
  quantized = quantize(poisoned)["a"]
  np.testing.assert_array_equal(quantized["bias"], poisoned["a"]["bias"])
  before, after = (np.asarray(p["kernel"])[:, 1:] for p in (poisoned["a"], quantized))
  assert all(len(np.unique(column)) <= 255 for column in after.T)
  assert (np.abs(after - before).max(axis=0) <= np.abs(before).max(axis=0) / 254 * 1.001).all()


@pytest.mark.parametrize("planes", [0, 7, 23])
def test_scrubbing_replaces_just_these_planes_of_live_weights(params, planes):
  live = jax.tree.map(lambda w: jnp.ones(w.shape, bool), params)
  count = jax.tree.map(lambda _: planes, params)
  flips = bits(scrub(params, jax.random.key(0), planes=count, live=live)) ^ bits(params)
  rates = [((flips >> plane) & 1).mean() for plane in range(32)]
  np.testing.assert_allclose(rates[:planes], 0.5, atol=0.03)
  assert max(rates[planes:]) == 0


def test_scrubbing_keeps_nothing_of_dead_weights(params):
  live = jax.tree.map(lambda w: jnp.zeros(w.shape, bool), params)
  after = scrub(params, jax.random.key(0), planes=jax.tree.map(lambda _: 0, params), live=live)
  flips = bits(after) ^ bits(params)
  assert ((flips >> 31) & 1).mean() == pytest.approx(0.5, abs=0.03)
  assert (
    abs(np.corrcoef(np.asarray(after["a"]["kernel"]).ravel(), np.asarray(params["a"]["kernel"]).ravel())[0, 1]) < 0.05
  )
  assert float(jnp.abs(after["a"]["kernel"]).max()) < 1e-4


def test_steps_can_be_mapped_over_a_population(params):
  members = jax.tree.map(lambda w: jnp.stack([w, 2 * w]), params)
  live = jax.tree.map(lambda w: jnp.ones(w.shape, bool), members)
  planes = jax.tree.map(lambda w: jnp.full(2, 23), members)
  keys = jax.random.split(jax.random.key(0), 2)
  scrubbed = jax.vmap(lambda p, k, n, a: scrub(p, k, planes=n, live=a))(members, keys, planes, live)
  alone = scrub(params, keys[0], planes=jax.tree.map(lambda _: 23, params), live=jax.tree.map(lambda w: w[0], live))
  np.testing.assert_array_equal(scrubbed["a"]["kernel"][0], alone["a"]["kernel"])
  for step in (quantize, lambda p: prune(p, share=0.5), lambda p: noise(p, keys[0], scale=0.1)):
    np.testing.assert_allclose(jax.vmap(step)(members)["a"]["kernel"][0], step(params)["a"]["kernel"], rtol=1e-6)


def test_all_planes_go_if_the_task_allows_it():
  assert choose_planes(lambda planes: 0.0, [10, 10], 0.01) == (ALL_PLANES, ALL_PLANES)


def test_the_sensitive_layer_is_spared_and_no_other():
  def loss(planes):
    return 0.1 * max(planes[1] - 18, 0) / 5

  planes = choose_planes(loss, [1000, 10, 1000], 0.03)
  assert planes == (23, 18, 23)
  assert loss(planes) <= 0.03


def test_what_is_lost_before_any_plane_counts_too():
  def loss(planes):
    return 0.004 + 2e-3 * sum(planes) / 92

  planes = choose_planes(loss, [1000] * 4, 0.005)
  assert 0 < sum(planes) < 92
  assert loss(planes) <= 0.005


def test_a_limit_that_cannot_be_met_ends_at_the_last_level():
  assert choose_planes(lambda planes: 1.0, [1, 1], 0.0) == (LEVELS[-1], LEVELS[-1])


def test_no_plane_goes_where_any_costs_too_much():
  assert choose_planes(lambda planes: 1.0 * any(planes), [1, 1], 0.0) == (0, 0)


def test_stripping_tells_what_does_not_belong(params):
  kept, found = strip({**params, "more": {"x": jnp.zeros((2, 3), jnp.uint8)}}, params)
  assert kept.keys() == params.keys()
  assert found == ("more/x: uint8[2,3]",)


def test_another_architecture_is_refused(params):
  with pytest.raises(ValueError, match="a/bias is missing"):
    strip({"a": {"kernel": params["a"]["kernel"]}}, params)
  with pytest.raises(ValueError, match=r"a/kernel is float32\[1\]"):
    strip({"a": {**params["a"], "kernel": jnp.zeros(1)}}, params)


@pytest.mark.parametrize("poison", ["bias", "kernel"])
def test_a_huge_weight_does_not_hide_dead_ones_nor_spoil_what_is_reinitialised(tiny_network, smooth_split, poison):
  network, params = tiny_network("mlp", width=32)
  retired = params["dense0"]["bias"].at[:10].set(-1e6)
  kernel = params["dense0"]["kernel"]
  if poison == "bias":
    retired = retired.at[0].set(-1e20)
  else:
    kernel, retired = kernel.at[0, 0].set(1e20), retired.at[0].set(-1e30)
  params["dense0"] = {"kernel": kernel, "bias": retired}
  live = live_weights(network, params, smooth_split(70).images)
  assert not np.asarray(live["dense0"]["kernel"])[:, :10].any()
  after = scrub(params, jax.random.key(0), planes=jax.tree.map(lambda _: 0, params), live=live)
  assert all(np.isfinite(np.asarray(leaf)).all() for leaf in jax.tree.leaves(after))
  assert float(jnp.abs(after["dense0"]["kernel"][:, :10]).max()) < 1e-4
  flips = np.asarray(after["dense0"]["kernel"])[:, :10].view(np.uint32) ^ np.asarray(kernel)[:, :10].view(np.uint32)
  assert (flips >> 31).mean() == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("model", ["mlp", "cnn"])
def test_dead_weights_change_nothing_and_live_ones_do(tiny_network, smooth_split, model):
  network, params = tiny_network(model, width=32)
  data = smooth_split(70)
  params["dense0"]["bias"] = params["dense0"]["bias"].at[:10].set(-1e6)
  live = live_weights(network, params, data.images)
  assert not np.asarray(live["dense0"]["kernel"])[:, :10].any()
  assert not np.asarray(live["dense1"]["kernel"])[:10].any()
  images = data.images.astype(jnp.float32) / 255
  before = network.forward(params, images)
  # Re-initialised as a whole, the units that a large bias kept silent among them.
  moved = scrub(params, jax.random.key(0), planes=jax.tree.map(lambda _: 0, params), live=live)
  np.testing.assert_allclose(network.forward(moved, images), before, atol=1e-5)
  shaken = jax.tree.map(lambda w, alive: jnp.where(alive, 1.1 * w, w), params, live)
  assert float(jnp.abs(network.forward(shaken, images) - before).max()) > 1e-2
