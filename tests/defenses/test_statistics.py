"""Running statistics recomputed: what they are, and that nothing of the old ones is kept."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from lwlrd_jax.defenses.statistics import recompute
from lwlrd_jax.models.network import STATISTICS, split_model


@pytest.mark.parametrize("old", [0.0, 3.7, 1e30])
def test_means_of_batches(tiny_network, smooth_split, old):
  network, params = tiny_network("resnet18")
  data = smooth_split(300)
  params[STATISTICS] = jax.tree.map(lambda leaf: jnp.full_like(leaf, old), params[STATISTICS])
  found = jax.jit(recompute, static_argnums=0)(network, params, data.images)[STATISTICS]
  # Two full batches; the rest is left out. What reaches the first norm is a plain convolution.
  images = 2 * data.images[:256].astype(jnp.float32) / 255 - 1
  read = jax.lax.conv_general_dilated(
    images, params["stem"]["kernel"], (1, 1), [(1, 1)] * 2, dimension_numbers=("NHWC", "HWIO", "NHWC")
  )
  batches = np.asarray(read, np.float64).reshape(2, -1, read.shape[-1])
  np.testing.assert_allclose(found["norm"]["mean"], batches.mean(1).mean(0), rtol=1e-4, atol=1e-5)
  np.testing.assert_allclose(found["norm"]["var"], batches.var(1).mean(0), rtol=1e-4, atol=1e-5)
  assert jax.tree.map(jnp.shape, found) == jax.tree.map(jnp.shape, params[STATISTICS])
  assert all(np.isfinite(np.asarray(leaf)).all() for leaf in jax.tree.leaves(found))


def test_a_model_in_use_is_much_as_it_was(tiny_network, smooth_split):
  """Statistics that belong to the weights make the model answer as it does in training."""
  network, params = tiny_network("resnet18")
  images = smooth_split(128).images
  fresh = {**params, **recompute(network, params, images)}
  scaled = images.astype(jnp.float32) / 255
  np.testing.assert_allclose(
    network.forward(fresh, scaled), network.forward_training(params, scaled)[0], rtol=1e-2, atol=1e-2
  )


def test_any_momentum(smooth_split):
  """Which is the module's own business."""

  class Net(nnx.Module):
    def __init__(self, rngs, momentum):
      self.norm = nnx.BatchNorm(144, momentum=momentum, rngs=rngs)
      self.head = nnx.Linear(144, 3, rngs=rngs)

    def __call__(self, images):
      return self.head(self.norm(images.reshape(len(images), -1)))

  images = smooth_split(128).images
  found = []
  for momentum in (0.5, 0.99):
    network, params = split_model(Net(nnx.Rngs(params=jax.random.key(0)), momentum), (12, 12, 1), 3)
    found.append(recompute(network, params, images)[STATISTICS]["norm"])
  expected = np.asarray(images, np.float64).reshape(128, -1) / 255
  fixed, params = split_model(Net(nnx.Rngs(params=jax.random.key(0)), 1.0), (12, 12, 1), 3)
  jax.tree.map(np.testing.assert_array_equal, recompute(fixed, params, images)[STATISTICS], params[STATISTICS])
  for statistics in found:
    np.testing.assert_allclose(statistics["mean"], expected.mean(0), rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(statistics["var"], expected.var(0), rtol=1e-2, atol=1e-4)


def test_a_network_without_any(tiny_network, smooth_split):
  network, params = tiny_network("mlp")
  assert recompute(network, params, smooth_split(5).images) == {}
