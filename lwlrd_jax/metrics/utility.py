"""Utility of a classifier on a test split: accuracy, balanced accuracy and macro AUC, on the device."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lwlrd_jax.data.dataset import UNKNOWN


class Utility(NamedTuple):
  """How well a model does its task. Each f32[], in [0, 1]."""

  # Share of right labels; for multi-label data the share of right yes/no decisions at 0.5, over all known findings.
  accuracy: jax.Array
  # Mean recall over the classes present; for multi-label data the mean over findings of the mean of sensitivity and
  # specificity at 0.5.
  balanced_accuracy: jax.Array
  auc: jax.Array  # macro average of the one-against-rest areas under the ROC curve


def utility(logits: jax.Array, labels: jax.Array) -> Utility:
  """Measures predictions of one model.

  Scores are softmax probabilities (single label) or the logits of each finding (multi-label), as scikit-learn's
  `roc_auc_score` and MedMNIST's evaluator take them. A class that the labels never, or always, show has no ROC curve
  and no recall: it is left out of the macro averages (`absent_classes` names it). A finding that is not known of an
  image counts nowhere; the image's others do.

  `logits` are f32[N, K]; `labels` i32[N] classes, or u8[N, K], 1 where a finding is present, `UNKNOWN` where it is not
  known. Figures are NaN where the logits are not finite, or where no class has both kinds of label.
  """
  scores, truth = _scores_and_truth(logits, labels)
  if labels.ndim == 1:
    decided = jax.nn.one_hot(logits.argmax(axis=-1), logits.shape[-1], dtype=jnp.float32)
    accuracy = (logits.argmax(axis=-1) == labels).astype(jnp.float32).mean()
    balanced = jnp.nanmean((truth * decided).sum(axis=0) / truth.sum(axis=0))
  else:
    decided = (logits > 0).astype(jnp.float32)
    positive, negative = _both_kinds(truth)
    # No unknown finding is decided right. The factor is exactly 1 where all are known.
    right = (truth == decided).astype(jnp.float32)
    accuracy = right.mean() * (truth.size / (positive + negative).sum())
    sensitivity = (positive * decided).sum(axis=0) / positive.sum(axis=0)
    specificity = (negative * (1 - decided)).sum(axis=0) / negative.sum(axis=0)
    balanced = jnp.nanmean((sensitivity + specificity) / 2)
  auc = jnp.nanmean(jax.vmap(roc_auc, in_axes=1)(scores, truth))
  finite = jnp.isfinite(logits).all()
  return Utility(*(jnp.where(finite, value, jnp.nan) for value in (accuracy, balanced, auc)))


def roc_auc(scores: jax.Array, truth: jax.Array) -> jax.Array:
  """Area under the ROC curve: the chance that a positive scores higher than a negative, ties counting half.

  The Mann-Whitney statistic of scores f32[N] from average ranks (Hanley and McNeil 1982), exact for ties. `truth`
  f32[N] is 1 for positives, 0 for negatives; what is neither is left out. NaN without both kinds.

  >>> float(roc_auc(jnp.array([0.1, 0.4, 0.4, 0.8]), jnp.array([0.0, 0.0, 1.0, 1.0])))
  0.875
  """
  positive, negative = _both_kinds(truth)
  positives, negatives = positive.sum(), negative.sum()
  # What is left out stands behind all others.
  ordered = jnp.sort(jnp.where(positive + negative > 0, scores, jnp.inf))
  below = jnp.searchsorted(ordered, scores, side="left")
  not_above = jnp.searchsorted(ordered, scores, side="right")
  # Ranks relative to the middle: sums of plain ranks would exceed f32's whole numbers on large sets.
  size = len(scores)
  known = positives + negatives
  centred = (below + not_above - known.astype(jnp.int32)).astype(jnp.float32) / (2 * size)
  spread = (positive * centred).sum() / positives - (negative * centred).sum() / negatives
  return jnp.where((positives > 0) & (negatives > 0), 0.5 + spread * (size / known), jnp.nan)


def auc_by_image(logits: jax.Array, labels: jax.Array) -> jax.Array:
  """Macro AUC, and how much each image moves it: what intervals over test images are made of.

  Image i's entry is the AUC plus its influence (Hampel 1974): the mean of the entries of another draw of the images is
  its AUC, to first order. For a class of m positives and n negatives among N images the influence of a positive is
  N / m (its placement - AUC), of a negative likewise with N / n, where the placement is the share of the other kind
  that it is ranked right against (DeLong, DeLong, Clarke-Pearson 1988).

  Of logits f32[N, K] and labels i32[N], or u8[N, K], where a finding that is not known of an image gives it no
  influence: f32[N], whose mean is `utility(logits, labels).auc`; NaN where that is.
  """

  def of_class(scores: jax.Array, truth: jax.Array) -> jax.Array:
    known = ((truth == 0) | (truth == 1)).astype(jnp.float32)
    present = jnp.where(known == 1, truth, 0)
    positives, negatives = present.sum(), (known - present).sum()
    below = _ranked_right(scores, jnp.where(truth == 0, scores, jnp.inf), negatives)
    above = 1 - _ranked_right(scores, jnp.where(truth == 1, scores, jnp.inf), positives)
    auc = (present * below).sum() / positives
    influence = present * (below - auc) / positives + (1 - present) * (above - auc) / negatives
    # Masked as a whole: masked parts are added up otherwise, and figures of data without unknown findings would move.
    return auc + len(scores) * (known * influence)

  by_class = jax.vmap(of_class, in_axes=1)(*_scores_and_truth(logits, labels))
  finite = jnp.isfinite(logits).all()
  return jnp.where(finite, jnp.nanmean(by_class, axis=0), jnp.nan)


def _scores_and_truth(logits: jax.Array, labels: jax.Array) -> tuple[jax.Array, jax.Array]:
  """What classes are ranked by, and the labels as one column a class: f32[N, K] twice."""
  if labels.ndim == 1:
    return jax.nn.softmax(logits), jax.nn.one_hot(labels, logits.shape[-1], dtype=jnp.float32)
  return logits, labels.astype(jnp.float32)


def _both_kinds(truth: jax.Array) -> tuple[jax.Array, jax.Array]:
  """1 where something is present, and 1 where it is absent; of what is unknown both are 0: f32[...] twice."""
  return (truth == 1).astype(jnp.float32), (truth == 0).astype(jnp.float32)


def _ranked_right(scores: jax.Array, others: jax.Array, count: jax.Array) -> jax.Array:
  """Share of `count` others, infinite where they are none, that lie below each score; ties count half."""
  ordered = jnp.sort(others)
  below = jnp.searchsorted(ordered, scores, side="left") + jnp.searchsorted(ordered, scores, side="right")
  return below.astype(jnp.float32) / (2 * count)


def step_of_balanced_accuracy(labels: np.ndarray, num_outputs: int) -> float:
  """What a single image moves balanced accuracy by at most: of the rarest class, or of the rarest kind of a finding.

  >>> step_of_balanced_accuracy(np.array([0, 0, 1, 1, 1, 1]), num_outputs=2)
  0.25
  """
  labels = np.asarray(labels)
  if labels.ndim == 1:
    counts = np.bincount(labels, minlength=num_outputs)
    return 1 / float((counts > 0).sum() * counts[counts > 0].min())
  kinds = np.stack([(labels == 0).sum(axis=0), (labels == 1).sum(axis=0)])
  both = kinds[:, kinds.min(axis=0) > 0]
  return 1 / float(2 * both.shape[1] * both.min()) if both.size else 0.0


def absent_classes(labels: np.ndarray, num_outputs: int) -> list[int]:
  """Classes that AUC leaves out: those that the labels never, or always, show where they are known.

  >>> absent_classes(np.array([0, 2, 2]), num_outputs=4)
  [1, 3]
  """
  labels = np.asarray(labels)
  if labels.ndim == 1:
    present, known = np.bincount(labels, minlength=num_outputs), np.full(num_outputs, len(labels))
  else:
    present, known = (labels == 1).sum(axis=0), (labels != UNKNOWN).sum(axis=0)
  return [i for i in range(num_outputs) if present[i] in (0, known[i])]
