"""The TFDS builder of MIMIC-CXR-JPG.

A prepared set is that of one image size and of one state of the CSVs, both of which its folder's name tells. It holds
every image whose file is there, whatever its view, with the codes of both labelers as published. Views, labeler and
what uncertain findings count as are chosen when it is read (choices.py): decoding takes hours and choosing seconds, and
no set that was prepared for one choice can be taken for another's.

It writes and reads array_record files, which needs no TensorFlow. Import it inside functions: it takes half a second.
"""

import contextlib
import dataclasses
import fcntl
import io
import logging
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from lwlrd_jax.data.mimic.choices import LABELERS, NO_LABELS
from lwlrd_jax.data.mimic.chunks import Chunk, make_chunks, split_into_chunks
from lwlrd_jax.data.mimic.images import image_file
from lwlrd_jax.data.mimic.tables import FINDINGS, MISSING, SPLITS, WHERE, Tables
from lwlrd_jax.data.record_files import is_prepared, sorting_in_memory, writing
from lwlrd_jax.errors import UserError
from lwlrd_jax.watch.progress import phase

TFDS_SPLITS = {"train": "train", "val": "validation", "test": "test"}

_READ_AT_ONCE = 1024  # records


@dataclasses.dataclass(eq=False, kw_only=True)
class MimicConfig(tfds.core.BuilderConfig):
  """One image size, of one state of the CSVs.

  Attributes:
    size: Side of the images in pixels.
  """

  size: int


class MimicCxr(tfds.core.GeneratorBasedBuilder):
  """MIMIC-CXR-JPG: each example an image u8[S, S, 1], its patient, study and name, its view, and 14 findings' codes.

  Args:
    tables: What the CSVs say.
    unfinished: Where images are kept until all are decoded.
    **kwargs: TFDS's own.
  """

  VERSION = tfds.core.Version("1.0.0")
  MANUAL_DOWNLOAD_INSTRUCTIONS = f"A copy of MIMIC-CXR-JPG, with files/ and the CSVs; {WHERE}"

  def __init__(self, *, tables: Tables, unfinished: Path, **kwargs: Any):
    super().__init__(**kwargs)
    self.tables = tables
    self.unfinished = unfinished

  def _info(self) -> tfds.core.DatasetInfo:
    size = self.builder_config.size
    as_bytes = tfds.features.Encoding.BYTES  # tenfold faster and smaller than numbers one by one
    features = {
      "image": tfds.features.Tensor(shape=(size, size, 1), dtype=np.uint8, encoding=as_bytes),
      "subject_id": tfds.features.Scalar(np.int32),
      "study_id": tfds.features.Scalar(np.int32),
      "dicom_id": tfds.features.Text(),
      "view": tfds.features.Text(),
    }
    codes = {name: tfds.features.Tensor(shape=(len(FINDINGS),), dtype=np.int8, encoding=as_bytes) for name in LABELERS}
    return tfds.core.DatasetInfo(
      builder=self,
      description="Chest radiographs; findings are 1, 0, -1 (uncertain), -2 (not mentioned) or -3 (no labels)",
      homepage="https://physionet.org/content/mimic-cxr-jpg",
      features=tfds.features.FeaturesDict({**features, **codes}),
      disable_shuffling=True,  # else examples are written by the hash of their key
    )

  def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Iterator[tuple[int, Any]]]:
    chunks = self._chunks(Path(dl_manager.manual_dir))
    make_chunks([chunk for of_split in chunks.values() for chunk in of_split])
    missing = []
    for split, of_split in chunks.items():
      gone = [jpeg for chunk in of_split for jpeg, there in zip(chunk.jpegs, chunk.load()[1], strict=True) if not there]
      if len(gone) == len(self.tables.of_split(split)):
        raise UserError(
          f"`mimic_dir` {dl_manager.manual_dir}: none of the {len(gone)} images of the split {SPLITS[split]} is there "
          f"(first: {gone[0]}); allowed: a copy with images in every split; {WHERE}"
        )
      missing += [f"{jpeg.relative_to(dl_manager.manual_dir)}\n" for jpeg in gone]
    (self.data_path / MISSING).write_text("".join(missing))
    return {TFDS_SPLITS[split]: self._generate_examples(split, of_split) for split, of_split in chunks.items()}

  def _chunks(self, folder: Path) -> dict[str, list[Chunk]]:
    images = self.tables.images
    ids = zip(images["subject_id"], images["study_id"], images["dicom_id"], strict=True)
    jpegs = [folder / image_file(*of_image) for of_image in ids]
    size = self.builder_config.size
    return {
      split: split_into_chunks([jpegs[row] for row in self.tables.of_split(split)], self.unfinished, split, size)
      for split in SPLITS
    }

  def _generate_examples(self, split: str, chunks: Sequence[Chunk]) -> Iterator[tuple[int, Any]]:
    rows = iter(self.tables.of_split(split))
    images = self.tables.images
    subjects, studies = images["subject_id"].astype(np.int32).to_numpy(), images["study_id"].astype(np.int32).to_numpy()
    dicoms, views = images["dicom_id"].to_numpy(), images["view"].to_numpy()
    nothing = np.full((len(images), len(FINDINGS)), NO_LABELS, np.int8)
    codes = {name: self.tables.findings.get(name, nothing) for name in LABELERS}
    with phase(
      f"writing the {TFDS_SPLITS[split]} split", sum(len(chunk.jpegs) for chunk in chunks), unit="images"
    ) as on:
      for chunk in chunks:
        for image, there in zip(*chunk.load(), strict=True):
          row = next(rows)
          if there:
            yield (
              int(row),
              {
                "image": image[..., None],
                "subject_id": subjects[row],
                "study_id": studies[row],
                "dicom_id": dicoms[row],
                "view": views[row],
                **{name: of_labeler[row] for name, of_labeler in codes.items()},
              },
            )
        on(len(chunk.jpegs))


def open_builder(root: Path, tables: Tables, size: int) -> MimicCxr:
  """The builder of one image size and state of the CSVs, prepared below `root` or not yet."""
  config = MimicConfig(name=f"{size}_{tables.digest}", size=size)
  unfinished = root / "mimic_cxr" / f"unfinished_{config.name}"
  with _quiet_log():
    return MimicCxr(data_dir=root, config=config, file_format="array_record", tables=tables, unfinished=unfinished)


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
  """Decodes every image, or those that a stopped preparation has not, and writes the prepared set.

  TFDS writes into a folder of another name, renamed when all is there, so that a stopped preparation leaves no set.

  Args:
    builder: Not yet prepared.
    root: Where prepared sets are kept.

  Raises:
    UserError: A folder that is missing, an image that is damaged, no room on the disk, or another process at it.
  """
  folder = builder.tables.folder
  _check_folders(builder.tables)
  try:
    (root / "mimic_cxr").mkdir(mode=0o700, exist_ok=True)
    builder.unfinished.mkdir(mode=0o700, exist_ok=True)
    with _alone(builder.unfinished), tempfile.TemporaryDirectory(dir=builder.unfinished) as downloads:
      if is_prepared(builder):  # by the process that was at it until now
        return
      for left in Path(builder.data_path).parent.glob("incomplete.*"):  # by one that was killed
        shutil.rmtree(left)
      tfds.display_progress_bar(enable=False)  # it tells nothing of the decoding
      config = tfds.download.DownloadConfig(try_download_gcs=False, manual_dir=folder)
      with sorting_in_memory(), writing(), contextlib.redirect_stdout(io.StringIO()), _quiet_log():
        builder.download_and_prepare(download_dir=downloads, download_config=config)
  except OSError as error:
    if is_prepared(builder):  # another process ended just now, and took the folder away
      return
    raise UserError(f"`dataset` mimic-cxr: cannot prepare it in {root} ({error}); make room there") from error


def tidy_up(builder: MimicCxr) -> None:
  """Removes what a prepared set was made of, also after a process that was killed before it did."""
  shutil.rmtree(builder.unfinished, ignore_errors=True)  # it may not be there, or another process be at it


def _check_folders(tables: Tables) -> None:
  """Raises a UserError unless there is a folder of images for each of the patients' numbers' beginnings."""
  names = sorted({f"p{subject[:2]}" for subject in tables.images["subject_id"]})
  missing = [name for name in names if not (tables.folder / "files" / name).is_dir()]
  if missing:
    raise UserError(
      f"`mimic_dir` {tables.folder}: no files/{', '.join(missing)}; allowed: a copy with {names[0]} to {names[-1]}, "
      f"or CSVs without those patients; {WHERE}"
    )


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
  """Sees to it that no two processes prepare one set. A lock ends with its process, however that ends."""
  with (folder / "lock").open("w") as file:
    try:
      fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
      raise UserError(
        f"`dataset` mimic-cxr: another process is preparing it in {folder}; start again when that is done"
      ) from None
    yield


def missing_files(builder: MimicCxr) -> list[str]:
  """Images that a prepared set lacks because their files were not there, by their paths in the user's copy."""
  return (Path(builder.data_path) / MISSING).read_text().splitlines()


def read_split(
  builder: MimicCxr, split: str, places: np.ndarray, dicom_ids: Sequence[str], labeler: str
) -> tuple[np.ndarray, np.ndarray]:
  """Reads some images of a prepared split.

  Args:
    builder: Prepared.
    split: train, val or test.
    places: i64[n], which of its records.
    dicom_ids: The images that are to be there, n of them.
    labeler: Whose codes.

  Returns:
    Images u8[n, S, S, 1] and codes i8[n, 14], see `choices.CODES`.

  Raises:
    RuntimeError: A record file is missing or damaged, or holds other images; array_record keeps checksums of its own.
  """
  size = builder.builder_config.size
  source = builder.as_data_source(TFDS_SPLITS[split])
  if len(places) and places[-1] >= len(source):
    raise RuntimeError(f"{len(source)} records")
  images = np.empty((len(places), size, size, 1), np.uint8)
  codes = np.empty((len(places), len(FINDINGS)), np.int8)
  with phase(f"reading the {TFDS_SPLITS[split]} split", len(places), unit="images") as advance:
    for start in range(0, len(places), _READ_AT_ONCE):
      records = source.__getitems__(places[start : start + _READ_AT_ONCE].tolist())
      for i, record in enumerate(records, start):
        if record["dicom_id"].decode() != dicom_ids[i]:
          raise RuntimeError("other images")
        images[i], codes[i] = record["image"], record[labeler]
      advance(len(records))
  return images, codes
