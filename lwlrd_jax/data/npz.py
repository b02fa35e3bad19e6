"""Any `.npz` file in MedMNIST's form: `{train,val,test}_{images,labels}`."""

import zipfile
import zlib
from pathlib import Path

import numpy as np

from lwlrd_jax.data.dataset import SPLITS, Dataset, Split
from lwlrd_jax.errors import UserError

_MOST_CLASSES = 1000  # more is no class number but, say, a patient's
_LISTED = 12  # names in one line, at most
_LEAST_SIDE = 11  # the width of SSIM's window
# What a damaged zip archive raises, by where the damage is. RuntimeError is encryption or a compression
# that zipfile does not know; MemoryError a header that claims too much.
_UNREADABLE = (ValueError, OSError, EOFError, KeyError, RuntimeError, MemoryError, zipfile.BadZipFile, zlib.error)


def load_npz(path: Path, *, image_size: int | None = None, labels: str = "auto") -> Dataset:
  """Reads a file of the user's own.

  The file holds, for each split of train, val and test, `SPLIT_images`, u8[N, S, S] or u8[N, S, S, C] with C 1 or 3,
  and `SPLIT_labels`: whole numbers [N] or [N, 1], each a class, or 0/1 [N, K] with K > 1, one column a finding, or a
  class if every row has exactly one 1. Further keys are ignored. Nothing in it is unpickled.

  Args:
    path: The file.
    image_size: None, or the side of the images in the file: images are never resized.
    labels: What 0/1 [N, K] are: `classes`, `findings`, or `auto`, which goes by the rows.

  Returns:
    The data set, in the file's order. The classes are those that have an image in any split, named by their numbers in
    the file; its notes say where that is not plain. Its licence is not known, so it does not count as open.

  Raises:
    UserError: The file cannot be read or is not of this form. The message is one line that names `npz`, the file,
      what was found and what is allowed; or it names `image_size` or `labels`.
  """
  arrays = _read(path)
  images = {split: _check_images(arrays[f"{split}_images"], f"{split}_images", path) for split in SPLITS}
  rows = {split: _check_labels(arrays[f"{split}_labels"], f"{split}_labels", path) for split in SPLITS}
  shapes = {split: _shape(images[split].shape[1:]) for split in SPLITS}
  _check_same(shapes, "images have different shapes", "one shape for all three splits", path)
  side = images["train"].shape[1]
  if image_size not in (None, side):
    raise UserError(
      f"`image_size` {image_size}: the images of {path} have a side of {side}; leave it out or say {side}"
    )
  for split in SPLITS:
    if len(rows[split]) != len(images[split]):
      found = f"{split} has {len(images[split])} images and {len(rows[split])} labels"
      raise _refusal(path, found, "one label, or row of labels, an image")
  widths = {split: str(rows[split].shape[1]) for split in SPLITS}
  _check_same(widths, "labels have different numbers of columns", "one number for all three splits", path)

  notes: list[str] = []
  multi_label = _are_findings(rows, labels, path)
  columns = rows["train"].shape[1]
  if columns > 1 and (rows["train"] == rows["train"][0]).all():
    raise _refusal(path, "every row of train_labels is the same", "at least one column that varies in train")
  if multi_label:
    names = tuple(f"finding {number}" for number in range(columns))
    read = {split: rows[split].astype(np.uint8) for split in SPLITS}
  else:
    if columns > 1:
      notes.append(
        f"`npz` {path}: one-hot rows, read as classes, one a column; `labels` findings takes the columns for findings"
      )
    of_image = {split: rows[split].argmax(axis=1) if columns > 1 else rows[split][:, 0] for split in SPLITS}
    if len(np.unique(of_image["train"])) < 2:
      raise _refusal(path, f"train_labels are all {of_image['train'][0]}", "at least two classes in train")
    numbers = np.unique(np.concatenate(list(of_image.values())))
    names = tuple(f"class {number}" for number in numbers)
    read = {split: np.searchsorted(numbers, of_image[split]).astype(np.int32) for split in SPLITS}
    notes += _notes_on_classes(numbers, names, read, path)
  train, val, test = (Split(images[split], read[split]) for split in SPLITS)
  return Dataset("npz", train, val, test, names, multi_label=multi_label, openly_licensed=False, notes=tuple(notes))


def _check_same(values: dict[str, str], found: str, allowed: str, path: Path) -> None:
  """Raises a UserError unless all splits have the same value."""
  if len(set(values.values())) > 1:
    listed = ", ".join(f"{split} {value}" for split, value in values.items())
    raise _refusal(path, f"{found} ({listed})", allowed)


def _are_findings(rows: dict[str, np.ndarray], asked: str, path: Path) -> bool:
  """Whether several of the columns of i64[N, K] can be 1 at once; a UserError if they cannot be what is asked for."""
  columns = rows["train"].shape[1]
  if columns == 1:
    if asked == "findings":
      raise UserError(f"`labels` findings: the labels of {path} have one column, of classes; allowed: auto, classes")
    return False
  odd = [split for split in SPLITS if ((rows[split] != 0).sum(axis=1) != 1).any() or rows[split].max() > 1]
  if asked == "classes" and odd:
    raise UserError(
      f"`labels` classes: {odd[0]}_labels of {path} has {columns} columns, and rows that are not one 1 among zeros; "
      "allowed: auto, findings"
    )
  findings = bool(odd) or asked == "findings"
  if findings:
    for split in SPLITS:
      if rows[split].max() > 1:
        found = f"{split}_labels has {columns} columns and contains {rows[split].max()}"
        raise _refusal(path, found, "0 and 1 where there is more than one column")
  return findings


def _notes_on_classes(
  numbers: np.ndarray, names: tuple[str, ...], read: dict[str, np.ndarray], path: Path
) -> list[str]:
  """What needs a note: numbers that are no class, and classes without images in a split."""
  notes = []
  if len(numbers) != numbers[-1] + 1:
    notes.append(
      f"`npz` {path}: the labels {_listed(list(map(str, numbers)))} are {len(numbers)} classes; other numbers have no "
      "image and get no output"
    )
  for split in SPLITS:
    if missing := [name for i, name in enumerate(names) if not (read[split] == i).any()]:
      cost = ": not learned" if split == "train" else ": not measured there"
      notes.append(f"`npz` {path}: {split} has no image of {_listed(missing)}{cost}")
  return notes


def _listed(names: list[str]) -> str:
  """Names in one line: if there are many, the first ones and the last."""
  return ", ".join(names if len(names) <= _LISTED else [*names[: _LISTED - 2], "...", names[-1]])


def _refusal(path: Path, found: str, allowed: str) -> UserError:
  return UserError(f"`npz` {path}: {found}; allowed: {allowed}")


def _shape(shape: tuple[int, ...]) -> str:
  return "x".join(map(str, shape)) or "a single number"


def _read(path: Path) -> dict[str, np.ndarray]:
  """The six arrays of a file, unchecked; a UserError if they are not all there."""
  archive = "an .npz file as numpy.savez writes it"
  if path.is_dir():
    raise _refusal(path, "this is a folder", archive)
  try:
    with path.open("rb") as file:
      start = file.read(6)
    if start == b"\x93NUMPY":
      raise _refusal(path, "this is a single .npy array", archive + ", with {train,val,test}_{images,labels}")
    if not zipfile.is_zipfile(path):
      raise _refusal(path, "this is not an .npz file, or its end is cut off", archive)
  except FileNotFoundError:
    raise _refusal(path, "there is no such file", archive) from None
  except OSError as error:
    raise _refusal(path, f"cannot be read ({error.strerror})", archive) from error

  wanted = [f"{split}_{kind}" for split in SPLITS for kind in ("images", "labels")]
  arrays: dict[str, np.ndarray] = {}
  key = "its list of arrays"
  try:
    with np.load(path, allow_pickle=False) as file:
      if missing := [key for key in wanted if key not in file.files]:
        found = f"has no {', '.join(missing)} (found: {', '.join(file.files) or 'nothing'})"
        raise _refusal(path, found, "the keys " + ", ".join(wanted))
      for key in wanted:
        arrays[key] = file[key]
        if not isinstance(arrays[key], np.ndarray):  # a zip archive of other things
          raise _refusal(path, f"{key} is not an array", "arrays of numbers")
  except _UNREADABLE as error:
    if "allow_pickle" in str(error):
      raise _refusal(path, f"{key} is an array of pickled objects, never loaded", "plain arrays of numbers") from error
    raise _refusal(path, f"{key} cannot be read ({_first_line(error)})", "an undamaged .npz file") from error
  return arrays


def _first_line(error: Exception) -> str:
  return (str(error) or type(error).__name__).splitlines()[0]


def _check_images(images: np.ndarray, key: str, path: Path) -> np.ndarray:
  """u8[N, S, S] or u8[N, S, S, C] -> u8[N, S, S, C]."""
  allowed = "uint8 images [N, side, side] or [N, side, side, channels] with 1 or 3 channels"
  if images.dtype != np.uint8:
    found = f"{key} is {images.dtype}"
    if images.dtype.kind == "f" and np.isnan(images).any():
      found += " and contains NaN"
    elif images.dtype.kind == "f" and images.size and images.min() >= 0 and images.max() <= 1:
      found += " from 0 to 1 (to convert: (255 * images).round().astype('uint8'))"
    raise _refusal(path, found, allowed)
  if images.ndim not in (3, 4) or (images.ndim == 4 and images.shape[3] not in (1, 3)):
    raise _refusal(path, f"{key} has shape {_shape(images.shape)}", allowed)
  if len(images) == 0:
    raise _refusal(path, f"{key} is empty", "at least one image in every split")
  height, width = images.shape[1:3]
  if height != width or height < _LEAST_SIDE:
    found = f"{key} has images of {height}x{width} pixels"
    raise _refusal(path, found, f"square images of at least {_LEAST_SIDE}x{_LEAST_SIDE}")
  return images if images.ndim == 4 else images[..., None]


def _check_labels(labels: np.ndarray, key: str, path: Path) -> np.ndarray:
  """Labels of any number type -> i64[N, K] of whole numbers from 0, K = 1 for single labels."""
  allowed = "whole numbers from 0, [N] or [N, 1], or 0 and 1, [N, findings]"
  if labels.dtype.kind not in "biuf":
    raise _refusal(path, f"{key} is {labels.dtype}", allowed)
  if labels.ndim not in (1, 2) or 0 in labels.shape[1:]:
    raise _refusal(path, f"{key} has shape {_shape(labels.shape)}", allowed)
  if labels.dtype.kind == "f":
    if np.isnan(labels).any():
      raise _refusal(path, f"{key} contains NaN", allowed)
    if not (np.isfinite(labels).all() and (labels == np.rint(labels)).all()):
      raise _refusal(path, f"{key} contains numbers that are not whole", allowed)
  if labels.size and labels.min() < 0:
    raise _refusal(path, f"{key} contains {labels.min()}", allowed)
  if labels.size and labels.max() >= _MOST_CLASSES:  # also before a cast that could overflow
    raise _refusal(path, f"{key} contains {labels.max()}", f"at most {_MOST_CLASSES} classes, counted from 0")
  whole = labels.astype(np.int64)
  return whole if whole.ndim == 2 else whole[:, None]
