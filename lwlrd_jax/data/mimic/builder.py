"""The TFDS builder of MIMIC-CXR-JPG, and what fills it. Import it inside functions: it takes half a second.

A prepared set is that of one image size and of one state of the CSVs, both of which are in its folder's name. It holds
every image whose file is there, whatever its view, with the codes of both labelers as published. Views, labeler and
what uncertain findings count as are chosen when it is read (choices.py): decoding takes hours and choosing seconds, and
no set that was prepared for one choice can be taken for another's.
"""

import contextlib
import fcntl
import logging
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from lwlrd_jax.data.mimic.choices import LABELERS
from lwlrd_jax.data.mimic.chunks import Chunk, make_chunks, split_into_chunks
from lwlrd_jax.data.mimic.tables import FINDINGS, MISSING, SPLITS, WHERE, Tables
from lwlrd_jax.data.record_files import array_feature, is_prepared, preparing, read_records, write_set
from lwlrd_jax.errors import UserError
from lwlrd_jax.watch.progress import phase

TFDS_SPLITS = {"train": "train", "val": "validation", "test": "test"}


class MimicCxr(tfds.core.GeneratorBasedBuilder):
  """MIMIC-CXR-JPG: each example an image u8[S, S, 1], its patient, study and name, its view, and 14 findings' codes.

  S is `size`, in pixels. Images are kept in the folder `unfinished` until all are decoded.
  """

  VERSION = tfds.core.Version("1.0.0")

  def __init__(self, *, tables: Tables, size: int, unfinished: Path, **kwargs: Any):
    self.tables, self.size, self.unfinished = tables, size, unfinished
    super().__init__(**kwargs)

  def _info(self) -> tfds.core.DatasetInfo:
    features = {
      "image": array_feature((self.size, self.size, 1), np.uint8),
      "subject_id": tfds.features.Scalar(np.int32),
      "study_id": tfds.features.Scalar(np.int32),
      "dicom_id": tfds.features.Text(),
      "view": tfds.features.Text(),
      **{name: array_feature((len(FINDINGS),), np.int8) for name in LABELERS},
    }
    return tfds.core.DatasetInfo(
      builder=self,
      description="Chest radiographs; findings are 1, 0, -1 (uncertain), -2 (not mentioned) or -3 (no labels)",
      homepage="https://physionet.org/content/mimic-cxr-jpg",
      features=tfds.features.FeaturesDict(features),
      disable_shuffling=True,  # else examples are written by the hash of their key
    )

  def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Iterator[tuple[int, Any]]]:
    folder, paths = self.tables.folder, self.tables.images["path"].to_numpy()
    chunks = {}
    for split in SPLITS:
      jpegs = [folder / path for path in paths[self.tables.of_split(split)]]
      chunks[split] = split_into_chunks(jpegs, self.unfinished, split, self.size)
    make_chunks([chunk for of_split in chunks.values() for chunk in of_split])
    missing = []
    for split, of_split in chunks.items():
      there = np.concatenate([chunk.load()[1] for chunk in of_split])
      gone = paths[self.tables.of_split(split)][~there]
      if not there.any():
        raise UserError(
          f"`mimic_dir` {folder}: none of the {len(gone)} images of the split {SPLITS[split]} is there "
          f"(first: {folder / gone[0]}); allowed: a copy with images in every split; {WHERE}"
        )
      missing += [f"{path}\n" for path in gone]
    (self.data_path / MISSING).write_text("".join(missing))
    return {TFDS_SPLITS[split]: self._generate_examples(split, of_split) for split, of_split in chunks.items()}

  def _generate_examples(self, split: str, chunks: Sequence[Chunk]) -> Iterator[tuple[int, Any]]:
    rows = self.tables.of_split(split)
    images = self.tables.images
    columns = {
      **{name: images[name].astype(np.int32).to_numpy() for name in ("subject_id", "study_id")},
      **{name: images[name].to_numpy() for name in ("dicom_id", "view")},
      **self.tables.findings,
    }
    with phase(f"writing the {TFDS_SPLITS[split]} split", len(rows), unit="images") as advance:
      numbers = iter(rows.tolist())
      for chunk in chunks:
        for image, there in zip(*chunk.load(), strict=True):
          row = next(numbers)
          if there:
            yield row, {"image": image[..., None], **{name: column[row] for name, column in columns.items()}}
        advance(len(chunk.jpegs))


def open_builder(root: Path, tables: Tables, size: int) -> MimicCxr:
  """The builder of one image size and state of the CSVs, prepared below `root` or not yet."""
  config = tfds.core.BuilderConfig(name=f"{size}_{tables.digest}")
  unfinished = root / "mimic_cxr" / f"unfinished_{config.name}"
  tfds_arguments = {"data_dir": root, "config": config, "file_format": "array_record"}
  with _quiet_log():
    return MimicCxr(tables=tables, size=size, unfinished=unfinished, **tfds_arguments)


@contextlib.contextmanager
def _quiet_log() -> Iterator[None]:
  """TFDS warns of every config that is in no list; which CSVs a user has, no list can know."""
  log = logging.getLogger("absl")
  level = log.level
  log.setLevel(logging.ERROR)
  try:
    yield
  finally:
    log.setLevel(level)


def prepare(builder: MimicCxr, root: Path) -> None:
  """Decodes every image, or those that a stopped preparation has not, and writes the prepared set below `root`.

  Raises:
    UserError: A folder that is missing, an image that is damaged, no room on the disk, or another process at it.
  """
  _check_folders(builder.tables)
  with preparing(builder, "mimic-cxr", root):
    (root / "mimic_cxr").mkdir(mode=0o700, exist_ok=True)
    builder.unfinished.mkdir(mode=0o700, exist_ok=True)
    with _alone(builder.unfinished), tempfile.TemporaryDirectory(dir=builder.unfinished) as downloads, _quiet_log():
      if is_prepared(builder):  # by the process that was at it until now
        return
      for left in Path(builder.data_path).parent.glob("incomplete.*"):  # by one that was killed
        shutil.rmtree(left)
      tfds.display_progress_bar(enable=False)  # it does not cover the decoding
      write_set(builder, downloads)


def tidy_up(builder: MimicCxr) -> None:
  """Removes what a prepared set was made of, also after a process that was killed before it did."""
  shutil.rmtree(builder.unfinished, ignore_errors=True)  # it may not be there, or another process be at it


def _check_folders(tables: Tables) -> None:
  """Raises a UserError unless there is a folder of images for the first digits of each patient's number."""
  names = sorted({f"p{subject[:2]}" for subject in tables.images["subject_id"]})
  missing = [name for name in names if not (tables.folder / "files" / name).is_dir()]
  if missing:
    raise UserError(
      f"`mimic_dir` {tables.folder}: no files/{', '.join(missing)}; allowed: a copy with {names[0]} to {names[-1]}, "
      f"or CSVs without those patients; {WHERE}"
    )


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
  """Keeps other processes from preparing the same set. A lock ends with its process, however that ends."""
  with (folder / "lock").open("w") as file:
    try:
      fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
      raise UserError(
        f"`dataset` mimic-cxr: another process is preparing it in {folder}; start again when that is done"
      ) from None
    yield


def read_split(
  builder: MimicCxr, split: str, places: np.ndarray, dicom_ids: Sequence[str], labeler: str
) -> tuple[np.ndarray, np.ndarray]:
  """Reads records of a prepared split, i64[n] ascending, which are to be the images with these names.

  Images are u8[n, S, S, 1], the labeler's codes i8[n, 14], see `choices.CODES`.

  Raises:
    RuntimeError: A record file is missing or damaged, or holds other images.
  """
  images = np.empty((len(places), builder.size, builder.size, 1), np.uint8)
  codes = np.empty((len(places), len(FINDINGS)), np.int8)
  with phase(f"reading the {TFDS_SPLITS[split]} split", len(places), unit="images") as advance:
    start = 0
    for records in read_records(builder, TFDS_SPLITS[split], places):
      for i, record in enumerate(records, start):
        if record["dicom_id"].decode() != dicom_ids[i]:
          raise RuntimeError("other images")
        images[i], codes[i] = record["image"], record[labeler]
      start += len(records)
      advance(len(records))
  return images, codes
