import io
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lwlrd_jax.data.npz import load_npz
from lwlrd_jax.errors import UserError

SPLITS = ("train", "val", "test")
COUNTS = {"train": 12, "val": 5, "test": 6}
Arrays = dict[str, Any]


def good(*, shape: tuple[int, ...] = (14, 14), findings: int = 0) -> Arrays:
  """A sound file: three classes, [N, 1], or some findings."""
  rng = np.random.default_rng(0)
  arrays: Arrays = {}
  for split, count in COUNTS.items():
    arrays[f"{split}_images"] = rng.integers(0, 256, (count, *shape), dtype=np.uint8)
    single = (np.arange(count, dtype=np.uint8) % 3)[:, None]
    arrays[f"{split}_labels"] = rng.integers(0, 2, (count, findings), dtype=np.uint8) if findings else single
  return arrays


def save(folder: Path, arrays: Arrays) -> Path:
  path = folder / "own.npz"
  np.savez(path, **arrays)
  return path


@pytest.mark.parametrize(
  ("shape", "expected"), [((14, 14), (14, 14, 1)), ((14, 14, 1), (14, 14, 1)), ((14, 14, 3), (14, 14, 3))]
)
def test_single_label(tmp_path, shape, expected):
  arrays = good(shape=shape)
  data = load_npz(save(tmp_path, arrays))
  assert (data.name, data.image_shape, data.multi_label, data.openly_licensed) == ("npz", expected, False, False)
  assert data.label_names == ("class 0", "class 1", "class 2")
  for split in SPLITS:
    part = getattr(data, split)
    assert part.images.dtype == np.uint8
    assert part.labels.dtype == np.int32
    np.testing.assert_array_equal(part.images.reshape(arrays[f"{split}_images"].shape), arrays[f"{split}_images"])
    np.testing.assert_array_equal(part.labels, arrays[f"{split}_labels"][:, 0])


def test_multi_label(tmp_path):
  arrays = good(findings=4)
  data = load_npz(save(tmp_path, arrays))
  assert data.multi_label
  assert data.label_names == ("finding 0", "finding 1", "finding 2", "finding 3")
  assert data.val.labels.dtype == np.uint8
  np.testing.assert_array_equal(data.val.labels, arrays["val_labels"])


@pytest.mark.parametrize("kind", [np.int64, np.uint64, np.float32, bool, ">i2"])
def test_any_type_of_whole_numbers(tmp_path, kind):
  arrays = good()
  for split in SPLITS:
    arrays[f"{split}_labels"] = (arrays[f"{split}_labels"][:, 0] % 2).astype(kind)
  assert load_npz(save(tmp_path, arrays)).test.labels.tolist() == [0, 1, 0, 0, 1, 0]


def test_classes_missing_from_splits(tmp_path):
  arrays = good()
  arrays["train_labels"] = np.arange(12) % 2
  arrays["val_labels"][:] = 4
  arrays["test_labels"][:] = 0
  data = load_npz(save(tmp_path, arrays))
  assert data.label_names == ("class 0", "class 1", "class 4")
  assert [part.labels[0] for part in (data.train, data.val, data.test)] == [0, 2, 0]


def test_constant_finding_beside_one_that_varies(tmp_path):
  arrays = good(findings=3)
  for split in SPLITS:
    arrays[f"{split}_labels"][:, 1] = 0
  assert load_npz(save(tmp_path, arrays)).num_outputs == 3


def test_further_keys_are_ignored(tmp_path):
  assert len(load_npz(save(tmp_path, good() | {"train_ids": np.array([object()])})).train) == 12


def test_image_size(tmp_path):
  path = save(tmp_path, good())
  assert load_npz(path, image_size=14).image_shape == (14, 14, 1)
  with pytest.raises(UserError, match=r"^`image_size` 28: .*side of 14; leave it out or say 14$"):
    load_npz(path, image_size=28)


def change(key: str, function: Callable[[np.ndarray], Any]) -> Callable[[Arrays], None]:
  def apply(arrays: Arrays) -> None:
    arrays[key] = function(arrays[key])

  return apply


def change_all(kind: str, function: Callable[[np.ndarray], Any]) -> Callable[[Arrays], None]:
  def apply(arrays: Arrays) -> None:
    for split in SPLITS:
      arrays[f"{split}_{kind}"] = function(arrays[f"{split}_{kind}"])

  return apply


def rename(arrays: Arrays) -> None:
  arrays["validation_images"] = arrays.pop("val_images")


BAD_CONTENT = {
  "missing key": (rename, "has no val_images .*validation_images"),
  "pickled objects": (change("val_labels", lambda x: np.array([{}] * len(x))), "val_labels .*pickled objects"),
  "floats with NaN": (change("train_images", lambda x: x * np.nan), "train_images is float64 and contains NaN.*uint8"),
  "floats to 1": (change_all("images", lambda x: x / np.float32(255)), "train_images is float32 from 0 to 1.*uint8"),
  "wide floats": (change("test_images", lambda x: x * 1.0), "test_images is float64; .*uint8"),
  "signed images": (change("train_images", lambda x: x.astype(np.int64)), "train_images is int64; .*uint8"),
  "one image": (change("train_images", lambda x: x[0]), "train_images has shape 14x14;"),
  "four channels": (change("train_images", lambda x: np.stack([x] * 4, -1)), "train_images has shape 12x14x14x4;"),
  "volumes": (change("train_images", lambda x: x[..., None, None]), "train_images has shape 12x14x14x1x1;"),
  "a number": (change("train_images", lambda x: x[0, 0, 0]), "train_images has shape a single number;"),
  "not square": (change_all("images", lambda x: x[:, :12]), "images of 12x14 pixels"),
  "tiny": (change_all("images", lambda x: x[:, :5, :5]), "images of 5x5 pixels"),
  "sizes differ": (change("test_images", lambda x: x[:, :12, :12]), "train 14x14x1, val 14x14x1, test 12x12x1"),
  "too few labels": (change("val_labels", lambda x: x[1:]), "val has 5 images and 4 labels"),
  "no labels": (change("val_labels", lambda x: x[:0]), "val has 5 images and 0 labels"),
  "empty split": (change("test_images", lambda x: x[:0]), "test_images is empty"),
  "NaN label": (change("train_labels", lambda x: x * np.nan), "train_labels contains NaN"),
  "infinite label": (change("train_labels", lambda x: x + np.inf), "train_labels contains numbers that are not whole"),
  "half label": (change("train_labels", lambda x: x / 2), "train_labels contains numbers that are not whole"),
  "negative label": (change("val_labels", lambda x: x.astype(int) - 1), "val_labels contains -1"),
  "patient numbers": (
    change("val_labels", lambda x: x + np.int64(10**7)),
    "val_labels contains 1000000[0-9]; .*1000 classes",
  ),
  "words": (change("train_labels", lambda x: np.array(["nevus"] * len(x))), "train_labels is <U5"),
  "three axes": (change("train_labels", lambda x: x[..., None]), "train_labels has shape 12x1x1"),
  "no columns": (change("train_labels", lambda x: x[:, :0]), "train_labels has shape 12x0"),
  "columns differ": (change("val_labels", lambda x: np.hstack([x, x])), "train 1, val 2, test 1"),
  "one class": (change("train_labels", lambda x: x * 0 + 2), "train_labels are all 2; .*two classes"),
  "findings to 2": (change_all("labels", lambda x: np.hstack([x, x])), "train_labels has 2 columns and contains 2"),
  "constant findings": (change_all("labels", lambda x: np.hstack([x * 0, x * 0 + 1])), "every row of train_labels"),
}


def refused(path: Path) -> str:
  with pytest.raises(UserError) as caught:
    load_npz(path)
  message = str(caught.value)
  assert message.startswith(f"`npz` {path}: ")
  assert "; allowed: " in message
  assert "\n" not in message
  return message.removeprefix(f"`npz` {path}: ")


@pytest.mark.parametrize("case", BAD_CONTENT)
def test_bad_content(tmp_path, case):
  spoil, expected = BAD_CONTENT[case]
  arrays = good()
  spoil(arrays)
  message = refused(save(tmp_path, arrays))
  assert re.search(expected, message), message


def zipped(**members: bytes) -> bytes:
  buffer = io.BytesIO()
  with zipfile.ZipFile(buffer, "w") as archive:
    for name, content in members.items():
      archive.writestr(name, content)
  return buffer.getvalue()


def saved(save_fn: Callable[..., None], *args: Any, **kwargs: Any) -> bytes:
  buffer = io.BytesIO()
  save_fn(buffer, *args, **kwargs)
  return buffer.getvalue()


def damaged() -> bytes:
  """A sound archive but for some bytes of the first image array."""
  content = bytearray(saved(np.savez_compressed, **good()))
  content[200:260] = bytes(60)
  return bytes(content)


BAD_FILES = {
  "random bytes": (np.random.default_rng(0).bytes(5000), "not an .npz file"),
  "nothing": (b"", "not an .npz file"),
  "one array": (saved(np.save, np.zeros(3)), "single .npy array"),
  "cut off": (saved(np.savez, **good())[:-3000], "not an .npz file, or its end is cut off"),
  "damaged inside": (damaged(), "train_images cannot be read"),
  "an empty archive": (zipped(), "has no train_images.*found: nothing"),
  "other things": (zipped(**{f"{s}_{k}": b"text" for s in SPLITS for k in ("images", "labels")}), "is not an array"),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_bad_file(tmp_path, case):
  content, expected = BAD_FILES[case]
  path = tmp_path / "own.npz"
  path.write_bytes(content)
  message = refused(path)
  assert re.search(expected, message), message


def test_missing_file(tmp_path):
  assert refused(tmp_path / "none.npz").startswith("there is no such file")


def test_folder(tmp_path):
  assert refused(tmp_path).startswith("this is a folder")


def test_nothing_is_unpickled(tmp_path):
  class Trap:
    def __reduce__(self) -> tuple[Any, ...]:
      return Path.touch, (tmp_path / "sprung",)

  arrays = good() | {"train_labels": np.array([Trap()] * 12)}
  refused(save(tmp_path, arrays))
  assert not (tmp_path / "sprung").exists()


@pytest.mark.realdata
@pytest.mark.parametrize(
  ("file", "shape", "outputs", "multi_label"),
  [("dermamnist_rebuilt_28.npz", (28, 28, 3), 7, False), ("nih1000_64.npz", (64, 64, 1), 14, True)],
)
def test_real_files(realdata, file, shape, outputs, multi_label):
  data = load_npz(realdata / file)
  assert (data.image_shape, data.num_outputs, data.multi_label) == (shape, outputs, multi_label)
