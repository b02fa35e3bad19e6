"""The official MedMNIST files: found or downloaded, always checked, prepared once, read whole."""

import re
from pathlib import Path

from lwlrd_jax.cache import private_folder
from lwlrd_jax.data.dataset import SPLITS, Dataset
from lwlrd_jax.data.medmnist.info import MEDMNIST, SIZES, MedMNISTInfo, md5_of
from lwlrd_jax.errors import UserError


def load_medmnist(flag: str, *, image_size: int = 28, data_dir: Path | None = None) -> Dataset:
  """Loads one of the twelve 2-D sets.

  The official file is looked for in `data_dir`, then a set prepared earlier in the cache, then the official address. A
  file that is there but is not the official one is refused even where a prepared set would do: users must not be misled
  about which file they work with.

  `flag` is a key of `MEDMNIST`, `image_size` the side in pixels, one of `SIZES`. `data_dir`, by default `data` in the
  cache folder, is only read: there lies `<flag>.npz` (28 pixels) or `<flag>_<size>.npz`; other spellings, such as
  `DermaMNIST-28.npz`, count where there is none of that name. The data set is in the official order, images
  u8[N, S, S, C], labels i32[N], or u8[N, 14] for chestmnist.

  Raises:
    UserError: No such size or folder, a file with another checksum, no file and no network, or a damaged cache.
  """
  info = MEDMNIST[flag]
  if image_size not in SIZES:
    raise UserError(f"`image_size` {image_size}: {flag} comes at {', '.join(map(str, SIZES))} pixels")
  if data_dir is None:
    data_dir = private_folder("data")
  elif not data_dir.is_dir():
    raise UserError(
      f"`data_dir` {data_dir}: there is no such folder; allowed: one that holds {info.file_name(image_size)}"
    )
  file = _official_file(data_dir, info, image_size)

  # Half a second that others need not spend.
  from lwlrd_jax.data import record_files  # noqa: PLC0415
  from lwlrd_jax.data.medmnist import builder as tfds_side  # noqa: PLC0415

  folder = private_folder("tfds")
  record_files.check_place(folder, "$LWLRD_JAX_CACHE")
  builder = tfds_side.open_builder(folder, info, image_size, file)
  if not record_files.is_prepared(builder):
    tfds_side.prepare(builder, folder, wanted=data_dir / info.file_name(image_size))
  with record_files.reading(builder, flag):
    train, val, test = (tfds_side.read_split(builder, split) for split in SPLITS)
  # The licences, CC BY 4.0 and CC BY-NC 4.0, both allow showing single images.
  return Dataset(flag, train, val, test, info.label_names, multi_label=info.multi_label, openly_licensed=True)


def _official_file(folder: Path, info: MedMNISTInfo, size: int) -> Path | None:
  """The official file, by its name or else by other spellings of it; None if there is no file of that name.

  A UserError if there is, and none of them is the official one.
  """
  file = folder / info.file_name(size)
  names = {f"{info.flag}{size}", f"{info.flag}{size}x{size}"} | ({info.flag} if size == 28 else set())

  def is_spelling(other: Path) -> bool:
    stem = re.sub(r"[\W_]", "", other.stem).lower()
    return other.suffix.lower() == ".npz" and stem in names and other.is_file()

  try:
    files = [file] if file.exists() else sorted(filter(is_spelling, folder.iterdir()))
    md5 = {file: md5_of(file) for file in files}
  except OSError as error:
    raise UserError(f"`data_dir` {folder}: cannot read {Path(error.filename).name} ({error.strerror})") from error
  official = [file for file, found in md5.items() if found == info.md5[size]]
  if official or not files:
    return official[0] if official else None
  file = files[0]
  raise UserError(
    f"`data_dir` {folder}: {file.name} has md5 {md5[file]}, not {info.md5[size]} of the official {info.flag}; remove it"
    f" to download that from {info.url(size)}, or take a file of your own with `dataset` npz `npz` {file}"
  )
