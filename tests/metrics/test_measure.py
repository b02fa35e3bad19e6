import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lwlrd_jax.attacks.base import Infected, Task
from lwlrd_jax.attacks.transpose import Transpose
from lwlrd_jax.metrics.capacity import survival
from lwlrd_jax.metrics.downstream import downstream_auc
from lwlrd_jax.metrics.leakage import leakage, versions
from lwlrd_jax.metrics.measure import Bench, measure, measure_constant, sample_positions
from lwlrd_jax.metrics.postprocess import public_statistics
from lwlrd_jax.metrics.ssim import ssim
from lwlrd_jax.metrics.utility import auc_by_image, utility
from lwlrd_jax.models.predict import predict


@pytest.fixture(scope="module")
def case(tiny_network, smooth_split):
  network, infected = tiny_network("mlp")
  train, test = smooth_split(40), smooth_split(25, seed=1)
  attack = Transpose(stolen=10, steps=1)
  hidden = attack.hide(Task(network, train), jax.random.key(0))
  return network, attack, infected, hidden.secret, hidden.stolen, train, test, public_statistics(train)


def _stack(*trees):
  return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)


@pytest.fixture(scope="module")
def members(case, tiny_network):
  """The infected model as it is, one that has nothing to do with it, and one that diverged."""
  infected = case[2]
  return infected, tiny_network("mlp", seed=1)[1], jax.tree.map(lambda leaf: leaf * jnp.nan, infected)


@pytest.fixture(scope="module")
def found(case, members):
  network, attack, infected, secret, stolen, train, test, public = case
  live = jax.tree.map(lambda leaf: jnp.ones((3, *leaf.shape), bool), infected)
  bench = Bench(network, train, test, test, public)
  return measure(bench, attack, Infected(infected, secret, stolen), _stack(*members), live)


def test_every_figure_of_every_member(case, members, found):
  network, attack, infected, secret, stolen, train, test, public = case
  assert found.samples.shape == (3, 8, 12, 12, 1)
  assert found.samples.dtype == jnp.uint8

  live = jax.tree.map(lambda leaf: jnp.ones(leaf.shape, bool), infected)

  @jax.jit
  def one_by_one(params):
    logits = network.forward(params, test.images.astype(jnp.float32) / 255)
    candidates = versions(attack.read(network, params, secret).images, public)
    leaked, clearest = leakage(candidates, stolen, train, public)
    return (
      utility(logits, test.labels),
      auc_by_image(logits, test.labels),
      leaked,
      survival(infected, params, live, network.layers),
      downstream_auc(
        network.num_outputs,
        jnp.stack([candidates[0], candidates[2], candidates[clearest]]),
        train.labels[stolen],
        test,
        test,
      ),
    )

  for i, params in enumerate(members[:2]):
    of_member = jax.tree.map(lambda leaf, i=i: leaf[i], found)
    useful, by_image, leaking, surviving, worth = one_by_one(params)
    np.testing.assert_allclose(of_member.utility, useful, atol=1e-5)
    np.testing.assert_allclose(of_member.auc_by_image, by_image, atol=1e-4)
    np.testing.assert_allclose(of_member.downstream, worth, atol=1e-2)
    np.testing.assert_allclose(of_member.leakage, leaking, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(of_member.survival.bytes, surviving.bytes, rtol=1e-5)
    np.testing.assert_allclose(of_member.survival.planes, surviving.planes, rtol=1e-5)
    assert np.isnan(of_member.ber)
  whole = sum(leaf.size for leaf in jax.tree.leaves(infected)) * 4
  groups = found.survival.bytes[:3]
  assert sum(float(group[0]) for group in groups) == pytest.approx(whole)
  assert sum(float(group[1]) for group in groups) < 0.6 * whole


def test_pictures_are_of_the_version_that_is_recognised_most(case, found):
  network, attack, infected, secret, stolen, train, _, public = case

  @jax.jit
  def shown():
    candidates = versions(attack.read(network, infected, secret).images, public)
    return candidates[leakage(candidates, stolen, train, public)[1]]

  best = shown()
  np.testing.assert_allclose(found.samples[0], np.round(np.asarray(best[sample_positions(len(best))]) * 255), atol=1)


def test_a_diverged_member_has_no_figures(found):
  assert all(np.isnan(value[2]).all() for value in (*found.utility, *found.leakage))
  assert np.isnan(found.downstream[2]).all()
  assert np.isnan(found.auc_by_image[2]).all()
  assert np.isfinite(jnp.stack(found.survival.bytes)).all()


def test_the_mean_image_is_the_floor(case):
  _, _, _, _, stolen, train, _, public = case
  found = jax.tree.map(lambda value: value.mean(), measure_constant(10, stolen, train, public))
  originals = np.asarray(train.images)[np.asarray(stolen)] / 255
  mean = np.asarray(train.images).mean(0) / 255
  assert float(found.mse) == pytest.approx(((originals - mean) ** 2).mean(), rel=1e-3)
  expected = jax.jit(ssim)(jnp.broadcast_to(public.mean, (10, 12, 12, 1)), jnp.asarray(originals, jnp.float32)).mean()
  assert float(found.ssim_naive) == pytest.approx(float(expected), abs=1e-4)
  assert float(found.ssim) == pytest.approx(float(expected), abs=1e-3)
  # Chance, or the luck that the image next to all these equal reconstructions is a stolen one.
  assert 0 < float(found.reid) <= 1 / 10 + 1e-6


@pytest.mark.parametrize("size", [1, 7, 512, 513, 1100])
def test_prediction_in_chunks_is_that_in_one(size, tiny_network):
  network, params = tiny_network("mlp", (3, 3, 1))
  images = np.random.default_rng(0).integers(0, 256, (size, 3, 3, 1)).astype(np.uint8)
  found = predict(network, params, jnp.asarray(images))
  assert found.shape == (size, 3)
  expected = network.forward(params, jnp.asarray(images, jnp.float32) / 255)
  np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
