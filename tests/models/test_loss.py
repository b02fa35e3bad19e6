import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lwlrd_jax.data.dataset import UNKNOWN
from lwlrd_jax.models.task import task_loss


def _single(logits, labels, smoothing):
  total = 0.0
  for row, label in zip(logits.astype(np.float64), labels, strict=True):
    log_p = row - row.max() - np.log(np.exp(row - row.max()).sum())
    target = np.full(len(row), smoothing / len(row))
    target[label] += 1 - smoothing
    total -= (target * log_p).sum()
  return total / len(logits)


def _multi(logits, labels, smoothing):
  z = logits.astype(np.float64)
  y = labels * (1 - smoothing) + smoothing / 2
  p = 1 / (1 + np.exp(-z))
  return -(y * np.log(p) + (1 - y) * np.log(1 - p)).mean()


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 1000), smoothing=st.floats(0, 0.99))
def test_against_numpy(seed, smoothing):
  rng = np.random.default_rng(seed)
  logits = rng.normal(scale=3, size=(6, 4)).astype(np.float32)
  labels = rng.integers(0, 4, 6).astype(np.int32)
  found = task_loss(jnp.asarray(logits), jnp.asarray(labels), smoothing)
  assert found.dtype == jnp.float32
  assert float(found) == pytest.approx(_single(logits, labels, smoothing), rel=1e-4)
  findings = rng.integers(0, 2, (6, 4)).astype(np.uint8)
  found = task_loss(jnp.asarray(logits), jnp.asarray(findings), smoothing)
  assert float(found) == pytest.approx(_multi(logits, findings, smoothing), rel=1e-4)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_known_case(smoothing):
  assert float(task_loss(jnp.zeros((5, 8)), jnp.arange(5), smoothing)) == pytest.approx(np.log(8), rel=1e-6)
  assert float(task_loss(jnp.zeros((5, 8)), jnp.ones((5, 8), jnp.uint8), smoothing)) == pytest.approx(np.log(2))


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), share=st.floats(0, 1), smoothing=st.floats(0, 0.99))
def test_unknown_findings_are_left_out(seed, share, smoothing):
  rng = np.random.default_rng(seed)
  logits = rng.normal(scale=3, size=(6, 4)).astype(np.float32)
  findings = rng.integers(0, 2, (6, 4)).astype(np.uint8)
  known = rng.random((6, 4)) >= share
  found, gradient = jax.value_and_grad(task_loss)(
    jnp.asarray(logits), jnp.asarray(np.where(known, findings, UNKNOWN).astype(np.uint8)), smoothing
  )
  expected = _multi(logits[known], findings[known], smoothing) if known.any() else 0
  assert float(found) == pytest.approx(expected, rel=1e-4)
  assert (np.asarray(gradient)[~known] == 0).all()
  sigmoid = 1 / (1 + np.exp(-logits.astype(np.float64)))
  target = findings * (1 - smoothing) + smoothing / 2
  np.testing.assert_allclose(gradient, known * (sigmoid - target) / max(known.sum(), 1), rtol=1e-4, atol=1e-7)


def test_data_without_unknown_findings_train_as_if_there_were_no_mask():
  """Bit by bit: a mask must not move the figures of data that have no need of it."""

  def unmasked(logits, labels, smoothing):
    targets = labels.astype(logits.dtype) * (1 - smoothing) + smoothing / 2
    return optax.sigmoid_binary_cross_entropy(logits, targets).mean()

  for seed in range(3):
    rng = np.random.default_rng(seed)
    inputs, weights = (jnp.asarray(rng.normal(size=shape).astype(np.float32)) for shape in ((49, 20), (20, 14)))
    labels = jnp.asarray(rng.integers(0, 2, (49, 14)).astype(np.uint8))
    here, there = (
      jax.jit(jax.value_and_grad(lambda w, of=of, x=inputs, y=labels: of(x @ w, y, 0.1)))(weights)
      for of in (task_loss, unmasked)
    )
    np.testing.assert_array_equal(here[0], there[0])
    np.testing.assert_array_equal(here[1], there[1])


def test_probabilities_of_labels_that_are_sure_are_those_labels():
  rng = np.random.default_rng(5)
  logits = jnp.asarray(rng.normal(size=(6, 4)), jnp.float32)
  classes = jnp.asarray(rng.integers(0, 4, 6))
  np.testing.assert_allclose(
    task_loss(logits, jax.nn.one_hot(classes, 4), 0.0), task_loss(logits, classes, 0.0), rtol=1e-6
  )
  findings = rng.integers(0, 2, (6, 4)).astype(np.uint8)
  findings[0, :2] = UNKNOWN
  sure = np.stack([findings == 0, findings == 1], axis=-1).astype(np.float32)
  np.testing.assert_allclose(
    task_loss(logits, jnp.asarray(sure), 0.0), task_loss(logits, jnp.asarray(findings), 0.0), rtol=1e-6
  )
  half = task_loss(logits, jnp.full((6, 4, 2), 0.5), 0.0)
  both = [task_loss(logits, jnp.full((6, 4), value, jnp.uint8), 0.0) for value in (0, 1)]
  np.testing.assert_allclose(half, np.mean(both), rtol=1e-6)
