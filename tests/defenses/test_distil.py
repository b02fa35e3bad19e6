import numpy as np
import pytest

from lwlrd_jax.data.dataset import UNKNOWN
from lwlrd_jax.defenses.distil import take_answers, targets


def a_model(images=4000, classes=5, right=0.9, seed=0):
  """Logits that are right of that share of the images, and the labels."""
  rng = np.random.default_rng(seed)
  labels = rng.integers(0, classes, images)
  said = np.where(rng.random(images) < right, labels, rng.integers(0, classes, images))
  return np.eye(classes)[said] * 4 + rng.normal(0, 0.1, (images, classes)), labels


def entropy_bytes(symbols, labels, levels):
  """What symbols say given the labels, by their shares: the least that any code of them takes."""
  bits = 0.0
  for label in np.unique(labels):
    counts = np.bincount(symbols[labels == label], minlength=levels)
    shares = counts[counts > 0] / counts.sum()
    bits -= (counts[counts > 0] * np.log2(shares)).sum()
  return bits / 8


def test_the_code_is_about_as_long_as_what_it_says():
  logits, labels = a_model()
  found = take_answers(logits, labels, levels=None, rng=np.random.default_rng(0))
  assert (found.symbols[:, 0] == logits.argmax(axis=1)).all()
  assert found.used.all()
  least = entropy_bytes(found.symbols[:, 0], labels, 5)
  assert least <= found.size <= 1.05 * least + 40  # what an adaptive coder learns first


def test_answers_that_the_labels_give_away_say_next_to_nothing():
  logits, labels = a_model(right=1.0)
  assert take_answers(logits, labels, levels=None, rng=np.random.default_rng(0)).size < 30


@pytest.mark.parametrize("limit", [0, 5, 100, 10**6])
def test_no_more_answers_are_used_than_may_leave(limit):
  logits, labels = a_model()
  found = take_answers(logits, labels, levels=None, rng=np.random.default_rng(0), limit=limit)
  assert found.size <= limit
  assert found.used.all() == (limit == 10**6)
  if limit == 100:
    assert found.size > 90
    assert 0 < found.used.sum() < len(labels)


def test_probabilities_say_more():
  logits, labels = a_model()
  sizes = [take_answers(logits, labels, levels=n, rng=np.random.default_rng(0)).size for n in (2, 8, 64)]
  assert sizes[0] < sizes[1] < sizes[2]


def test_what_a_student_learns_of_classes():
  labels = np.array([0, 1, 2])
  logits = np.log(np.array([[0.5, 0.5, 1e-9], [0.25, 0.5, 0.25], [np.nan, 0.0, 0.0]]) + 1e-12)
  found = take_answers(logits, labels, levels=5, rng=np.random.default_rng(0))
  learned = targets(labels, found, 3)
  np.testing.assert_allclose(learned.sum(axis=1), 1, rtol=1e-6)
  np.testing.assert_allclose(learned[:2], [[0.75, 0.25, 0], [0.125, 0.75, 0.125]], atol=1e-6)


def test_what_a_student_learns_of_findings():
  labels = np.array([[0, 1], [1, UNKNOWN]], np.uint8)
  logits = np.array([[9.0, 9.0], [-9.0, 9.0]])
  found = take_answers(logits, labels, levels=None, rng=np.random.default_rng(0))
  assert found.symbols.tolist() == [[1, 1], [0, 1]]
  learned = targets(labels, found, 2)
  assert learned.tolist() == [[[0.5, 0.5], [0.0, 1.0]], [[0.5, 0.5], [0.0, 0.0]]]
  none = take_answers(logits, labels, levels=None, rng=np.random.default_rng(0), limit=0)
  assert targets(labels, none, 2).tolist() == [[[1.0, 0.0], [0.0, 1.0]], [[0.0, 1.0], [0.0, 0.0]]]
