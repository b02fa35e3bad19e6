"""Scrubbing costs no more than its limit, whatever a network does with its weights."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from lwlrd_jax.attacks.dec.carriers.dead import Dead
from lwlrd_jax.config import Finishing
from lwlrd_jax.data.device import DeviceSplit
from lwlrd_jax.errors import UserError
from lwlrd_jax.metrics.measure import utility_of
from lwlrd_jax.models import liveness
from lwlrd_jax.models.network import STATISTICS, split_model
from lwlrd_jax.setup.finish import Finisher

LIMIT = 0.01


class Frozen(nnx.Module):
  """A feature extractor that no gradient reaches."""

  def __init__(self, rngs):
    self.features = nnx.Linear(144, 16, rngs=rngs)
    self.hidden = nnx.Linear(16, 16, rngs=rngs)
    self.last = nnx.Linear(16, 3, rngs=rngs)

  def __call__(self, images):
    features = jax.lax.stop_gradient(self.features(images.reshape(len(images), -1)))
    return self.last(nnx.relu(self.hidden(nnx.relu(features))))


class Normalised(nnx.Module):
  def __init__(self, rngs):
    self.norm = nnx.BatchNorm(144, rngs=rngs)
    self.last = nnx.Linear(144, 3, rngs=rngs)

  def __call__(self, images):
    return self.last(self.norm(images.reshape(len(images), -1)))


@pytest.fixture(scope="module")
def make(smooth_split):
  """Parts a network, and labels images by its own answers, so that whatever changes them costs AUC."""

  def make(kind, change=lambda params: params):
    network, params = split_model(kind(nnx.Rngs(0)), (12, 12, 1), 3)
    params = change(params)

    def split(count, seed):
      images = smooth_split(count, seed=seed).images
      logits = network.forward(params, images.astype(jnp.float32) / 255)
      labels = (logits - logits.mean(axis=0)).argmax(axis=1).astype(jnp.int32)
      return DeviceSplit(images, labels)

    train, val = split(128, 0), split(64, 1)
    return network, params, Finisher(network, params, train, val, Finishing(scrub_loss=LIMIT)), val

  return make


def test_a_frozen_network_is_not_ruined(make):
  network, params, finisher, val = make(Frozen)
  finished = finisher.apply(("scrub",), params, jax.random.key(0))
  assert float(utility_of(network, params, val).auc - utility_of(network, finished.params, val).auc) <= LIMIT
  assert finished.scrubbed.kept_weights >= 144 * 8
  assert any(text.startswith("features: ") for text in finished.scrubbed.kept)
  # What is kept is scrubbed as everything else.
  assert (np.asarray(finished.params["features"]["kernel"]) != np.asarray(params["features"]["kernel"])).mean() > 0.9


def test_what_costs_too_much_is_kept_and_reported(make, monkeypatch):
  network, params, finisher, val = make(Frozen)
  monkeypatch.setattr(liveness, "SAME_OUTPUTS", 1e9)  # everything without a gradient passes for dead
  finished = finisher.apply(("scrub",), params, jax.random.key(0))
  assert float(utility_of(network, params, val).auc - utility_of(network, finished.params, val).auc) <= LIMIT
  assert any(text.startswith("dead weights of depth 0") for text in finished.scrubbed.kept)


def test_statistics_that_the_task_needs_are_kept_and_reported(make):
  rng = np.random.default_rng(0)

  def change(params):
    statistics = {name: jnp.asarray(rng.uniform(0.01, 9, 144), jnp.float32) for name in ("mean", "var")}
    return {**params, STATISTICS: {"norm": statistics}}

  network, params, finisher, val = make(Normalised, change)
  finished = finisher.apply(("scrub",), params, jax.random.key(0))
  assert float(utility_of(network, params, val).auc - utility_of(network, finished.params, val).auc) <= LIMIT
  assert any(text.startswith("running statistics: ") for text in finished.scrubbed.kept)
  np.testing.assert_array_equal(finished.params[STATISTICS]["norm"]["mean"], params[STATISTICS]["norm"]["mean"])


def test_units_that_a_gradient_does_not_reach_are_not_dead_for_it(make, smooth_split):
  """Behind `stop_gradient` a bias of -1e6 switches nothing off where no ReLU follows."""

  class Linear(Frozen):
    def __call__(self, images):
      return self.last(self.hidden(jax.lax.stop_gradient(self.features(images.reshape(len(images), -1)))))

  network, params, _, _ = make(Linear)
  with pytest.raises(UserError, match="no layer of this network has units that its own bias switches off"):
    Dead().capacity(network, params)
