"""MIMIC-CXR-JPG as a `Dataset`: checked, prepared once, read by what is chosen of it."""

import os
from pathlib import Path

import numpy as np
import psutil

from lwlrd_jax.cache import private_folder
from lwlrd_jax.data.dataset import Dataset, Split
from lwlrd_jax.data.mimic.choices import NO_LABELS, Choices, chosen_views, labels_of
from lwlrd_jax.data.mimic.tables import FINDINGS, MISSING, SPLITS, Tables, read_tables
from lwlrd_jax.errors import UserError
from lwlrd_jax.watch.progress import console

# SSIM's window, and what stays small enough for a whole data set in memory.
_SMALLEST, _LARGEST = 11, 1024
# Bytes of memory of an image besides its pixels: labels, and while it is written what TFDS keeps of it.
_BESIDE = 1024


def load_mimic(choices: Choices, *, image_size: int = 28, data_dir: Path | None = None) -> Dataset:
  """Loads MIMIC-CXR-JPG from a user's own copy, which is only read.

  The first time, every JPEG is decoded and resized; afterwards the CSVs are read and checked again, and the JPEGs are
  not needed. The console shows what is left out: images of studies that the labeler has no row for, and images
  whose files were missing, which a list in the prepared set names.

  The copy is `files/p10` to `files/p19`, and the CSVs, each as .csv or .csv.gz. The prepared set is kept below
  `data_dir`, by default `tfds` in the cache folder, in a folder `mimic_cxr` that only its owner may enter. The data set
  is in the order of the split file: images u8[N, S, S, 1], S the side in pixels, labels u8[N, 14]. It is not openly
  licensed.

  Raises:
    UserError: See `tables.read_tables`, `choices.chosen_views`, `builder.prepare`; a size or folder that is not
      allowed; more images than memory holds; a split without images; a prepared set that is damaged.
  """
  tables = read_tables(choices.folder, choices.labeler)
  if not _SMALLEST <= image_size <= _LARGEST:
    raise UserError(f"`image_size` {image_size}: allowed for mimic-cxr: {_SMALLEST} to {_LARGEST} pixels")
  if data_dir is None:
    data_dir = private_folder("tfds")
  elif not data_dir.is_dir():
    raise UserError(f"`data_dir` {data_dir}: there is no such folder; allowed: one to keep the prepared set in")
  views = chosen_views(choices.views, tables.images["view"].to_numpy(str))
  labelled = tables.findings[choices.labeler][:, 0] != NO_LABELS

  # Half a second that others need not spend.
  from lwlrd_jax.data import record_files  # noqa: PLC0415
  from lwlrd_jax.data.mimic import builder as tfds_side  # noqa: PLC0415

  record_files.check_place(data_dir, "`data_dir`")
  builder = tfds_side.open_builder(data_dir, tables, image_size)
  if not record_files.is_prepared(builder):
    # TFDS writes a split from memory. Asked before hours are spent on decoding.
    _check_memory(len(tables.images), image_size, f"to prepare all views at `image_size` {image_size}")
    tfds_side.prepare(builder, data_dir)
  with record_files.reading(builder, "mimic-cxr"):
    tfds_side.tidy_up(builder)
    missing = (Path(builder.data_path) / MISSING).read_text().splitlines()
  there = ~tables.images["path"].isin(missing).to_numpy()
  chosen = views & labelled & there
  _check_memory(int(chosen.sum()), image_size, f"for `views` {choices.views} at `image_size` {image_size}")
  _report(tables, chosen, views & ~labelled, views & ~there, missing, Path(builder.data_path))

  def read(split: str) -> Split:
    rows = tables.of_split(split)
    places = np.flatnonzero(chosen[rows][there[rows]])
    if not len(places):
      raise UserError(
        f"`views` {choices.views}: of the split {SPLITS[split]} no image with such a view, a file and labels is left; "
        "allowed: views that every split has"
      )
    dicom_ids = tables.images["dicom_id"].to_numpy()[rows][chosen[rows]]
    with record_files.reading(builder, "mimic-cxr"):
      images, codes = tfds_side.read_split(builder, split, places, dicom_ids, choices.labeler)
    return Split(images, labels_of(codes, choices.uncertain))

  train, val, test = map(read, SPLITS)
  return Dataset("mimic-cxr", train, val, test, FINDINGS, multi_label=True, openly_licensed=False)


def _check_memory(images: int, size: int, purpose: str) -> None:
  """Raises a UserError if so many images do not fit into free memory."""
  needed, free = images * (size**2 + _BESIDE), psutil.virtual_memory().available
  if needed > free:
    raise UserError(
      f"`dataset` mimic-cxr: {images} images need {needed / 2**30:.1f} GiB of memory {purpose}, {free / 2**30:.1f} are "
      "free; allowed: a smaller `image_size`, or fewer views"
    )


def _report(
  tables: Tables, chosen: np.ndarray, unlabelled: np.ndarray, gone: np.ndarray, missing: list[str], folder: Path
) -> None:
  """Prints what is read and what is left out."""
  line = f"mimic-cxr: {chosen.sum()} of {len(chosen)} images"
  if unlabelled.any():
    studies = tables.images["study_id"][unlabelled].nunique()
    line += f"; left out: {unlabelled.sum()} images of {studies} studies without labels"
  if gone.any():
    line += f"; left out: {gone.sum()} images whose files were missing (all {len(missing)}: {folder / MISSING})"
  console.print(line, soft_wrap=True)
  found = sum(os.path.exists(tables.folder / path) for path in missing)
  if found:
    console.print(
      f"mimic-cxr: {found} files that were missing are there now; to take them in, remove {folder} and start again",
      soft_wrap=True,
    )
