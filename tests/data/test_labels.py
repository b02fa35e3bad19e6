"""What the labels of an npz file are taken for, and what is said of it."""

import numpy as np
import pytest

from lwlrd_jax.config import SweepConfig
from lwlrd_jax.config.checks import validate
from lwlrd_jax.config.groups import Data
from lwlrd_jax.data.npz import load_npz
from lwlrd_jax.errors import UserError

SPLITS = ("train", "val", "test")


@pytest.fixture
def load(tmp_path):
  """Loads a file of black images with these labels of train, val and test."""

  def load(train, val, test, **options):
    arrays: dict[str, np.ndarray] = {}
    for split, labels in zip(SPLITS, (train, val, test), strict=True):
      arrays |= {f"{split}_images": np.zeros((len(labels), 12, 12), np.uint8), f"{split}_labels": np.asarray(labels)}
    np.savez(tmp_path / "own.npz", **arrays)  # type: ignore[arg-type]
    return load_npz(tmp_path / "own.npz", **options)

  return load


def one_hot(classes, columns=3):
  return np.eye(columns, dtype=np.uint8)[classes]


CLASSES = ([0, 1, 2, 0], [2, 1, 0], [1, 0, 2])


def test_plain_classes_need_no_word(load):
  assert load(*CLASSES).notes == ()


@pytest.mark.parametrize("labels", ["auto", "classes"])
@pytest.mark.parametrize("kind", [np.uint8, np.float32, bool])
def test_one_hot_rows_are_classes(load, labels, kind):
  data = load(*(one_hot(part).astype(kind) for part in CLASSES), labels=labels)
  assert not data.multi_label
  assert data.label_names == ("class 0", "class 1", "class 2")
  for split, expected in zip(SPLITS, CLASSES, strict=True):
    assert getattr(data, split).labels.dtype == np.int32
    assert getattr(data, split).labels.tolist() == expected
  (note,) = data.notes
  assert "one-hot rows, read as classes" in note
  assert "`labels` findings" in note


def test_two_columns_are_two_classes(load):
  data = load(*(one_hot(part, 2) for part in ([0, 1, 1], [0, 1], [1, 0])))
  assert (data.multi_label, data.num_outputs) == (False, 2)


def test_one_finding_a_row_can_be_said_to_be_findings(load):
  rows = [one_hot(part) for part in CLASSES]
  data = load(*rows, labels="findings")
  assert (data.multi_label, data.label_names[0], data.notes) == (True, "finding 0", ())
  np.testing.assert_array_equal(data.val.labels, rows[1])


@pytest.mark.parametrize("split", range(3))
@pytest.mark.parametrize("row", [[0, 0, 0], [1, 0, 1]])
def test_one_other_row_makes_them_findings(load, split, row):
  rows = [one_hot(part) for part in CLASSES]
  rows[split][1] = row
  assert load(*rows).multi_label
  with pytest.raises(UserError, match=rf"^`labels` classes: {SPLITS[split]}_labels of .* 3 columns.*; allowed: auto"):
    load(*rows, labels="classes")


def test_numbers_in_columns_are_still_refused(load):
  for labels in ("auto", "findings"):
    with pytest.raises(UserError, match="train_labels has 3 columns and contains 2"):
      load(2 * one_hot(CLASSES[0]), one_hot(CLASSES[1]), one_hot(CLASSES[2]), labels=labels)


def test_one_column_holds_no_findings(load):
  with pytest.raises(UserError, match=r"^`labels` findings: the labels of .* have one column, of classes; allowed: "):
    load(*CLASSES, labels="findings")


@pytest.mark.parametrize("numbers", [(10, 20, 30), (1, 2, 3)])
def test_numbers_without_images_make_no_outputs(load, numbers):
  data = load(*(np.array(numbers)[part] for part in CLASSES))
  assert data.label_names == tuple(f"class {number}" for number in numbers)
  for split, expected in zip(SPLITS, CLASSES, strict=True):
    assert getattr(data, split).labels.tolist() == expected
  (note,) = data.notes
  listed = ", ".join(map(str, numbers))
  assert note.endswith(f"the labels {listed} are 3 classes; other numbers have no image and get no output")


def test_a_column_without_images_makes_no_output(load):
  data = load(*(one_hot(2 * np.array(part), 5)[:, :5] for part in CLASSES))
  assert data.label_names == ("class 0", "class 2", "class 4")
  assert [note.split(": ")[1][:10] for note in data.notes] == ["one-hot ro", "the labels"]


def test_classes_without_images_in_a_split_are_named(load):
  data = load([0, 1, 1], [3, 0, 1], [0, 1, 2])
  assert data.num_outputs == 4
  assert [note.split("own.npz: ")[1] for note in data.notes] == [
    "train has no image of class 2, class 3: not learned",
    "val has no image of class 2: not measured there",
    "test has no image of class 3: not measured there",
  ]


def test_long_lists_are_cut(load):
  (note,) = load(*[np.arange(0, 200, 2)] * 3).notes
  assert "the labels 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, ..., 198 are 100 classes" in note


@pytest.mark.parametrize(
  ("dataset", "labels", "message"),
  [
    ("npz", "onehot", "--labels onehot: not known"),
    ("phantom", "classes", "--labels classes: goes with --dataset npz"),
  ],
)
def test_the_flag(dataset, labels, message):
  with pytest.raises(UserError, match=message):
    validate(SweepConfig(data=Data(dataset=dataset, labels=labels)))
