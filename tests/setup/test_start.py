"""What schedules begin from: nothing of the exported weights but what is certified."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from lwlrd_jax.config import KEEP, Start, Starting
from lwlrd_jax.data.device import DeviceSplit
from lwlrd_jax.disk.checkpoints import save_tree
from lwlrd_jax.errors import UserError
from lwlrd_jax.models.network import STATISTICS, split_model
from lwlrd_jax.setup.start import Starter

KEY = jax.random.key(3)


class Net(nnx.Module):
  def __init__(self, rngs, outputs=3):
    self.first = nnx.Linear(144, 16, rngs=rngs)
    self.norm = nnx.BatchNorm(16, rngs=rngs)
    self.last = nnx.Linear(16, outputs, rngs=rngs)

  def __call__(self, images):
    return self.last(nnx.relu(self.norm(self.first(images.reshape(len(images), -1)))))


def drawn(key, outputs=3):
  seed = int(jax.random.randint(key, (), 0, 2**30))
  return split_model(Net(nnx.Rngs(seed), outputs), (12, 12, 1), outputs)[1]


@pytest.fixture(scope="module")
def exported():
  """A network, and exported weights that differ from any draw everywhere, with an extra tensor."""
  network, params = split_model(Net(nnx.Rngs(0)), (12, 12, 1), 3)
  moved = jax.tree.map(lambda leaf: leaf + 0.5, params)
  return network, {**moved, "extra": {"codes": jnp.ones(100)}}


@pytest.fixture(scope="module")
def data(smooth_split):
  images = smooth_split(40).images
  return DeviceSplit(images, jnp.arange(40, dtype=jnp.int32) % 3)


def leaves(tree):
  return [np.asarray(leaf) for leaf in jax.tree.leaves(tree)]


def same(one, other):
  return all((a == b).all() for a, b in zip(leaves(one), leaves(other), strict=True))


def test_keep_changes_nothing(exported, data):
  network, params = exported
  found = Starter(network, drawn, Starting()).begin(KEEP, params, data, KEY)
  assert found.params is params
  assert found.data is data
  assert (found.certified, found.passes) == (math.inf, 0)


def test_a_redrawn_model_is_a_function_of_the_owner_alone(exported, data):
  network, params = exported
  starter = Starter(network, drawn, Starting())
  found = starter.begin(Start("redraw"), params, data, KEY)
  other = starter.begin(Start("redraw"), jax.tree.map(lambda leaf: leaf * jnp.nan, params), data, KEY)
  assert same(found.params, other.params)
  assert "extra" not in found.params
  assert found.certified == 0
  assert not same(found.params, starter.begin(Start("redraw"), params, data, jax.random.key(4)).params)


def test_what_is_shrunk_keeps_nothing_that_is_not_counted(exported, data):
  network, params = exported
  starter = Starter(network, drawn, Starting())
  found = starter.begin(Start("shrink", 0.1, 0.4), params, data, KEY)
  assert "extra" not in found.params
  weights = [(144 * 16, 0.1), (16 * 3, 0.4)]
  assert found.certified == math.ceil(sum(n / 2 * math.log2(1 + share**2) for n, share in weights) / 8)
  # Biases, factors and running statistics are those of any draw.
  constant = drawn(jax.random.key(9))
  assert same(found.params["norm"], constant["norm"])
  assert same(found.params[STATISTICS], constant[STATISTICS])
  assert (np.asarray(found.params["first"]["bias"]) == 0).all()
  # Under the same noise another model differs by its share.
  other = starter.begin(Start("shrink", 0.1, 0.4), jax.tree.map(jnp.negative, params), data, KEY)
  change = np.asarray(found.params["first"]["kernel"] - other.params["first"]["kernel"])
  size = np.sqrt(np.mean(np.square(np.asarray(found.params["first"]["kernel"]))))
  assert 0.1 < np.sqrt(np.mean(np.square(change))) / size < 0.3


@pytest.mark.parametrize("answers", ["top1", "probabilities"])
def test_a_student_learns_answers_that_are_counted(exported, data, answers):
  network, params = exported
  found = Starter(network, drawn, Starting(answers=answers)).begin(Start("distil"), params, data, KEY)
  redrawn = Starter(network, drawn, Starting()).begin(Start("redraw"), params, data, KEY)
  assert same(found.params, redrawn.params)
  assert found.data.labels.shape == (40, 3)
  np.testing.assert_allclose(found.data.labels.sum(axis=1), 1, rtol=1e-6)
  assert found.passes == 40
  assert 0 < found.certified < 400
  none = Starter(network, drawn, Starting(answers=answers), max_bytes=0).begin(Start("distil"), params, data, KEY)
  assert none.certified == 0
  np.testing.assert_array_equal(none.data.labels, np.eye(3)[np.arange(40) % 3])


def test_a_public_checkpoint_takes_the_place_of_the_draw(exported, data, tmp_path):
  network, params = exported
  public = drawn(jax.random.key(20), outputs=5)  # of another task: its last layer is of no use
  save_tree(tmp_path / "public", {"params": public})
  starter = Starter(network, drawn, Starting(start_from=tmp_path / "public"))
  assert starter.note == "drawn, since `start_from` has no such layer: last"
  found = starter.begin(Start("redraw"), params, data, KEY)
  assert same(found.params["first"], public["first"])
  assert same(found.params[STATISTICS], public[STATISTICS])
  assert found.params["last"]["kernel"].shape == (16, 3)
  # Noise that hides weights cannot be public.
  shrunk = starter.begin(Start("shrink", 0.1, 0.1), params, data, KEY)
  plain = Starter(network, drawn, Starting()).begin(Start("shrink", 0.1, 0.1), params, data, KEY)
  assert same(shrunk.params, plain.params)


def test_what_is_no_checkpoint_of_the_network_is_refused(exported, tmp_path):
  network, _ = exported
  with pytest.raises(UserError, match=r"^`start_from` .*nowhere: no checkpoint; allowed: a folder in checkpoints/"):
    Starter(network, drawn, Starting(start_from=tmp_path / "nowhere"))
  save_tree(tmp_path / "other", {"params": {"dense0": {"kernel": np.zeros((2, 2))}}})
  with pytest.raises(UserError, match=r"no layer of this network; allowed: a checkpoint of one"):
    Starter(network, drawn, Starting(start_from=tmp_path / "other"))
