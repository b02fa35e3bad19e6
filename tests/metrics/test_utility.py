from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, balanced_accuracy_score, roc_auc_score

from lwlrd_jax.data.dataset import UNKNOWN
from lwlrd_jax.metrics.utility import absent_classes, auc_by_image, roc_auc, utility

measure = jax.jit(utility)
by_image = jax.jit(auc_by_image)


def _single(seed, size=60, classes=4, ties=True):
  rng = np.random.default_rng(seed)
  labels = np.concatenate([np.arange(classes), rng.integers(0, classes, size - classes)]).astype(np.int32)
  logits = rng.normal(size=(size, classes)).astype(np.float32)
  if ties:  # few distinct rows, so that scores of positives and negatives coincide
    logits = logits[rng.integers(0, 7, size)]
  logits[np.arange(size), labels] += 0.5 * (not ties)
  return logits, labels


def _multi(seed, size=60, findings=5, ties=True):
  rng = np.random.default_rng(seed)
  labels = (rng.random((size, findings)) < 0.3).astype(np.uint8)
  labels[0], labels[1] = 0, 1
  logits = rng.normal(size=(size, findings)).astype(np.float32)
  return (np.round(logits * 2) / 2 + 0.25).astype(np.float32) if ties else logits, labels


def _softmax(logits):
  return np.asarray(jax.nn.softmax(jnp.asarray(logits)))


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("ties", [False, True])
def test_single_label_is_that_of_scikit_learn(seed, ties):
  logits, labels = _single(seed, ties=ties)
  found = measure(jnp.asarray(logits), jnp.asarray(labels))
  scores = _softmax(logits)
  if ties:
    assert len(np.unique(scores[:, 0])) < 10
  aucs = [roc_auc_score(labels == k, scores[:, k]) for k in range(4)]
  assert float(found.auc) == pytest.approx(np.mean(aucs), abs=1e-5)
  normalised = scores / scores.sum(axis=1, keepdims=True, dtype=np.float64)
  assert float(found.auc) == pytest.approx(roc_auc_score(labels, normalised, multi_class="ovr"), abs=1e-3)
  assert float(found.accuracy) == pytest.approx(accuracy_score(labels, logits.argmax(1)), abs=1e-5)
  assert float(found.balanced_accuracy) == pytest.approx(balanced_accuracy_score(labels, logits.argmax(1)), abs=1e-5)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("ties", [False, True])
def test_multi_label_is_that_of_scikit_learn(seed, ties):
  logits, labels = _multi(seed, ties=ties)
  found = measure(jnp.asarray(logits), jnp.asarray(labels))
  yes = 1 / (1 + np.exp(-logits.astype(np.float64))) > 0.5
  assert float(found.auc) == pytest.approx(roc_auc_score(labels, logits, average="macro"), abs=1e-5)
  assert float(found.accuracy) == pytest.approx((labels == yes).mean(), abs=1e-5)
  balanced = [balanced_accuracy_score(labels[:, k], yes[:, k]) for k in range(labels.shape[1])]
  assert float(found.balanced_accuracy) == pytest.approx(np.mean(balanced), abs=1e-5)


def test_is_that_of_medmnist(monkeypatch, tmp_path):
  monkeypatch.setenv("HOME", str(tmp_path))  # it makes a folder there
  pytest.importorskip("medmnist")
  evaluator = pytest.importorskip("medmnist.evaluator")
  for seed in range(3):
    logits, labels = _single(seed)
    found = measure(jnp.asarray(logits), jnp.asarray(labels))
    scores = _softmax(logits)
    for task in ("multi-class", "ordinal-regression"):
      assert float(found.auc) == pytest.approx(evaluator.getAUC(labels[:, None], scores, task), abs=1e-5)
      assert float(found.accuracy) == pytest.approx(evaluator.getACC(labels[:, None], scores, task), abs=1e-5)

    logits, labels = _single(seed, classes=2, ties=False)
    found = measure(jnp.asarray(logits), jnp.asarray(labels))
    scores = _softmax(logits)
    assert float(found.auc) == pytest.approx(evaluator.getAUC(labels[:, None], scores, "binary-class"), abs=1e-5)
    assert float(found.accuracy) == pytest.approx(evaluator.getACC(labels[:, None], scores, "binary-class"), abs=1e-5)

    logits, labels = _multi(seed)
    found = measure(jnp.asarray(logits), jnp.asarray(labels))
    scores = np.asarray(jax.nn.sigmoid(jnp.asarray(logits)))
    task = "multi-label, binary-class"
    assert float(found.auc) == pytest.approx(evaluator.getAUC(labels, scores, task), abs=1e-5)
    assert float(found.accuracy) == pytest.approx(evaluator.getACC(labels, scores, task), abs=1e-5)
  assert not (Path.cwd() / ".medmnist").exists()


def test_absent_class_is_left_out():
  logits, labels = _single(0, classes=5, ties=False)
  labels = labels % 4  # never 4
  found = measure(jnp.asarray(logits), jnp.asarray(labels))
  scores = _softmax(logits)
  aucs = [roc_auc_score(labels == k, scores[:, k]) for k in range(4)]
  recalls = [(logits[labels == k].argmax(1) == k).mean() for k in range(4)]
  assert float(found.auc) == pytest.approx(np.mean(aucs), abs=1e-5)
  assert float(found.balanced_accuracy) == pytest.approx(np.mean(recalls), abs=1e-5)
  assert absent_classes(labels, 5) == [4]


def test_absent_findings_are_left_out():
  logits, labels = _multi(0)
  labels[:, 1], labels[:, 3] = 0, 1
  found = measure(jnp.asarray(logits), jnp.asarray(labels))
  kept = [0, 2, 4]
  assert float(found.auc) == pytest.approx(roc_auc_score(labels[:, kept], logits[:, kept]), abs=1e-5)
  balanced = [balanced_accuracy_score(labels[:, k], logits[:, k] > 0) for k in kept]
  assert float(found.balanced_accuracy) == pytest.approx(np.mean(balanced), abs=1e-5)
  assert absent_classes(labels, 5) == [1, 3]


def test_absent_classes_of_a_single_class():
  assert absent_classes(np.array([1, 1, 1], np.int32), 3) == [0, 1, 2]
  found = measure(jnp.zeros((3, 3)), jnp.ones(3, jnp.int32))
  assert np.isnan(found.auc)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("make", [_single, _multi])
def test_not_finite_gives_nan(bad, make):
  logits, labels = make(0)
  logits[3, 1] = bad
  assert all(np.isnan(value) for value in measure(jnp.asarray(logits), jnp.asarray(labels)))


def test_over_a_population():
  made = [_single(seed, ties=False) for seed in range(3)]
  labels = jnp.asarray(made[0][1])
  logits = np.stack([logits for logits, _ in made])
  logits[1, 0, 0] = np.nan
  together = jax.jit(jax.vmap(utility, in_axes=(0, None)))(jnp.asarray(logits), labels)
  for i in range(3):
    alone = measure(jnp.asarray(logits[i]), labels)
    np.testing.assert_allclose(jnp.stack(alone), jnp.stack([value[i] for value in together]), rtol=1e-6)
  assert np.isnan(together.auc[1])
  assert np.isfinite(np.asarray(together.auc)[[0, 2]]).all()


@pytest.mark.parametrize(
  ("scores", "truth", "expected"),
  [
    ([0, 1, 2, 3], [0, 0, 1, 1], 1.0),
    ([3, 2, 1, 0], [0, 0, 1, 1], 0.0),
    ([1, 1, 1, 1], [0, 1, 0, 1], 0.5),
    ([0, 1, 1, 2], [0, 1, 0, 1], 0.875),
  ],
)
def test_roc_auc_of_known_cases(scores, truth, expected):
  assert float(roc_auc(jnp.asarray(scores, jnp.float32), jnp.asarray(truth, jnp.float32))) == expected


def test_roc_auc_of_a_large_set():
  """Ranks beyond the whole numbers that float32 holds."""
  rng = np.random.default_rng(0)
  truth = (rng.random(200_000) < 0.01).astype(np.float32)
  scores = (rng.normal(size=200_000) + 0.3 * truth).astype(np.float32)
  assert float(roc_auc(jnp.asarray(scores), jnp.asarray(truth))) == pytest.approx(
    roc_auc_score(truth, scores), abs=1e-5
  )


@pytest.mark.parametrize("make", [_single, _multi])
@pytest.mark.parametrize("ties", [False, True])
def test_auc_by_image_averages_to_the_auc(make, ties):
  for seed in range(3):
    logits, labels = make(seed, ties=ties)
    found = np.asarray(jax.jit(auc_by_image)(jnp.asarray(logits), jnp.asarray(labels)), np.float64)
    assert found.shape == (len(logits),)
    assert found.mean() == pytest.approx(float(measure(jnp.asarray(logits), jnp.asarray(labels)).auc), abs=1e-5)


def test_auc_by_image_predicts_the_auc_of_other_draws():
  """Resampling the entries does what resampling the images does, to first order."""
  logits, labels = _single(0, size=1200, ties=False)
  entries = np.asarray(jax.jit(auc_by_image)(jnp.asarray(logits), jnp.asarray(labels)))
  rng = np.random.default_rng(0)
  linear, real = [], []
  for _ in range(60):
    draw = rng.integers(0, 1200, 1200)
    linear.append(entries[draw].mean())
    real.append(float(measure(jnp.asarray(logits[draw]), jnp.asarray(labels[draw])).auc))
  assert np.corrcoef(linear, real)[0, 1] > 0.99
  assert np.std(linear) == pytest.approx(np.std(real), rel=0.1)


def test_auc_by_image_leaves_absent_classes_out():
  logits, labels = _single(0, ties=False)
  labels = np.where(labels == 3, 2, labels)
  found = jax.jit(auc_by_image)(jnp.asarray(logits), jnp.asarray(labels))
  assert float(found.mean()) == pytest.approx(float(measure(jnp.asarray(logits), jnp.asarray(labels)).auc), abs=1e-5)
  logits[3, 1] = np.nan
  assert np.isnan(jax.jit(auc_by_image)(jnp.asarray(logits), jnp.asarray(labels))).all()


def _naive_auc(scores, truth):
  """Pairs that are ranked right, one by one."""
  positives, negatives = scores[truth == 1], scores[truth == 0]
  pairs = [(p > n) + 0.5 * (p == n) for p in positives for n in negatives]
  return float(np.mean(pairs)) if pairs else np.nan


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), share=st.floats(0, 1), ties=st.booleans())
def test_unknown_findings_are_left_out(seed, share, ties):
  logits, labels = _multi(seed, size=40, findings=3, ties=ties)
  known = np.random.default_rng(seed).random(labels.shape) >= share
  labels = np.where(known, labels, UNKNOWN).astype(np.uint8)
  found = measure(jnp.asarray(logits), jnp.asarray(labels))
  aucs, balanced = [], []
  for k in range(3):
    truth, yes = labels[known[:, k], k], logits[known[:, k], k] > 0
    aucs.append(_naive_auc(logits[known[:, k], k], truth))
    sensitivity, specificity = ([yes[truth == 1].mean(), 1 - yes[truth == 0].mean()] if 0 < truth.sum() < len(truth)
                                else [np.nan, np.nan])  # fmt: skip
    balanced.append((sensitivity + specificity) / 2)
  accuracy = (labels == (logits > 0))[known].mean() if known.any() else np.nan
  assert float(found.accuracy) == pytest.approx(accuracy, abs=1e-5, nan_ok=True)
  assert float(found.auc) == pytest.approx(_nanmean(aucs), abs=1e-5, nan_ok=True)
  assert float(found.balanced_accuracy) == pytest.approx(_nanmean(balanced), abs=1e-5, nan_ok=True)
  assert absent_classes(labels, 3) == [k for k in range(3) if np.isnan(aucs[k])]

  entries = np.asarray(by_image(jnp.asarray(logits), jnp.asarray(labels)))
  assert entries.mean(dtype=np.float64) == pytest.approx(float(found.auc), abs=1e-5, nan_ok=True)
  # Who is known of nothing has no influence: the entry is the AUC itself.
  np.testing.assert_allclose(entries[~known.any(axis=1)], float(found.auc), atol=1e-5)


def _nanmean(values):
  kept = [value for value in values if not np.isnan(value)]
  return np.mean(kept) if kept else np.nan


def test_unknown_findings_are_as_images_that_are_not_there():
  """Of one finding: what an interval is made of is the same as without them."""
  logits, labels = _multi(0, size=50, findings=1)
  known = np.arange(50) % 3 > 0
  masked = np.where(known[:, None], labels, UNKNOWN).astype(np.uint8)
  whole = np.asarray(by_image(jnp.asarray(logits), jnp.asarray(masked)))[known]
  part = np.asarray(by_image(jnp.asarray(logits[known]), jnp.asarray(labels[known])))
  auc = part.mean()
  np.testing.assert_allclose((whole - auc) * known.sum() / 50, part - auc, atol=1e-5)
