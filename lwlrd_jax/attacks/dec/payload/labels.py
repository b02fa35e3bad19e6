"""Labels as bytes of a payload's records, and what an attacker takes them to be, damaged or not."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from lwlrd_jax.attacks.dec.payload.records import Record
from lwlrd_jax.data.dataset import unknown_as_absent


def label_bytes_of(num_outputs: int, *, multi_label: bool) -> int:
  """L of `encode_labels`. Raises ValueError if there are more than 65536 classes or 2040 findings."""
  largest = 8 * 255 if multi_label else 2**16
  if not 1 <= num_outputs <= largest:
    raise ValueError(f"{num_outputs} outputs; labels can be encoded of 1 to {largest}")
  return -(-num_outputs // 8) if multi_label else 1 + (num_outputs > 256)


def encode_labels(labels: np.ndarray, num_outputs: int) -> np.ndarray:
  """Labels i32[N], classes in [0, K), or u8[N, K], 1 where a finding is present, as bytes u8[N, L].

  K is up to 65536 classes or 2040 findings, else ValueError. Of classes, L is 1 up to K = 256 and 2 beyond, the lower
  byte first. Of findings, L is ceil(K / 8), the first in the highest bit of the first byte; unknown is sent as absent.

  >>> encode_labels(np.array([3, 0]), 10).tolist(), encode_labels(np.array([[1, 0, 0]], np.uint8), 3).tolist()
  ([[3], [0]], [[128]])
  """
  labels = unknown_as_absent(np.asarray(labels))
  label_bytes = label_bytes_of(num_outputs, multi_label=labels.ndim == 2)
  if labels.ndim == 2:
    return np.packbits(labels.astype(np.uint8), axis=1)
  return labels.astype("<u2").view(np.uint8).reshape(-1, 2)[:, :label_bytes].copy()


def decode_labels(encoded: np.ndarray, num_outputs: int, *, multi_label: bool) -> np.ndarray:
  """Undoes `encode_labels`: u8[N, L] -> i32[N] classes (damaged ones may be K or more) or u8[N, K] of 0 and 1.

  >>> decode_labels(np.array([[3], [0]], np.uint8), 10, multi_label=False).tolist()
  [3, 0]
  """
  if multi_label:
    return np.unpackbits(encoded, axis=1, count=num_outputs)
  return encoded.astype(np.int32) @ (256 ** np.arange(encoded.shape[1], dtype=np.int32))


def likeliest_labels(log_odds: jax.Array, num_outputs: int, *, multi_label: bool) -> jax.Array:
  """The likeliest labels i32[S] in [0, K) or u8[S, K] of 0 and 1, given f32[S, 8 * L] log odds of their bits.

  These are log(P(0) / P(1)) of the bits of `encode_labels`. For `jax.jit` and `jax.vmap`.
  """
  if multi_label:
    return (log_odds[:, :num_outputs] < 0).astype(jnp.uint8)
  codes = np.unpackbits(encode_labels(np.arange(num_outputs), num_outputs), axis=1)
  with jax.default_matmul_precision("highest"):
    scores = log_odds @ (1 - 2 * codes.astype(np.float32)).T
  return scores.argmax(axis=1).astype(jnp.int32)


def labels_of_records(records: Sequence[Record | None], num_outputs: int, *, multi_label: bool) -> np.ndarray:
  """Labels i32[S] or u8[S, K] of S records; lost ones get the most frequent class, or findings of more than half.

  If all are lost, that is class 0, or no finding.
  """
  labels = np.zeros((len(records), num_outputs), np.uint8) if multi_label else np.zeros(len(records), np.int32)
  intact = [i for i, record in enumerate(records) if record is not None]
  if intact:
    raw = np.array([list(record.label) for record in records if record is not None], np.uint8)
    # A CRC can hold by chance.
    read = np.minimum(decode_labels(raw, num_outputs, multi_label=multi_label), 1 if multi_label else num_outputs - 1)
    labels[:] = (2 * read.sum(axis=0) > len(read)) if multi_label else np.bincount(read).argmax()
    labels[intact] = read
  return labels
