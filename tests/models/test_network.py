import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from lwlrd_jax.models import build_model, build_network
from lwlrd_jax.models.architectures.layers import Dense, DownConv
from lwlrd_jax.models.network import split_model

SHAPES = {"mlp": (12, 12, 1), "cnn": (20, 20, 3)}


@pytest.mark.parametrize("name", ["mlp", "cnn"])
@pytest.mark.parametrize("side", [28, 30, 64])
@pytest.mark.parametrize("channels", [1, 3])
def test_shapes_of_both_directions(name, side, channels):
  """By abstract evaluation of the full-size models: nothing is computed."""
  shape = (side, side, channels)
  network = build_network(name, shape, 5)
  params = jax.eval_shape(lambda: build_model(name, shape, 5, jax.random.key(0))[1])
  logits = jax.eval_shape(network.forward, params, jax.ShapeDtypeStruct((2, *shape), jnp.float32))
  images = jax.eval_shape(network.transpose, params, jax.ShapeDtypeStruct((2, 5), jnp.float32))
  assert (logits.shape, logits.dtype) == ((2, 5), jnp.float32)
  assert (images.shape, images.dtype) == ((2, *shape), jnp.float32)


@pytest.mark.parametrize("name", ["mlp", "cnn"])
def test_structure_without_weights_is_that_with_weights(name):
  shape = SHAPES[name]
  alone = build_network(name, shape, 3)
  network, params = build_model(name, shape, 3, jax.random.key(0))
  assert alone == network
  assert hash(alone) == hash(network)
  assert alone != build_network(name, shape, 4)
  images = jnp.full((1, *shape), 0.3)
  np.testing.assert_array_equal(alone.forward(params, images), network.forward(params, images))


@pytest.mark.parametrize("name", ["mlp", "cnn"])
def test_params_are_plain_dicts_of_f32(name):
  network, params = build_model(name, SHAPES[name], 3, jax.random.key(0))
  assert type(params) is dict
  assert set(params) == set(network.layers)
  for layer in params.values():
    assert type(layer) is dict
    assert set(layer) == {"kernel", "bias"}
    for leaf in layer.values():
      assert isinstance(leaf, jax.Array)
      assert leaf.dtype == jnp.float32
  again = build_model(name, SHAPES[name], 3, jax.random.key(0))[1]
  other = build_model(name, SHAPES[name], 3, jax.random.key(1))[1]
  jax.tree.map(np.testing.assert_array_equal, params, again)
  for layer in network.layers:
    assert not np.array_equal(params[layer]["kernel"], other[layer]["kernel"])


@pytest.mark.parametrize("name", ["mlp", "cnn"])
def test_depth_order_is_the_order_of_use(name, tiny_network, monkeypatch):
  network, params = tiny_network(name, SHAPES[name])
  model = network.bind(params)
  names = {id(getattr(model, layer)): layer for layer in network.layers}
  used: list[str] = []

  def recording(original):
    def call(self, *args):
      used.append(names[id(self)])
      return original(self, *args)

    return call

  for cls, method in itertools.product((Dense, DownConv), ("__call__", "transpose")):
    monkeypatch.setattr(cls, method, recording(getattr(cls, method)))
  model(jnp.zeros((1, *SHAPES[name])))
  assert tuple(used) == network.layers
  used.clear()
  model.transpose(jnp.zeros((1, 3)))
  assert tuple(used) == network.layers[::-1]


@pytest.mark.parametrize("name", ["mlp", "cnn"])
def test_stages_are_what_each_layer_makes_of_the_one_before(name, tiny_network):
  network, params = tiny_network(name, SHAPES[name])
  codes = jnp.asarray(np.random.default_rng(0).random((4, 3)), jnp.float32)
  stages = network.transpose_stages(params, codes)
  assert len(stages) == len(network.layers)
  np.testing.assert_array_equal(stages[-1], network.transpose(params, codes))
  model = network.bind(params)
  x = codes
  for layer, stage in zip(network.layers[::-1], stages, strict=True):
    before = x.reshape(4, *model.grid) if layer == "conv1" else x
    last = layer == network.layers[0]
    sides = (model.sides[int(layer[-1])],) if layer.startswith("conv") else ()
    made = getattr(model, layer).transpose(before, *sides)
    expected = (made + 1) / 2 if last else jnp.maximum(made, 0)
    np.testing.assert_allclose(stage.reshape(4, -1), expected.reshape(4, -1), rtol=1e-5, atol=1e-6)
    x = stage


class Branching(nnx.Module):
  """A user's network: nested, with parallel branches, norms, a parameter of its own, and names out of order."""

  class Block(nnx.Module):
    def __init__(self, rngs):
      self.norm = nnx.LayerNorm(6, rngs=rngs)
      self.up, self.down, self.by = (nnx.Linear(6, 6, rngs=rngs) for _ in range(3))

    def __call__(self, x):
      return self.down(nnx.relu(self.up(self.norm(x)))) + self.by(x)

  def __init__(self, rngs):
    self.stem, self.a_head = nnx.Linear(16, 6, rngs=rngs), nnx.Linear(6, 3, rngs=rngs)
    self.blocks = nnx.List([Branching.Block(rngs) for _ in range(11)])
    self.gain = nnx.Param(jnp.ones(6))

  def __call__(self, images):
    x = self.stem(images.reshape(len(images), -1)) * self.gain[...]
    for block in self.blocks:
      x = block(x)
    return self.a_head(x)


def test_a_users_network_needs_no_annotation():
  model = Branching(nnx.Rngs(0))
  images = jnp.asarray(np.random.default_rng(0).random((2, 4, 4, 1)), jnp.float32)
  network, params = split_model(model, (4, 4, 1), 3)
  np.testing.assert_array_equal(network.forward(params, images), model(images))
  assert list(params) == list(network.layers)
  assert network.layers[:4] == ("gain", "stem", "blocks.0.norm", "blocks.0.by")
  assert network.layers[-3:] == ("blocks.10.up", "blocks.10.down", "a_head")
  assert set(params["gain"]) == {"gain"}
  assert set(params["blocks.3.norm"]) == {"scale", "bias"}
  depths = dict(zip(network.layers, network.depths, strict=True))
  assert [depths[f"blocks.0.{name}"] for name in ("norm", "up", "by", "down")] == [0, 1, 1, 2]
  assert depths["a_head"] == 23
  blocks = dict(zip(network.layers, network.blocks, strict=True))
  assert [blocks[f"blocks.{i}.{name}"] for i in range(11) for name in ("norm", "down")] == [
    i + 1 for i in range(11) for _ in range(2)
  ]
  assert (blocks["stem"], blocks["gain"], blocks["a_head"]) == (0, 0, 12)
  assert network.depth_of_layer("layer") == network.depths
  assert network.depth_of_layer("block") == network.blocks


def test_blocks_that_are_not_of_the_layers():
  class Declared(Branching):
    depth_blocks = (("stem",), ("a_head",))

  with pytest.raises(ValueError, match="are not of the layers"):
    split_model(Declared(nnx.Rngs(0)), (4, 4, 1), 3)
