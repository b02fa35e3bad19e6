"""What an attacker takes the stolen images' labels to be, from the payload's label bytes, damaged or not."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from lwlrd_jax.attacks.dec.payload.container import decode_labels, encode_labels
from lwlrd_jax.attacks.dec.payload.records import Record


def likeliest_labels(log_odds: jax.Array, num_outputs: int, *, multi_label: bool) -> jax.Array:
  """The likeliest labels given their bits; as they were packed, where no bit is wrong. For `jax.jit` and `jax.vmap`.

  Args:
    log_odds: f32[S, 8 * L], log(P(0) / P(1)) of the bits of `encode_labels`.
    num_outputs: K.
    multi_label: Whether labels are findings and not classes.

  Returns:
    i32[S] in [0, K), or u8[S, K] of 0 and 1.
  """
  if multi_label:
    return (log_odds[:, :num_outputs] < 0).astype(jnp.uint8)
  codes = np.unpackbits(encode_labels(np.arange(num_outputs), num_outputs), axis=1)
  with jax.default_matmul_precision("highest"):
    scores = log_odds @ (1 - 2 * codes.astype(np.float32)).T
  return scores.argmax(axis=1).astype(jnp.int32)


def labels_of_records(records: Sequence[Record], num_outputs: int, *, multi_label: bool) -> np.ndarray:
  """Labels i32[S] or u8[S, K] of S records; those that are not "ok" get what is most usual among the others.

  That is the most frequent class, or the findings that more than half of the others have; class 0, or no finding, if
  all are lost.
  """
  intact = [i for i, record in enumerate(records) if record.status == "ok" and record.label is not None]
  empty = np.zeros((len(records), num_outputs), np.uint8) if multi_label else np.zeros(len(records), np.int32)
  if not intact:
    return empty
  raw = np.array([list(records[i].label or b"") for i in intact], np.uint8)
  # A CRC can hold by chance.
  read = np.minimum(decode_labels(raw, num_outputs, multi_label=multi_label), 1 if multi_label else num_outputs - 1)
  usual = (2 * read.sum(axis=0) > len(read)).astype(np.uint8) if multi_label else np.bincount(read).argmax()
  empty[:] = usual
  empty[intact] = read
  return empty
