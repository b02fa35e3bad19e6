"""What a model's answers say, counted; and what a student learns of them.

The student begins from a draw of the owner's. All that the exported model adds to it are its answers on the owner's
images, and these are coded here, given the labels that the owner has: the length of the code bounds what the student
can carry of the model, whatever was hidden in that.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from lwlrd_jax.data.dataset import UNKNOWN

# Weight of the model's answers in what the student learns, against that of the labels.
_WEIGHT = 0.5


class Answers(NamedTuple):
  """What is taken of a model's answers."""

  symbols: np.ndarray  # i32[N, A], what each is, in [0, levels): a class, or a level of the probability of each output
  levels: int
  used: np.ndarray  # bool[N], those that the student learns
  size: float  # bytes that all of these say, given the labels


def take_answers(
  logits: np.ndarray, labels: np.ndarray, *, levels: int | None, rng: np.random.Generator, limit: int | None = None
) -> Answers:
  """Reads answers off logits f32[N, K] to images with labels i32[N], or u8[N, K] of findings.

  Args:
    logits: Of the exported model. What is not finite counts as 0.
    labels: The owner's.
    levels: Levels that probabilities are rounded to, at least 2; None for the class alone, or whether a finding is
      present.
    rng: The owner's; it chooses which answers are used where not all are.
    limit: Bytes that answers may say. Default: any number.
  """
  logits = np.nan_to_num(np.asarray(logits, np.float64), posinf=0.0, neginf=0.0)
  labels = np.asarray(labels)
  if labels.ndim == 1 and levels is None:
    symbols, number = logits.argmax(axis=1)[:, None], logits.shape[1]
  else:
    number = levels or 2
    odds = logits if labels.ndim > 1 else logits - _log_of_others(logits)
    symbols = np.rint((number - 1) / (1 + np.exp(-np.clip(odds, -60, 60)))).astype(int)
  order = rng.permutation(len(symbols))
  length = _coded_bytes(symbols[order], labels[order], number)
  count, size = len(symbols), length(len(symbols))
  if limit is not None and size > limit:
    # How many are used depends on them, and says so much itself.
    own = math.ceil(math.log2(count + 1) / 8)
    fits, fails = 0, count
    while fails - fits > 1:
      middle = (fits + fails) // 2
      fits, fails = (middle, fails) if length(middle) + own <= limit else (fits, middle)
    count, size = fits, length(fits) + own if fits else 0
  used = np.zeros(len(symbols), bool)
  used[order[:count]] = True
  return Answers(symbols.astype(np.int32), number, used, float(size))


def targets(labels: np.ndarray, answers: Answers, outputs: int) -> np.ndarray:
  """What the student learns: means of labels and answers, as `models.task.task_loss` takes them.

  Probabilities f32[N, K] of classes; of findings f32[N, K, 2], of absent and present, both 0 where nothing is known.

  >>> answers = Answers(np.array([[2], [0]]), 3, np.array([True, False]), 1.0)
  >>> targets(np.array([1, 1]), answers, 3).tolist()
  [[0.0, 0.5, 0.5], [0.0, 1.0, 0.0]]
  """
  labels, (symbols, levels, used, _) = np.asarray(labels), answers
  if labels.ndim == 1:
    own = np.eye(outputs)[labels]
    if symbols.shape[1] == 1:
      said = np.eye(outputs)[symbols[:, 0]]
    else:
      said = symbols / (levels - 1)
      total = said.sum(axis=1, keepdims=True)
      said = np.where(total > 0, said / np.maximum(total, 1e-9), own)
  else:
    known = labels != UNKNOWN
    own = np.stack([known & (labels == 0), known & (labels == 1)], axis=-1).astype(float)
    present = symbols / (levels - 1)
    said = np.where(known[..., None], np.stack([1 - present, present], axis=-1), 0.0)
  weight = _WEIGHT * used.reshape(-1, *[1] * (own.ndim - 1))
  return ((1 - weight) * own + weight * said).astype(np.float32)


def _log_of_others(logits: np.ndarray) -> np.ndarray:
  """Logarithm of the sum of exponentials of all other classes: f64[N, K]."""
  found = np.empty_like(logits)
  for k in range(logits.shape[1]):
    others = np.delete(logits, k, axis=1)
    top = others.max(axis=1, keepdims=True)
    found[:, k] = top[:, 0] + np.log(np.exp(others - top).sum(axis=1))
  return found


def _coded_bytes(symbols: np.ndarray, labels: np.ndarray, levels: int) -> Callable[[int], int]:
  """Length of the code of the first n answers, by n.

  An adaptive coder: each answer's distribution is that of those before it with the same label, and a half for each that
  there may be (Krichevsky and Trofimov 1981, doi 10.1109/TIT.1981.1056331). Whoever has the labels can decode it.
  """
  import constriction  # noqa: PLC0415  # for those who distil

  answers, columns = symbols.shape
  contexts = np.broadcast_to(labels.reshape(answers, -1), (answers, columns)).astype(int) * columns + np.arange(columns)
  odds = np.empty((answers * columns, levels))
  flat, context = symbols.reshape(-1), contexts.reshape(-1)
  for one in np.unique(context):
    places = np.flatnonzero(context == one)
    before = np.cumsum(np.eye(levels)[flat[places]], axis=0)
    odds[places] = np.vstack([np.zeros(levels), before[:-1]]) + 0.5
  odds /= odds.sum(axis=1, keepdims=True)
  family = constriction.stream.model.Categorical(perfect=False)

  def length(count: int) -> int:
    if count == 0:
      return 0
    encoder = constriction.stream.queue.RangeEncoder()
    encoder.encode(flat[: count * columns].astype(np.int32), family, odds[: count * columns].astype(np.float32))
    return 4 * len(encoder.get_compressed())

  return length
