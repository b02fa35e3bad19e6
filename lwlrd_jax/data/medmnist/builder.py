"""The TFDS builder of MedMNIST, and what fills it. Import it inside functions: it takes half a second."""

import dataclasses
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import requests
import tensorflow_datasets as tfds

from lwlrd_jax.data.dataset import SPLITS, Split
from lwlrd_jax.data.medmnist.info import MEDMNIST, SIZES, MedMNISTInfo, md5_of
from lwlrd_jax.data.record_files import array_feature, preparing, read_records, write_set
from lwlrd_jax.errors import UserError
from lwlrd_jax.watch.progress import phase

_PROGRESS_FROM = 200_000_000  # bytes of images: preparing fewer takes seconds
_PATIENCE = 15  # seconds that the server may keep silent
_RETRIES = 3  # of a connection that fails
_BLOCK = 2**20  # bytes


@dataclasses.dataclass(eq=False, kw_only=True)
class MedMNISTConfig(tfds.core.BuilderConfig):
  """One data set at one size, the side of its images in pixels."""

  info: MedMNISTInfo
  size: int


def config_of(info: MedMNISTInfo, size: int) -> MedMNISTConfig:
  """The config of one data set at one size. Its name, hence its folder, carries the official file's checksum."""
  return MedMNISTConfig(name=f"{info.flag}_{size}_{info.md5[size]}", info=info, size=size)


class MedMNIST(tfds.core.GeneratorBasedBuilder):
  """Twelve data sets at four sizes, each example an image u8[S, S, C] and its label, in the official order.

  `file` is the official one, checked; None if it has to be downloaded.
  """

  VERSION = tfds.core.Version("1.0.0")
  BUILDER_CONFIGS = [config_of(info, size) for info in MEDMNIST.values() for size in SIZES]  # noqa: RUF012 (as TFDS wants)

  def __init__(self, *, file: Path | None, **kwargs: Any):
    self.file = file
    super().__init__(**kwargs)

  def _info(self) -> tfds.core.DatasetInfo:
    info, size = self.builder_config.info, self.builder_config.size
    findings = array_feature((len(info.label_names),), np.uint8)
    label = findings if info.multi_label else tfds.features.Scalar(np.int32)
    return tfds.core.DatasetInfo(
      builder=self,
      description=f"{info.flag} of MedMNIST, {info.task}, {info.license}",
      homepage="https://medmnist.com",
      features=tfds.features.FeaturesDict(
        {
          "image": array_feature((size, size, info.channels), np.uint8),
          "label": label,
        }
      ),
      disable_shuffling=True,  # else examples are written by the hash of their key
    )

  def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Iterator[tuple[int, Any]]]:
    return {split: self._generate_examples(split) for split in SPLITS}

  def _generate_examples(self, split: str) -> Iterator[tuple[int, Any]]:
    info, size = self.builder_config.info, self.builder_config.size
    assert self.file is not None  # `prepare` downloads it
    with np.load(self.file, allow_pickle=False) as file:
      images = file[f"{split}_images"].reshape(-1, size, size, info.channels)
      labels = file[f"{split}_labels"]
    labels = labels.astype(np.uint8) if info.multi_label else labels.reshape(-1).astype(np.int32)
    for number, (image, label) in enumerate(zip(images, labels, strict=True)):
      yield number, {"image": image, "label": label}


def open_builder(folder: Path, info: MedMNISTInfo, size: int, file: Path | None) -> MedMNIST:
  """The builder of one data set, prepared under `folder` or not yet. For the file see `MedMNIST`."""
  return MedMNIST(data_dir=folder, config=config_of(info, size).name, file_format="array_record", file=file)


def prepare(builder: MedMNIST, folder: Path, wanted: Path) -> None:
  """Writes the prepared set, downloading its file first if the builder has none.

  The user could have put the file at `wanted`. No network, a wrong file or no room on the disk is a UserError.
  """
  info, size = builder.builder_config.info, builder.builder_config.size
  tfds.display_progress_bar(enable=sum(info.samples) * size * size * info.channels >= _PROGRESS_FROM)
  # A folder of our own: neither a wrong nor half a download can be taken for a good one later.
  with preparing(builder, info.flag, folder), tempfile.TemporaryDirectory(prefix="download.", dir=folder) as downloads:
    if builder.file is None:
      builder.file = _download(info, size, Path(downloads), wanted)
    write_set(builder, downloads)


def _download(info: MedMNISTInfo, size: int, folder: Path, wanted: Path) -> Path:
  """Fetches the official file and checks it; a UserError, one line, if there is no network or the file is another."""
  url, path = info.url(size), folder / info.file_name(size)
  remedy = f"get it where there is a network and put it at {wanted}"
  session = requests.Session()
  session.mount("https://", requests.adapters.HTTPAdapter(max_retries=_RETRIES))
  try:
    with session.get(url, stream=True, timeout=_PATIENCE) as response, path.open("wb") as file:
      response.raise_for_status()
      length = int(response.headers.get("Content-Length", 0))
      with phase(f"downloading {url}", -(-length // _BLOCK), unit="MiB") as advance:
        for block in response.iter_content(_BLOCK):
          file.write(block)
          advance(1)
  except requests.RequestException as error:
    why = type(error).__name__
    raise UserError(f"`dataset` {info.flag}: cannot download {url} ({why}); {remedy}") from error
  found = md5_of(path)
  if found != info.md5[size]:
    raise UserError(
      f"`dataset` {info.flag}: {url} gave a file with md5 {found} instead of the official {info.md5[size]}, which is"
      f" thrown away; try again, or {remedy}"
    )
  return path


def read_split(builder: MedMNIST, split: str) -> Split:
  """Reads a prepared split whole, in the official order: images u8[N, S, S, C]; labels i32[N] or multi-label u8[N, K].

  Raises:
    RuntimeError: A record file is missing or damaged, or holds more or fewer images than the official set.
  """
  info, size = builder.builder_config.info, builder.builder_config.size
  count = info.samples[SPLITS.index(split)]
  if builder.info.splits[split].num_examples != count:
    raise RuntimeError("another number of images")
  images = np.empty((count, size, size, info.channels), np.uint8)
  labels = np.empty((count, len(info.label_names)), np.uint8) if info.multi_label else np.empty(count, np.int32)
  records = (record for part in read_records(builder, split, range(count)) for record in part)
  for number, record in enumerate(records):
    images[number], labels[number] = record["image"], record["label"]
  return Split(images, labels)
