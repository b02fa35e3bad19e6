import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lwlrd_jax.models.loss import task_loss


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
