"""The vision transformer: both directions against NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from lwlrd_jax.models.architectures.vit import ViT
from lwlrd_jax.models.network import split_model


def small(shape, outputs=3, blocks=2):
  """With norms and biases that do something."""
  model = ViT(shape, outputs, width=12, depth=blocks, heads=3, hidden=20, rngs=nnx.Rngs(params=jax.random.key(0)))
  network, params = split_model(model, shape, outputs)
  rng = np.random.default_rng(0)
  return network, jax.tree.map(lambda w: w + jnp.asarray(rng.normal(0, 0.2, w.shape), jnp.float32), params)


def gelu(x):
  return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


class Reference:
  """One image or code at a time, in float64, with loops where they say it best."""

  def __init__(self, params, heads=3):
    self.w = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), params)
    self.heads = heads

  def dense(self, name, x):
    return x @ self.w[name]["kernel"] + self.w[name]["bias"]

  def back(self, name, x):
    return x @ self.w[name]["kernel"].T

  def norm(self, name, x):
    centred = x - x.mean(-1, keepdims=True)
    scaled = centred / np.sqrt(np.square(centred).mean(-1, keepdims=True) + 1e-6)
    return scaled * self.w[name]["scale"] + self.w[name]["bias"]

  def look(self, name, x, values):
    queries, keys = self.dense(f"{name}.query", x), x @ self.w[f"{name}.key"]["kernel"]
    size = x.shape[1] // self.heads
    found = np.zeros_like(x)
    for head in range(self.heads):
      part = slice(head * size, (head + 1) * size)
      for token in range(len(x)):
        weights = np.exp(keys[:, part] @ queries[token, part] / np.sqrt(size))
        found[token, part] = weights / weights.sum() @ values[:, part]
    return found

  def forwards(self, patches, blocks):
    x = self.dense("embedding", patches) + self.w["position"]["kernel"]
    for number in range(blocks):
      name = f"blocks.{number}"
      read = self.norm(f"{name}.norm0", x)
      seen = self.look(f"{name}.attention", read, self.dense(f"{name}.attention.value", read))
      x = x + self.dense(f"{name}.attention.out", seen)
      x = x + self.dense(f"{name}.down", gelu(self.dense(f"{name}.up", self.norm(f"{name}.norm1", x))))
    return self.dense("head", self.norm("norm", x).mean(0))

  def backwards(self, code, blocks):
    x = self.norm("norm", self.back("head", code)) + self.w["position"]["kernel"]
    for number in reversed(range(blocks)):
      name = f"blocks.{number}"
      x = x + self.back(f"{name}.up", gelu(self.back(f"{name}.down", self.norm(f"{name}.norm1", x))))
      read = self.norm(f"{name}.norm0", x)
      seen = self.look(f"{name}.attention", read, self.back(f"{name}.attention.out", read))
      x = x + self.back(f"{name}.attention.value", seen)
    return self.back("embedding", x)


def patches_of(image, side):
  """Row by row; what sticks out at the end is zero (grey, after centring)."""
  rows, columns = (-(-size // side) for size in image.shape[:2])
  canvas = np.zeros((rows * side, columns * side, image.shape[2]))
  canvas[: image.shape[0], : image.shape[1]] = 2 * image - 1
  return np.stack(
    [
      canvas[i * side : (i + 1) * side, j * side : (j + 1) * side].reshape(-1)
      for i in range(rows)
      for j in range(columns)
    ]
  )


@pytest.mark.parametrize(("shape", "side"), [((12, 12, 1), 4), ((10, 15, 3), 4), ((64, 50, 1), 8)])
def test_both_directions_by_numpy(shape, side):
  network, params = small(shape)
  reference = Reference(params)
  rng = np.random.default_rng(1)
  images, codes = rng.random((2, *shape)).astype(np.float32), rng.uniform(0, 5, (2, 3)).astype(np.float32)
  logits = [reference.forwards(patches_of(image, side), 2) for image in images]
  np.testing.assert_allclose(network.forward(params, images), logits, rtol=1e-3, atol=1e-4)

  painted = np.asarray(network.transpose(params, codes))
  assert painted.shape == (2, *shape)
  for image, code in zip(painted, codes, strict=True):
    patches = reference.backwards(code, 2)
    kept = patches_of(np.ones(shape), side) != 0  # where a patch lies in the image
    np.testing.assert_allclose(patches_of(image, side)[kept], patches[kept], rtol=1e-3, atol=1e-3)


def test_sizes():
  """Of the Transpose attack's own: 7 blocks of width 384, hidden 1152, patches of 4 pixels."""
  shapes = nnx.eval_shape(lambda: ViT((28, 28, 3), 7, rngs=nnx.Rngs(0)))
  network, params = split_model(shapes, (28, 28, 3), 7)
  assert params["position"]["kernel"].shape == (49, 384)
  assert params["embedding"]["kernel"].shape == (48, 384)
  assert params["blocks.6.up"]["kernel"].shape == (384, 1152)
  assert max(network.blocks) == 8
