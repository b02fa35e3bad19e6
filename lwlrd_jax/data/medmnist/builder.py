"""The TFDS builder of MedMNIST.

It writes and reads array_record files, which needs no TensorFlow. Import it inside functions: it takes half a second.
"""

import contextlib
import dataclasses
import io
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import requests
import tensorflow_datasets as tfds

from lwlrd_jax.data.dataset import Split
from lwlrd_jax.data.medmnist.info import MEDMNIST, SIZES, MedMNISTInfo, md5_of
from lwlrd_jax.data.record_files import is_prepared, sorting_in_memory, writing
from lwlrd_jax.errors import UserError

SPLITS = ("train", "val", "test")

_READ_AT_ONCE = 1024  # records
_PROGRESS_FROM = 200_000_000  # bytes of images: preparing fewer takes seconds
_PATIENCE = 15  # seconds for the server's first answer


@dataclasses.dataclass(eq=False, kw_only=True)
class MedMNISTConfig(tfds.core.BuilderConfig):
  """One data set at one size.

  Attributes:
    info: The data set.
    size: Side of its images in pixels.
  """

  info: MedMNISTInfo
  size: int


def config_of(info: MedMNISTInfo, size: int) -> MedMNISTConfig:
  """The config of one data set at one size. Its name, hence its folder, carries the official file's checksum."""
  return MedMNISTConfig(name=f"{info.flag}_{size}_{info.md5[size]}", info=info, size=size)


class MedMNIST(tfds.core.GeneratorBasedBuilder):
  """Twelve data sets at four sizes, each example an image u8[S, S, C] and its label, in the official order.

  Args:
    file: Where the user's own copy of the official file is, if there is one.
    found: Whether it is there, and checked; if not, preparing downloads the file.
    **kwargs: TFDS's own.
  """

  VERSION = tfds.core.Version("1.0.0")
  BUILDER_CONFIGS = [config_of(info, size) for info in MEDMNIST.values() for size in SIZES]  # noqa: RUF012 (as TFDS wants)

  def __init__(self, *, file: Path, found: bool, **kwargs: Any):
    super().__init__(**kwargs)
    self.file = file
    self.found = found

  def _info(self) -> tfds.core.DatasetInfo:
    info = self.builder_config.info
    size = self.builder_config.size
    as_bytes = tfds.features.Encoding.BYTES  # tenfold faster and smaller than numbers one by one
    label = (
      tfds.features.Tensor(shape=(len(info.label_names),), dtype=np.uint8, encoding=as_bytes)
      if info.multi_label
      else tfds.features.Scalar(np.int32)
    )
    image = tfds.features.Tensor(shape=(size, size, info.channels), dtype=np.uint8, encoding=as_bytes)
    return tfds.core.DatasetInfo(
      builder=self,
      description=f"{info.flag} of MedMNIST, {info.task}, {info.license}",
      homepage="https://medmnist.com",
      features=tfds.features.FeaturesDict({"image": image, "label": label}),
      disable_shuffling=True,  # else examples are written by the hash of their key
    )

  def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Iterator[tuple[int, Any]]]:
    path = self.file if self.found else _download(dl_manager, self.builder_config, self.file)
    return {split: self._generate_examples(path, split) for split in SPLITS}

  def _generate_examples(self, path: Path, split: str) -> Iterator[tuple[int, Any]]:
    info, size = self.builder_config.info, self.builder_config.size
    with np.load(path, allow_pickle=False) as file:
      images = file[f"{split}_images"].reshape(-1, size, size, info.channels)
      labels = file[f"{split}_labels"]
    labels = labels.astype(np.uint8) if info.multi_label else labels.reshape(-1).astype(np.int32)
    for number, (image, label) in enumerate(zip(images, labels, strict=True)):
      yield number, {"image": image, "label": label}


def _download(dl_manager: tfds.download.DownloadManager, wanted: MedMNISTConfig, file: Path) -> Path:
  """Fetches the official file and checks it; a UserError, one line, if there is no network or the file is another."""
  info, size = wanted.info, wanted.size
  url = info.url(size)
  remedy = f"get it where there is a network and put it at {file}"
  try:
    # TFDS tries ten times with growing pauses, minutes in all, and waits for ever on a network that swallows packets.
    # So ask once, briefly, whether the server is there.
    with requests.get(url, stream=True, timeout=_PATIENCE) as response:
      response.raise_for_status()
    print(f"Downloading {url}", file=sys.stderr)
    tfds.display_progress_bar(enable=True)
    path = Path(dl_manager.download(url))
    _set_progress_bars(info, size)
  except (requests.RequestException, tfds.core.download.DownloadError) as error:
    why = type(error).__name__
    raise UserError(f"`dataset` {info.flag}: cannot download {url} ({why}); {remedy}") from error
  found = md5_of(path)
  if found != info.md5[size]:
    raise UserError(
      f"`dataset` {info.flag}: {url} gave a file with md5 {found} instead of the official {info.md5[size]}, which is"
      f" thrown away; try again, or {remedy}"
    )
  return path


def open_builder(folder: Path, info: MedMNISTInfo, size: int, *, file: Path, found: bool) -> MedMNIST:
  """The builder of one data set, prepared under `folder` or not yet. For the rest see `MedMNIST`."""
  name = config_of(info, size).name
  return MedMNIST(data_dir=folder, config=name, file_format="array_record", file=file, found=found)


def prepare(builder: MedMNIST, folder: Path) -> None:
  """Writes the prepared set, downloading its file first if the builder has none.

  TFDS writes into a folder of another name, renamed when all is there, so that a stopped preparation leaves no set.

  Args:
    builder: Not yet prepared.
    folder: Where downloads are kept until they are prepared.

  Raises:
    UserError: No network, a wrong file, or no room on the disk.
  """
  info, size = builder.builder_config.info, builder.builder_config.size
  _set_progress_bars(info, size)
  try:
    with (
      # A folder of our own: neither a wrong nor half a download can be taken for a good one later.
      tempfile.TemporaryDirectory(prefix="download.", dir=folder) as downloads,
      sorting_in_memory(),
      writing(),
      contextlib.redirect_stdout(io.StringIO()),  # TFDS tells standard output what it does
    ):
      builder.download_and_prepare(
        download_dir=downloads, download_config=tfds.download.DownloadConfig(try_download_gcs=False)
      )
  except OSError as error:
    if is_prepared(builder):  # another process was faster and its folder is in the way
      return
    raise UserError(f"`dataset` {info.flag}: cannot prepare it in {folder} ({error}); make room there") from error


def _set_progress_bars(info: MedMNISTInfo, size: int) -> None:
  """Has TFDS show the progress of preparing a set only where one has to wait for it."""
  tfds.display_progress_bar(enable=sum(info.samples) * size * size * info.channels >= _PROGRESS_FROM)


def read_split(builder: MedMNIST, split: str) -> Split:
  """Reads a prepared split whole, in the official order.

  Args:
    builder: Prepared.
    split: train, val or test.

  Returns:
    images u8[N, S, S, C]; labels i32[N], or u8[N, K] if multi-label.

  Raises:
    RuntimeError: A record file is missing or damaged; array_record keeps checksums of its own.
  """
  info, size = builder.builder_config.info, builder.builder_config.size
  source = builder.as_data_source(split)
  images = np.empty((len(source), size, size, info.channels), np.uint8)
  labels = (
    np.empty((len(source), len(info.label_names)), np.uint8) if info.multi_label else np.empty(len(source), np.int32)
  )
  for start in range(0, len(source), _READ_AT_ONCE):
    records = source.__getitems__(list(range(start, min(start + _READ_AT_ONCE, len(source)))))
    for number, record in enumerate(records, start):
      images[number], labels[number] = record["image"], record["label"]
  return Split(images, labels)
