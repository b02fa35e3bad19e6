"""ResNet-18: both directions against the library's convolutions and NumPy, its statistics, and what it can memorise."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from lwlrd_jax.models.architectures.layers import Conv, shifted
from lwlrd_jax.models.architectures.resnet import ResNet
from lwlrd_jax.models.network import STATISTICS, split_model

DIMENSIONS = ("NHWC", "HWIO", "NHWC")


def small(shape, outputs=3, seed=0, channels=4):
  """With norms that do something: scales, shifts and statistics away from 1 and 0."""
  model = ResNet(shape, outputs, channels=channels, rngs=nnx.Rngs(params=jax.random.key(seed)))
  network, params = split_model(model, shape, outputs)
  rng = np.random.default_rng(seed)
  drawn = {"scale": (0.5, 1.5), "bias": (-0.5, 0.5), "mean": (-0.5, 0.5), "var": (0.5, 1.5)}

  def of_leaf(path, leaf):
    name = path[-1].key
    return jnp.asarray(rng.uniform(*drawn[name], leaf.shape), jnp.float32) if name in drawn else leaf

  return network, jax.tree_util.tree_map_with_path(of_leaf, params)


def convolve(kernel, x, stride):
  half = kernel.shape[0] // 2
  return jax.lax.conv_general_dilated(x, kernel, (stride, stride), [(half, half)] * 2, dimension_numbers=DIMENSIONS)


@pytest.mark.parametrize("size", [1, 3, 7])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("side", [(8, 8), (7, 10), (5, 1)])
def test_a_convolution_and_its_adjoint_by_the_library(size, stride, side):
  layer = Conv(3, 5, size=size, stride=stride, rngs=nnx.Rngs(params=jax.random.key(0)))
  x = jax.random.normal(jax.random.key(1), (2, *side, 3))
  y, adjoint = jax.vjp(lambda x: convolve(layer.kernel[...], x, stride), x)
  np.testing.assert_allclose(jax.jit(layer)(x), y, rtol=1e-5, atol=1e-5)
  g = jax.random.normal(jax.random.key(2), y.shape)
  np.testing.assert_allclose(jax.jit(lambda g: layer.transpose(g, side))(g), adjoint(g)[0], rtol=1e-5, atol=1e-5)


def test_what_a_window_sees():
  x = jnp.arange(20.0).reshape(1, 4, 5, 1)
  seen = np.stack(shifted(x, 3, 2, -1.0), axis=-1)[0, :, :, 0]
  padded = np.pad(np.arange(20.0).reshape(4, 5), 1, constant_values=-1)
  for row in range(2):
    for column in range(3):
      expected = padded[2 * row : 2 * row + 3, 2 * column : 2 * column + 3].reshape(-1)
      np.testing.assert_array_equal(seen[row, column], expected)


def forwards(params, images, *, training=False):
  """With plain means over the batch or the statistics, and the library's convolutions and pool."""

  def norm(x, name):
    statistics = params[STATISTICS][name]
    mean, var = (x.mean((0, 1, 2)), x.var((0, 1, 2))) if training else (statistics["mean"], statistics["var"])
    return (x - mean) / np.sqrt(var + 1e-5) * params[name]["scale"] + params[name]["bias"]

  large = max(images.shape[1:3]) >= 64
  x = np.maximum(norm(convolve(params["stem"]["kernel"], 2 * images - 1, 2 if large else 1), "norm"), 0)
  if large:
    pooled = jax.lax.reduce_window(
      jnp.asarray(x), -jnp.inf, jax.lax.max, (1, 3, 3, 1), (1, 2, 2, 1), [(0, 0), (1, 1), (1, 1), (0, 0)]
    )
    x = np.asarray(pooled)
  for number in range(8):
    name, stride = f"blocks.{number}", 2 if number in {2, 4, 6} else 1
    changed = np.maximum(norm(convolve(params[f"{name}.conv0"]["kernel"], x, stride), f"{name}.norm0"), 0)
    changed = norm(convolve(params[f"{name}.conv1"]["kernel"], changed, 1), f"{name}.norm1")
    if stride == 2:
      x = norm(convolve(params[f"{name}.shortcut"]["kernel"], x, 2), f"{name}.shortcut_norm")
    x = np.maximum(changed + x, 0)
  return x.mean((1, 2)) @ params["head"]["kernel"] + params["head"]["bias"]


@pytest.mark.parametrize("shape", [(28, 28, 3), (30, 26, 1), (64, 64, 1), (66, 70, 3)])
def test_forwards(shape):
  network, params = small(shape)
  images = jax.random.uniform(jax.random.key(1), (5, *shape))
  np.testing.assert_allclose(jax.jit(network.forward)(params, images), forwards(params, images), rtol=2e-4, atol=2e-4)
  logits, _ = jax.jit(network.forward_training)(params, images)
  np.testing.assert_allclose(logits, forwards(params, images, training=True), rtol=2e-3, atol=2e-3)


def backwards(params, codes, sides, shape):
  """Adjoints by the library, each place normalised by itself."""

  def norm(x, name):
    square = np.square(x).mean(-1, keepdims=True)
    return x / np.sqrt(square + 1e-5) * params[name]["scale"] + params[name]["bias"]

  def adjoint(name, y, side, stride):
    kernel = params[name]["kernel"]
    x = jnp.zeros((len(y), *side, kernel.shape[2]))
    return np.asarray(jax.vjp(lambda x: convolve(kernel, x, stride), x)[1](jnp.asarray(y))[0])

  y = codes @ np.asarray(params["head"]["kernel"]).T
  y = np.broadcast_to(y[:, None, None], (len(codes), *sides[-1], y.shape[-1]))
  for number in reversed(range(8)):
    name, stride = f"blocks.{number}", 2 if number in {2, 4, 6} else 1
    side, inner = sides[number], sides[number + 1]
    painted = adjoint(f"{name}.conv1", np.maximum(norm(y, f"{name}.norm1"), 0), inner, 1)
    painted = adjoint(f"{name}.conv0", np.maximum(norm(painted, f"{name}.norm0"), 0), side, stride)
    passed = adjoint(f"{name}.shortcut", norm(y, f"{name}.shortcut_norm"), side, 2) if stride == 2 else y
    y = painted + passed
  large = max(shape[:2]) >= 64
  if large:
    y = y.repeat(2, axis=1).repeat(2, axis=2)[:, : -(-shape[0] // 2), : -(-shape[1] // 2)]
  return (adjoint("stem", norm(y, "norm"), shape[:2], 2 if large else 1) + 1) / 2


@pytest.mark.parametrize(
  ("shape", "sides"),
  [
    ((28, 28, 3), [28, 28, 28, 14, 14, 7, 7, 4, 4]),
    ((64, 64, 1), [16, 16, 16, 8, 8, 4, 4, 2, 2]),
    ((66, 66, 3), [17, 17, 17, 9, 9, 5, 5, 3, 3]),
  ],
)
def test_backwards(shape, sides):
  network, params = small(shape)
  codes = np.random.default_rng(1).uniform(0, 5, (4, 3)).astype(np.float32)
  expected = backwards(params, codes, [(side, side) for side in sides], shape)
  transpose = jax.jit(network.transpose)
  np.testing.assert_allclose(transpose(params, codes), expected, rtol=1e-3, atol=1e-4)
  # One code's picture is its own: whatever else is painted beside it, and whatever images the statistics are of.
  other = {**params, STATISTICS: jax.tree.map(lambda leaf: leaf + 1, params[STATISTICS])}
  np.testing.assert_allclose(transpose(other, codes[:1]), expected[:1], rtol=1e-3, atol=1e-4)


def test_statistics_after_a_batch():
  network, params = small((28, 28, 1))
  images = jax.random.uniform(jax.random.key(1), (6, 28, 28, 1))
  _, after = jax.jit(network.forward_training)(params, images)
  stem = np.asarray(convolve(params["stem"]["kernel"], 2 * images - 1, 1))
  before = params[STATISTICS]["norm"]
  np.testing.assert_allclose(
    after[STATISTICS]["norm"]["mean"], 0.9 * before["mean"] + 0.1 * stem.mean((0, 1, 2)), rtol=1e-4, atol=1e-5
  )
  np.testing.assert_allclose(
    after[STATISTICS]["norm"]["var"], 0.9 * before["var"] + 0.1 * stem.var((0, 1, 2)), rtol=1e-4, atol=1e-5
  )
  assert jax.tree.map(jnp.shape, after) == {STATISTICS: jax.tree.map(jnp.shape, params[STATISTICS])}
  jax.tree.map(np.testing.assert_array_equal, params, small((28, 28, 1))[1])  # nothing was changed in place


def test_standard_sizes():
  """The published network's: 11.17 million parameters with a stem for small images (He et al., table 1)."""
  shapes = nnx.eval_shape(lambda: ResNet((28, 28, 3), 7, rngs=nnx.Rngs(0)))
  network, params = split_model(shapes, (28, 28, 3), 7)
  assert sum(leaf.size for leaf in jax.tree.leaves(network.weights(params))) == 11_172_423
  assert len([layer for layer in network.kernels if "shortcut" not in layer]) == 18
