import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lwlrd_jax.models import build_model, build_network

DIMENSIONS = ("NHWC", "HWIO", "NHWC")


@pytest.mark.parametrize(
  ("side", "convolutions", "grid"), [(28, 2, 7), (30, 2, 8), (32, 2, 8), (64, 3, 8), (224, 5, 7), (8, 0, 8), (9, 1, 5)]
)
def test_convolutions_down_to_eight_pixels(side, convolutions, grid):
  network = build_network("cnn", (side, side, 3), 7)
  assert network.layers == (*(f"conv{i}" for i in range(convolutions)), "dense0", "dense1", "dense2")
  params = jax.eval_shape(lambda: build_model("cnn", (side, side, 3), 7, jax.random.key(0))[1])
  channels = 64 if convolutions > 1 else 32 if convolutions else 3
  assert params["dense0"]["kernel"].shape == (grid * grid * channels, 1024)


@pytest.mark.parametrize("image_shape", [(12, 20, 1), (30, 30, 3)])
def test_both_directions_by_library_convolutions(tiny_network, image_shape):
  """The backward direction of a convolution is its vector-Jacobian product, whatever the layer does inside."""
  network, params = tiny_network("cnn", image_shape, 4)
  assert network.layers == ("conv0", "conv1", "dense0", "dense1", "dense2")
  rng = np.random.default_rng(0)
  for layer in params.values():
    layer["bias"] = jnp.asarray(rng.normal(size=layer["bias"].shape), jnp.float32)

  def convolve(name, x):
    odd = [side % 2 for side in x.shape[1:3]]
    padding = [(1, 1 + o) for o in odd]
    return jax.lax.conv_general_dilated(x, params[name]["kernel"], (2, 2), padding, dimension_numbers=DIMENSIONS)

  @jax.jit
  def forwards(params, images):
    x = 2 * images - 1
    for name in ("conv0", "conv1"):
      x = jnp.maximum(convolve(name, x) + params[name]["bias"], 0)
    x = x.reshape(3, -1)
    for name in ("dense0", "dense1"):
      x = jnp.maximum(x @ params[name]["kernel"] + params[name]["bias"], 0)
    return x @ params["dense2"]["kernel"] + params["dense2"]["bias"]

  @jax.jit
  def backwards(params, codes):
    y = codes
    for name in ("dense2", "dense1", "dense0"):
      y = jnp.maximum(y @ params[name]["kernel"].T, 0)
    y = y.reshape(3, *grid, 4)
    for name, shape in (("conv1", (3, *half, 2)), ("conv0", (3, *image_shape))):
      _, adjoint = jax.vjp(lambda x, name=name: convolve(name, x), jnp.zeros(shape))
      (y,) = adjoint(y)
      y = jnp.maximum(y, 0) if name == "conv1" else y
    return (y + 1) / 2

  half = [(side + 1) // 2 for side in image_shape[:2]]
  grid = [(side + 1) // 2 for side in half]
  images = jnp.asarray(rng.random((3, *image_shape)), jnp.float32)
  found = jax.jit(network.forward)(params, images)
  np.testing.assert_allclose(found, forwards(params, images), rtol=1e-3, atol=1e-4)
  codes = jnp.asarray(rng.random((3, 4)), jnp.float32)
  found = jax.jit(network.transpose)(params, codes)
  np.testing.assert_allclose(found, backwards(params, codes), rtol=1e-3, atol=1e-4)
