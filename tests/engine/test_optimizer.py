import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from lwlrd_jax.engine.optimizer import INNER, layerwise

pytestmark = pytest.mark.newest
LABELS = {"a": {"kernel": 0, "bias": 0}, "b": {"kernel": 1}, "c": {"kernel": 2}}
SHAPES = {"a": {"kernel": (3, 2), "bias": (2,)}, "b": {"kernel": (2, 2)}, "c": {"kernel": (4,)}}


def _tree(seed, scale=1.0):
  rng = np.random.default_rng(seed)
  return jax.tree.map(
    lambda shape: jnp.asarray(scale * rng.normal(size=shape), jnp.float32),
    SHAPES,
    is_leaf=lambda node: isinstance(node, tuple),
  )


def _train(name, lrs, scale=1.0):
  """Parameters after each step, gradients made up."""
  params = _tree(0)
  tx = layerwise(INNER[name](), LABELS)
  state = tx.init(params)
  course = []
  for step, lr in enumerate(lrs):
    updates, state = tx.update(_tree(step + 1, scale), state, params, lr=jnp.asarray(lr, jnp.float32))
    params = optax.apply_updates(params, updates)
    course.append(params)
  return course


def test_adam_equals_an_adam_for_each_layer():
  rates = [[0.1, 0.01, 0.003], [0.2, 0.05, 0.0001]]
  course = _train("adam", rates)
  for depth, layer in enumerate(("a", "b", "c")):
    params = _tree(0)[layer]
    tx = optax.adam(lambda count, depth=depth: jnp.asarray(rates, jnp.float32)[count, depth])
    state = tx.init(params)
    for step in range(2):
      updates, state = tx.update(_tree(step + 1)[layer], state, params)
      params = optax.apply_updates(params, updates)
      jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-5), course[step][layer], params)


def test_scaled_gradients_do_not_matter_to_adam_but_rates_do():
  """Why the rates come after the preconditioner."""
  one, other = (_train("adam", [[0.1, 0.1, 0.1]], scale)[0] for scale in (1.0, 100.0))
  jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-6), one, other)
  halved = _train("adam", [[0.05, 0.1, 0.1]])[0]
  moved = np.asarray(one["a"]["kernel"] - _tree(0)["a"]["kernel"])
  np.testing.assert_allclose(halved["a"]["kernel"] - _tree(0)["a"]["kernel"], moved / 2, rtol=1e-3)
  np.testing.assert_array_equal(halved["b"]["kernel"], one["b"]["kernel"])


def _numpy_course(name, lrs, scale):
  """Every inner optimizer by its textbook formula."""
  params = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), _tree(0))
  memory = jax.tree.map(np.zeros_like, params)
  second = jax.tree.map(np.zeros_like, params)
  for step, lr in enumerate(lrs):
    grads = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), _tree(step + 1, scale))
    if "clip" in name:
      norm = np.sqrt(sum((g**2).sum() for g in jax.tree.leaves(grads)))
      grads = jax.tree.map(lambda g, norm=norm: g / max(norm, 1), grads)
    if "wd" in name:
      grads = jax.tree.map(lambda g, p: g + 5e-4 * p, grads, params)
    if "momentum" in name:
      memory = jax.tree.map(lambda m, g: 0.9 * m + g, memory, grads)
      grads = memory
    if name == "adam":
      memory = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, memory, grads)
      second = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g**2, second, grads)
      correct = (1 - 0.9 ** (step + 1), 1 - 0.999 ** (step + 1))
      grads = jax.tree.map(lambda m, v, c=correct: (m / c[0]) / (np.sqrt(v / c[1]) + 1e-8), memory, second)
    params = jax.tree.map(lambda p, g, depth, lr=lr: p - lr[depth] * g, params, grads, LABELS)
  return params


@pytest.mark.parametrize("scale", [0.01, 10.0])
@pytest.mark.parametrize("name", sorted(INNER))
def test_inner_optimizers_by_hand(name, scale):
  rates = [[0.1, 0.01, 0.3], [0.2, 0.05, 0.1], [0.01, 0.02, 0.03]]
  expected = _numpy_course(name, rates, scale)
  jax.tree.map(
    lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-6), _train(name, rates, scale)[-1], expected
  )


@pytest.mark.parametrize("name", sorted(INNER))
def test_rate_zero_leaves_a_layer_bit_identical(name):
  before = _tree(0)
  after = _train(name, [[0.0, 0.1, 0.0]] * 3)[-1]
  for layer in ("a", "c"):
    jax.tree.map(
      lambda x, y: np.testing.assert_array_equal(x.view(np.uint32), y.view(np.uint32)),
      *(jax.tree.map(np.asarray, tree[layer]) for tree in (before, after)),
    )
  assert (np.asarray(after["b"]["kernel"]) != np.asarray(before["b"]["kernel"])).all()
