"""What a network uses of its weights, on how many images; see also tests/defenses/test_finishing.py."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from lwlrd_jax.defenses.scrub import scrub
from lwlrd_jax.models import liveness
from lwlrd_jax.models.liveness import live_weights
from lwlrd_jax.models.network import split_model


def test_of_many_images_some_are_looked_at_evenly_spread(tiny_network, smooth_split, monkeypatch):
  network, params = tiny_network("mlp", width=32)
  images = smooth_split(70).images
  # So high a threshold that many units fire on few images: which images are looked at shows.
  params["dense0"]["bias"] = params["dense0"]["bias"] - 1.2
  everywhere = live_weights(network, params, images)
  monkeypatch.setattr(liveness, "_MOST", 8)
  jax.clear_caches()
  on_some = live_weights(network, params, images)
  chosen = live_weights(network, params, images[np.linspace(0, 69, 8).round().astype(int)])
  jax.clear_caches()
  jax.tree.map(np.testing.assert_array_equal, on_some, chosen)
  dead = [sum((~leaf).sum() for leaf in jax.tree.leaves(live)) for live in (everywhere, on_some)]
  assert dead[0] < dead[1]


class Frozen(nnx.Module):
  """No gradient shows its first two layers: the first stands behind `stop_gradient`, the second is of sign units."""

  def __init__(self, width, rngs):
    self.frozen = nnx.Linear(144, width, rngs=rngs)
    self.signs = nnx.Linear(width, width, rngs=rngs)
    self.aux = nnx.Linear(width, 3, rngs=rngs)
    self.last = nnx.Linear(width, 3, rngs=rngs)

  def __call__(self, images):
    hidden = jax.lax.stop_gradient(nnx.relu(self.frozen(images.reshape(len(images), -1))))
    return self.last(jnp.sign(self.signs(hidden - 0.5)))


@pytest.fixture(scope="module")
def frozen():
  """With units 2 to 4 of the first layer switched off, and unit 7 of the second one not read."""
  network, params = split_model(Frozen(16, nnx.Rngs(0)), (12, 12, 1), 3)
  params["frozen"]["bias"] = params["frozen"]["bias"].at[2:5].set(-1e6)
  params["last"]["kernel"] = params["last"]["kernel"].at[7].set(0)
  return network, params


def forward(network, params, split):
  return np.asarray(network.forward(params, split.images.astype(jnp.float32) / 255))


def test_what_gradients_do_not_show_is_looked_for_in_the_outputs(frozen, smooth_split):
  network, params = frozen
  train, val = smooth_split(70), smooth_split(30, seed=1)
  found = liveness.liveness(network, params, train.images, val.images)
  columns = {layer: np.asarray(found.live[layer]["bias"]) for layer in ("frozen", "signs")}
  assert not columns["frozen"][2:5].any()
  assert not columns["signs"][7]
  before = [forward(network, params, split) for split in (train, val)]
  for layer in ("frozen", "signs"):
    np.testing.assert_array_equal(found.hidden_from_gradients[layer]["bias"], columns[layer])
    # Whatever changes the outputs by itself is live; here most units do.
    matters = np.zeros(16, bool)
    for unit in range(16):
      for sign in (1e-6, -1e-6):
        kernel = params[layer]["kernel"].at[:, unit].multiply(sign)
        changed = {**params, layer: {"kernel": kernel, "bias": params[layer]["bias"].at[unit].set(sign)}}
        after = [forward(network, changed, split) for split in (train, val)]
        matters[unit] |= any(np.abs(a - b).max() > 0.05 for a, b in zip(before, after, strict=True))
    assert matters.sum() > 4
    assert (columns[layer] >= matters).all()
  assert not any(np.asarray(leaf).any() for leaf in found.hidden_from_gradients["last"].values())


@pytest.mark.parametrize("seed", range(3))
def test_dead_among_units_without_gradients_change_nothing(frozen, smooth_split, seed):
  network, params = frozen
  split = smooth_split(70)
  live = live_weights(network, params, split.images)
  after = scrub(params, jax.random.key(seed), planes=jax.tree.map(lambda _: 0, params), live=live)
  np.testing.assert_allclose(forward(network, after, split), forward(network, params, split), atol=1e-4)


def test_what_nothing_is_computed_with_is_dead(frozen, smooth_split):
  network, params = frozen
  assert network.unused == ("aux.bias", "aux.kernel")
  assert network.depths[network.layers.index("aux")] == max(network.depths)
  live = live_weights(network, params, smooth_split(70).images)
  assert not any(np.asarray(leaf).any() for leaf in live["aux"].values())


def test_what_cannot_be_tried_is_live(frozen, smooth_split, monkeypatch):
  network, params = frozen
  monkeypatch.setattr(liveness, "_MOST_TRIALS", 3)
  live = live_weights(network, params, smooth_split(70).images)
  assert all(np.asarray(leaf).all() for leaf in live["frozen"].values())
