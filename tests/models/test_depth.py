"""Depth read from the computation: of our models, and of whatever JAX can trace."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from hypothesis import given, settings
from hypothesis import strategies as st

from lwlrd_jax.models import MODELS, build_network
from lwlrd_jax.models.depth import UNUSED, depth_labels


def vit_by_hand(blocks):
  depths = [["embedding", "position", "blocks.0.norm0"]]
  for number in range(blocks):
    name = f"blocks.{number}"
    depths.append([f"{name}.attention.{part}" for part in ("query", "key", "value")])
    depths += [[f"{name}.attention.out", f"{name}.norm1"], [f"{name}.up"]]
    depths.append([f"{name}.down", "norm" if number == blocks - 1 else f"blocks.{number + 1}.norm0"])
  return [*depths, ["head"]]


def resnet_by_hand():
  depths = [["stem", "norm"]]
  for number in range(8):
    name = f"blocks.{number}"
    first = ["conv0", "norm0", *(["shortcut", "shortcut_norm"] if number in {2, 4, 6} else [])]
    depths += [[f"{name}.{part}" for part in first], [f"{name}.conv1", f"{name}.norm1"]]
  return [*depths, ["head"]]


# Layers of each depth, and of each block.
WRITTEN = {
  "mlp": [["dense0"], ["dense1"], ["dense2"], ["dense3"]],
  "cnn": [["conv0"], ["conv1"], ["dense0"], ["dense1"], ["dense2"]],
  "resnet18": resnet_by_hand(),
  "vit": vit_by_hand(7),
  "vit-small": vit_by_hand(4),
}
BLOCKS = {
  "mlp": [["dense0"], ["dense1", "dense2"], ["dense3"]],
  "cnn": [["conv0", "conv1"], ["dense0", "dense1"], ["dense2"]],
  "resnet18": [["stem", "norm"], *([f"blocks.{number}."] for number in range(8)), ["head"]],
  "vit": [["embedding", "position"], *([f"blocks.{number}."] for number in range(6)), ["blocks.6.", "norm"], ["head"]],
  "vit-small": [["embedding", "position"], *([f"blocks.{n}."] for n in range(3)), ["blocks.3.", "norm"], ["head"]],
}
pytestmark = pytest.mark.newest
X = jax.ShapeDtypeStruct((2, 4), jnp.float32)
SQUARE = jax.ShapeDtypeStruct((4, 4), jnp.float32)
VECTOR = jax.ShapeDtypeStruct((4,), jnp.float32)


def test_every_model_is_here():
  assert set(WRITTEN) == set(MODELS)


@pytest.mark.parametrize("side", [28, 64])
@pytest.mark.parametrize("model", [model for model in WRITTEN if model != "cnn"])
def test_models_as_written_by_hand(model, side):
  check_written(build_network(model, (side, side, 3), 7), model)


def test_a_cnn_as_written_by_hand():
  """Which has one more convolution at 64 px."""
  check_written(build_network("cnn", (28, 28, 3), 7), "cnn")


def check_written(network, model):
  written = {layer: depth for depth, layers in enumerate(WRITTEN[model]) for layer in layers}
  assert dict(zip(network.layers, network.depths, strict=True)) == written
  assert list(network.depths) == sorted(network.depths)
  numbers = [
    next(number for number, parts in enumerate(BLOCKS[model]) if any(is_of(layer, part) for part in parts))
    for layer in network.layers
  ]
  assert list(network.blocks) == numbers


def is_of(layer, part):
  return layer.startswith(part) if part.endswith(".") else layer == part


class Block(nnx.Module):
  def __init__(self, rngs):
    self.norm1, self.norm2 = nnx.LayerNorm(4, rngs=rngs), nnx.LayerNorm(4, rngs=rngs)
    self.attention = nnx.MultiHeadAttention(2, 4, decode=False, rngs=rngs)
    self.up, self.down = nnx.Linear(4, 8, rngs=rngs), nnx.Linear(8, 4, rngs=rngs)

  def __call__(self, x):
    x = x + self.attention(self.norm1(x))
    return x + self.down(nnx.gelu(self.up(self.norm2(x))))


class Transformer(nnx.Module):
  """With all that has no depth by itself: norms, a class token, a position embedding."""

  def __init__(self, rngs):
    self.embedding = nnx.Linear(4, 4, rngs=rngs)
    self.token, self.position = nnx.Param(jnp.zeros((1, 1, 4))), nnx.Param(jnp.zeros((1, 4, 4)))
    self.blocks = nnx.List([Block(rngs) for _ in range(2)])
    self.norm, self.head = nnx.LayerNorm(4, rngs=rngs), nnx.Linear(4, 3, rngs=rngs)

  def __call__(self, x):
    x = self.embedding(x)
    x = jnp.concatenate([jnp.broadcast_to(self.token[...], (len(x), 1, 4)), x], axis=1) + self.position[...]
    for block in self.blocks:
      x = block(x)
    return self.head(self.norm(x)[:, 0])


def transformer_labels(by):
  graphdef, state = nnx.split(nnx.eval_shape(lambda: Transformer(nnx.Rngs(0))), nnx.Param)
  fn = lambda params, x: nnx.merge(graphdef, nnx.State(jax.tree.map(nnx.Param, params)))(x)  # noqa: E731
  return depth_labels(fn, nnx.to_pure_dict(state), jax.ShapeDtypeStruct((2, 3, 4), jnp.float32), by=by)


def test_a_users_transformer_by_layer():
  labels = transformer_labels("layer")
  assert (labels["embedding"]["kernel"], labels["token"], labels["position"]) == (0, 0, 0)
  for number, first in ((0, 1), (1, 5)):
    block = labels["blocks"][number]
    # What reads the same lies equally deep; a norm lies with what it is applied to.
    assert [block["attention"][name]["kernel"] for name in ("query", "key", "value", "out")] == [first] * 3 + [
      first + 1
    ]
    assert (block["norm1"]["scale"], block["norm2"]["bias"]) == (first - 1, first + 1)
    assert (block["up"]["kernel"], block["down"]["bias"]) == (first + 2, first + 3)
  assert (labels["norm"]["scale"], labels["head"]["kernel"]) == (8, 9)


def test_a_users_transformer_by_block():
  labels = transformer_labels("block")
  assert [set(jax.tree.leaves(labels["blocks"][number])) for number in (0, 1)] == [{1}, {2}]
  assert (labels["embedding"], labels["token"], labels["position"]) == ({"bias": 0, "kernel": 0}, 0, 0)
  assert labels["norm"] == {"bias": 2, "scale": 2}
  assert labels["head"] == {"bias": 3, "kernel": 3}


def test_order_is_that_of_use_not_of_names():
  fn = lambda p, x: x @ p["z"] @ p["a"] @ p["m"]  # noqa: E731
  assert depth_labels(fn, dict.fromkeys("amz", SQUARE), X) == {"z": 0, "a": 1, "m": 2}


def test_branches_share_a_depth_and_the_longest_way_counts():
  def fn(p, x):
    long = jnp.tanh(x @ p["long1"]) @ p["long2"]
    return (long + x @ p["short"]) @ p["after"]

  labels = depth_labels(fn, dict.fromkeys(("long1", "long2", "short", "after"), SQUARE), X)
  assert labels == {"long1": 0, "short": 0, "long2": 1, "after": 2}


def test_biases_at_the_root_of_the_tree():
  fn = lambda p, x: jnp.tanh(x @ p[0] + p[1]) @ p[2] + p[3]  # noqa: E731
  assert depth_labels(fn, [SQUARE, VECTOR, SQUARE, VECTOR], X) == [0, 0, 1, 1]


def test_a_scale_in_front_of_everything_is_of_the_first_layer():
  fn = lambda p, x: (x * p["scale"]) @ p["kernel"]  # noqa: E731
  assert depth_labels(fn, {"scale": VECTOR, "kernel": SQUARE}, X) == {"scale": 0, "kernel": 0}


def test_a_layer_whose_first_use_does_not_mix():
  fn = lambda p, x: (x @ p["a"] * p["b"]["scale"]) @ p["b"]["kernel"]  # noqa: E731
  labels = depth_labels(fn, {"a": SQUARE, "b": {"scale": VECTOR, "kernel": SQUARE}}, X)
  assert labels == {"a": 0, "b": {"kernel": 1, "scale": 1}}


def test_parameters_that_meet_before_the_input():
  def fn(p, x):
    normal = lambda layer: layer["gain"] * layer["kernel"] / jnp.linalg.norm(layer["kernel"], axis=0)  # noqa: E731
    return jnp.tanh(x @ normal(p["a"])) @ normal(p["b"])

  layer = {"kernel": SQUARE, "gain": VECTOR}
  assert depth_labels(fn, {"b": layer, "a": layer}, X) == {"a": {"gain": 0, "kernel": 0}, "b": {"gain": 1, "kernel": 1}}


def test_a_weight_used_twice_is_where_it_is_used_first():
  fn = lambda p, x: x @ p["tied"] @ p["middle"] @ p["tied"] @ p["last"]  # noqa: E731
  assert depth_labels(fn, dict.fromkeys(("tied", "middle", "last"), SQUARE), X) == {"tied": 0, "middle": 1, "last": 2}


def test_words_are_looked_up():
  fn = lambda p, words: p["table"][words] @ p["kernel"]  # noqa: E731
  words = jax.ShapeDtypeStruct((2, 3), jnp.int32)
  assert depth_labels(fn, {"table": SQUARE, "kernel": SQUARE}, words) == {"table": 0, "kernel": 1}


def test_convolutions():
  def fn(p, x):
    for name in ("c1", "c2"):
      x = jax.nn.relu(jax.lax.conv(x, p[name], (1, 1), "SAME"))
    return x.reshape(len(x), -1) @ p["head"]

  kernel = jax.ShapeDtypeStruct((3, 3, 3, 3), jnp.float32)
  params = {"c1": kernel, "c2": kernel, "head": jax.ShapeDtypeStruct((48, 2), jnp.float32)}
  assert depth_labels(fn, params, jax.ShapeDtypeStruct((2, 3, 4, 4), jnp.float32)) == {"c1": 0, "c2": 1, "head": 2}


@jax.custom_vjp
def _custom(x, kernel):
  return x @ kernel


_custom.defvjp(lambda x, kernel: (x @ kernel, None), lambda _, g: (g, g))


@pytest.mark.parametrize(
  "wrap",
  [
    jax.jit,
    jax.checkpoint,
    lambda f: jax.vmap(f, (0, None)),
    lambda f: lambda x, k: jax.lax.cond(x.sum() > 0, f, lambda x, k: x - k[0], x, k),
    lambda f: lambda x, k: jax.lax.fori_loop(0, 3, lambda _, y: f(y, k), x),
    lambda f: lambda x, k: jax.lax.while_loop(lambda y: y.sum() < 3, lambda y: f(y, k), x),
    lambda f: lambda x, k: jax.lax.scan(lambda y, _: (f(y, k), None), x, length=3)[0],
    lambda f: lambda x, k: jax.lax.map(lambda row: f(row, k), x),
    lambda _: _custom,
  ],
  ids=["jit", "remat", "vmap", "cond", "fori", "while", "scan", "map", "custom_vjp"],
)
def test_through_every_wrapping(wrap):
  dense = wrap(lambda x, kernel: x @ kernel)
  fn = lambda p, x: dense(dense(x @ p["b"], p["c"]), p["a"])  # noqa: E731
  assert depth_labels(fn, dict.fromkeys("abc", SQUARE), X) == {"b": 0, "c": 1, "a": 2}


def test_what_a_loop_carries_may_meet_the_input_later():
  def fn(p, x):
    def turn(carry, _):
      state, weights = carry
      return (state @ weights + x, weights), None

    return jax.lax.scan(turn, (jnp.zeros((2, 4)), p["kernel"]), length=2)[0][0] @ p["last"]

  assert depth_labels(fn, {"kernel": SQUARE, "last": SQUARE}, X) == {"kernel": 0, "last": 1}


def test_an_input_that_is_closed_over():
  x = jnp.ones((2, 4))
  assert depth_labels(lambda p: x @ p["b"] @ p["a"], {"a": SQUARE, "b": SQUARE}) == {"b": 0, "a": 1}


def test_without_any_use():
  labels = depth_labels(lambda p, x: x @ p["a"], {"a": SQUARE, "spare": {"kernel": SQUARE}}, X)
  assert labels == {"a": 0, "spare": {"kernel": UNUSED}}
  with pytest.raises(ValueError, match="nothing is computed with any parameter"):
    depth_labels(lambda p, x: x, {"a": SQUARE}, X)


def test_layers_that_are_slices_of_one_parameter():
  fn = lambda p, x: jax.lax.scan(lambda y, kernel: (y @ kernel, None), x, p["stack"])[0]  # noqa: E731
  with pytest.raises(ValueError, match=r"parameter stack: a loop takes a slice of it in each turn"):
    depth_labels(fn, {"stack": jax.ShapeDtypeStruct((3, 4, 4), jnp.float32)}, X)


@settings(deadline=None, max_examples=30)
@given(st.lists(st.tuples(st.booleans(), st.sets(st.integers(0, 7), min_size=1, max_size=3)), min_size=1, max_size=8))
def test_any_graph(nodes):
  """A node adds up some of those before it, then mixes or scales; its depth by a plain recursion."""
  sources = [sorted({number % (i + 1) for number in before}) for i, (_, before) in enumerate(nodes)]

  def fn(params, x):
    values = [x]
    for i, (mixes, _) in enumerate(nodes):
      joined = functools.reduce(jnp.add, [values[number] for number in sources[i]])
      values.append(joined @ params[i] if mixes else joined * params[i])
    return values

  @functools.cache
  def level(i):
    below = max(level(number) for number in sources[i - 1]) if i else -1
    return below + 1 if i and nodes[i - 1][0] else below

  levels = [max(level(i + 1), 0) for i in range(len(nodes))]
  expected = np.unique(levels, return_inverse=True)[1].tolist()
  assert depth_labels(fn, [SQUARE if mixes else VECTOR for mixes, _ in nodes], X) == expected
