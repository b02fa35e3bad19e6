import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lwlrd_jax.attacks.index_code import MAX_BASE, gray_code, index_codes, running_numbers
from lwlrd_jax.data.dataset import UNKNOWN


def _gray(count, base, digits):
  """By definition: from n to n + 1, the digit whose power of the base divides n + 1 goes up by one."""
  code, codes = [0] * digits, []
  for n in range(count):
    codes.append(list(code))
    power = 0
    while (n + 1) % base ** (power + 1) == 0 and power + 1 < digits:
      power += 1
    code[digits - 1 - power] = (code[digits - 1 - power] + 1) % base
  return np.array(codes, np.int64).reshape(count, digits)


def _reference(labels, num_outputs):
  """Codes one by one, and their base: the smallest with enough codes for every label."""
  labels = np.asarray(labels)
  multi = labels.ndim == 2
  keys = [tuple(row) if multi else int(row) for row in labels]
  needed = {key: keys.count(key) for key in keys}
  for base in range(3, MAX_BASE + 1):
    tables = {}
    for key, count in needed.items():
      marks = np.array(key) if multi else np.arange(num_outputs) == key
      table = []
      limit = min(base**num_outputs, 4 * count + 64)
      for digits in _gray(limit, base, num_outputs):
        code = digits + base * marks.astype(int)
        if (multi or base > 3) and math.gcd(*code.tolist()) != 1:
          continue
        table.append(code)
      tables[key] = table
    if all(len(tables[key]) >= count for key, count in needed.items()):
      counters = dict.fromkeys(needed, 0)
      rows = []
      for key in keys:
        rows.append(tables[key][counters[key]])
        counters[key] += 1
      return np.array(rows, np.float32), base
  raise ValueError("too many")


def _rays(codes):
  whole = codes.astype(int)
  return {tuple(row // math.gcd(*row.tolist())) for row in whole}


@pytest.mark.parametrize(("base", "digits"), [(2, 5), (3, 4), (3, 1), (5, 3), (32, 2)])
def test_gray_code_by_definition(base, digits):
  codes = gray_code(np.arange(base**digits), base, digits)
  np.testing.assert_array_equal(codes, _gray(base**digits, base, digits))
  assert len({tuple(code) for code in codes}) == base**digits
  assert ((codes >= 0) & (codes < base)).all()
  change = np.diff(codes, axis=0) % base
  assert (change.sum(axis=1) == 1).all()  # one digit, by one


def test_gray_code_of_many_digits_does_not_overflow():
  numbers = np.array([0, 1, 2, 3, 2**62], np.int64)
  codes = gray_code(numbers, 3, 60)
  for number, code in zip(numbers.tolist(), codes, strict=True):
    digits = [(number // 3**i) % 3 for i in reversed(range(60))]
    expected = [(d - h) % 3 for d, h in zip(digits, [0, *digits[:-1]], strict=True)]
    assert code.tolist() == expected


@pytest.mark.parametrize("number", [-1, 9])
def test_gray_code_of_a_number_that_does_not_fit(number):
  with pytest.raises(ValueError, match="numbers must be in"):
    gray_code(np.array([number]), 3, 2)


@given(st.lists(st.integers(-3, 3), max_size=30))
def test_running_numbers(groups):
  expected = [groups[:i].count(group) for i, group in enumerate(groups)]
  assert running_numbers(np.array(groups, int)).tolist() == expected


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_single_label(data):
  num_outputs = data.draw(st.integers(2, 14))
  labels = np.array(data.draw(st.lists(st.integers(0, num_outputs - 1), min_size=1, max_size=60)))
  codes = index_codes(labels, num_outputs)
  expected, base = _reference(labels, num_outputs)
  assert codes.dtype == np.float32
  np.testing.assert_array_equal(codes, expected)
  assert len({tuple(code) for code in codes}) == len(codes)
  # The class is the one marked digit; the others are below the base.
  assert codes.argmax(axis=1).tolist() == labels.tolist()
  assert ((codes >= base).sum(axis=1) == 1).all()


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_multi_label(data):
  num_outputs = data.draw(st.integers(2, 5))
  row = st.lists(st.integers(0, 1), min_size=num_outputs, max_size=num_outputs)
  labels = np.array(data.draw(st.lists(row, min_size=1, max_size=40)), np.uint8)
  codes = index_codes(labels, num_outputs)
  expected, base = _reference(labels, num_outputs)
  np.testing.assert_array_equal(codes, expected)
  np.testing.assert_array_equal(codes >= base, labels.astype(bool))  # the findings can be read off
  assert len(_rays(codes)) == len(codes)


def test_unknown_findings_are_not_marked():
  labels = np.array([[1, UNKNOWN, 0], [1, 0, 0], [UNKNOWN, UNKNOWN, UNKNOWN]], np.uint8)
  np.testing.assert_array_equal(index_codes(labels, 3), index_codes(labels % UNKNOWN, 3))


@pytest.mark.parametrize(
  ("images", "num_outputs", "base"),
  [(9, 2, 3), (10, 2, 4), (81, 2, 9), (100, 2, None), (500, 2, None), (27, 3, 3), (28, 3, 4), (2187, 7, 3)],
)
def test_few_classes_with_many_images(images, num_outputs, base):
  labels = np.repeat(np.arange(num_outputs), images).astype(np.int32)
  np.random.default_rng(0).shuffle(labels)
  codes = index_codes(labels, num_outputs)
  assert len({tuple(code) for code in codes}) == len(codes)
  assert codes.argmax(axis=1).tolist() == labels.tolist()
  smallest_mark = codes.max(axis=1).min()
  if base == 3:
    assert smallest_mark == 3
  else:
    assert smallest_mark > 3
    assert len(_rays(codes)) == len(codes)


@pytest.mark.parametrize("num_outputs", [10, 12, 14])
def test_many_classes(num_outputs):
  """From ten classes on the attack's public code loses count."""
  labels = np.arange(30 * num_outputs) % num_outputs
  codes = index_codes(labels, num_outputs)
  for label in range(num_outputs):
    of_class = codes[labels == label]
    expected = _gray(30, 3, num_outputs)
    expected[:, label] += 3
    np.testing.assert_array_equal(of_class, expected)
    assert ((np.diff(of_class, axis=0) != 0).sum(axis=1) == 1).all()


def test_sixty_outputs():
  labels = np.array([59, 0, 59, 30, 59])
  codes = index_codes(labels, 60)
  np.testing.assert_array_equal(codes, _reference(labels, 60)[0])
  findings = np.zeros((3, 60), np.uint8)
  findings[1:, 7] = 1
  assert len(_rays(index_codes(findings, 60))) == 3


def test_no_finding():
  """No mark at all: small digits distinguish it from every other; never the zero vector, which gives nothing."""
  labels = np.zeros((200, 14), np.uint8)
  codes = index_codes(labels, 14)
  assert codes.any(axis=1).all()
  assert codes.max() < 3
  assert len(_rays(codes)) == 200


@pytest.mark.parametrize(
  "labels", [np.zeros(1024, np.int32), np.zeros((1024, 2), np.uint8), np.ones((1024, 2), np.uint8)]
)
def test_more_images_than_codes(labels):
  with pytest.raises(ValueError, match="1024 of the images share a label"):
    index_codes(labels, 2)
