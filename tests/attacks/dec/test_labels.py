import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lwlrd_jax.attacks.dec.payload.labels import encode_labels, labels_of_records, likeliest_labels
from lwlrd_jax.attacks.dec.payload.records import Record


def odds_of(labels, num_outputs, size=3.0):
  bits = np.unpackbits(encode_labels(labels, num_outputs), axis=1)
  return jnp.asarray(np.where(bits == 0, size, -size), jnp.float32)


@settings(max_examples=30, deadline=None)
@given(num_outputs=st.integers(1, 700), seed=st.integers(0, 99), multi_label=st.booleans())
def test_undamaged_labels_come_back(num_outputs, seed, multi_label):
  rng = np.random.default_rng(seed)
  labels = rng.integers(0, 2, (5, num_outputs), np.uint8) if multi_label else rng.integers(0, num_outputs, 5, np.int32)
  found = likeliest_labels(odds_of(labels, num_outputs), num_outputs, multi_label=multi_label)
  assert found.dtype == labels.dtype
  np.testing.assert_array_equal(found, labels)


def test_a_class_is_the_likeliest_one_that_there_is():
  """Of seven classes 3 is 011. Its byte with a wrong high bit is no class at all, and which low bit is weak counts."""
  odds = odds_of(np.array([3, 3]), 7)
  odds = odds.at[:, 0].multiply(-1)
  odds = odds.at[1, 6].set(0.5)
  assert jax.jit(lambda x: likeliest_labels(x, 7, multi_label=False))(odds).tolist() == [3, 1]


def test_findings_stand_alone():
  odds = odds_of(np.array([[1, 0, 1]], np.uint8), 3).at[0, 2].multiply(-0.1)
  assert likeliest_labels(odds, 3, multi_label=True).tolist() == [[1, 0, 0]]


@pytest.mark.parametrize(
  ("multi_label", "stored", "expected"),
  [
    (False, [2, None, 2, 1], [2, 2, 2, 1]),
    (False, [None, None], [0, 0]),
    (True, [0b10100000, None, 0b10000000], [[1, 0, 1], [1, 0, 0], [1, 0, 0]]),
    (True, [None], [[0, 0, 0]]),
  ],
)
def test_lost_records_get_what_is_usual(multi_label, stored, expected):
  records = [None if byte is None else Record(bytes([byte]), b"") for byte in stored]
  assert labels_of_records(records, 3, multi_label=multi_label).tolist() == expected
