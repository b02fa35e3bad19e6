"""The official MedMNIST files: found or downloaded, always checked, prepared once, read whole."""

import re
from pathlib import Path

from lwlrd_jax.cache import private_folder
from lwlrd_jax.data.dataset import Dataset
from lwlrd_jax.data.medmnist.info import MEDMNIST, SIZES, MedMNISTInfo, md5_of
from lwlrd_jax.errors import UserError


def load_medmnist(flag: str, *, image_size: int = 28, data_dir: Path | None = None) -> Dataset:
  """Loads one of the twelve 2-D sets.

  The official file is looked for in `data_dir`, then a set prepared earlier in the cache, then the official address. A
  file that is there but is not the official one is refused even where a prepared set would do: nobody shall believe to
  work with the file they put there when they do not.

  Args:
    flag: A key of `MEDMNIST`.
    image_size: Side in pixels, one of `SIZES`.
    data_dir: Where the user keeps `<flag>.npz` (28 pixels) or `<flag>_<size>.npz`; only read. Other spellings of the
      name, such as `DermaMNIST-28.npz`, count where there is none of that. Default: `data` in the cache folder.

  Returns:
    The data set in the official order, images u8[N, S, S, C], labels i32[N], or u8[N, 14] for chestmnist.

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

  file = _file_in(data_dir, info, image_size)
  found = file.exists()
  if found:
    _check(file, info, image_size)

  # Half a second that others need not spend.
  from lwlrd_jax.data.medmnist import builder as tfds_side  # noqa: PLC0415
  from lwlrd_jax.data.record_files import check_place, is_prepared  # noqa: PLC0415

  folder = private_folder("tfds")
  check_place(folder, "$LWLRD_JAX_CACHE")
  builder = tfds_side.open_builder(folder, info, image_size, file=file, found=found)
  if not is_prepared(builder):
    tfds_side.prepare(builder, folder)
  damage = UserError(f"`dataset` {flag}: the prepared copy is damaged; remove {builder.data_path} and start again")
  if not is_prepared(builder):
    raise damage
  try:
    splits = {split: tfds_side.read_split(builder, split) for split in tfds_side.SPLITS}
  except RuntimeError as error:
    raise damage from error
  if tuple(map(len, splits.values())) != info.samples:
    raise damage
  # The licences, CC BY 4.0 and CC BY-NC 4.0, both allow showing single images.
  return Dataset(
    name=flag,
    train=splits["train"],
    val=splits["val"],
    test=splits["test"],
    label_names=info.label_names,
    multi_label=info.multi_label,
    openly_licensed=True,
  )


def _file_in(folder: Path, info: MedMNISTInfo, size: int) -> Path:
  """Where the official file is, or has to be if it is not there.

  Of several with other spellings of its name the official one counts, the first in order if none is.
  """
  file = folder / info.file_name(size)
  names = {f"{info.flag}{size}", f"{info.flag}{size}x{size}"} | ({info.flag} if size == 28 else set())
  try:
    if file.exists():
      return file
    spelt = sorted(
      other
      for other in folder.iterdir()
      if other.suffix.lower() == ".npz" and re.sub(r"[\W_]", "", other.stem).lower() in names and other.is_file()
    )
    official = (other for other in spelt if len(spelt) == 1 or md5_of(other) == info.md5[size])
    return next(official, spelt[0] if spelt else file)
  except OSError as error:
    raise UserError(f"`data_dir` {folder}: cannot be read ({error.strerror})") from error


def _check(file: Path, info: MedMNISTInfo, size: int) -> None:
  """Raises a UserError unless `file` is the official one."""
  try:
    found = md5_of(file)
  except OSError as error:
    raise UserError(f"`data_dir` {file.parent}: cannot read {file.name} ({error.strerror})") from error
  if found != info.md5[size]:
    raise UserError(
      f"`data_dir` {file.parent}: {file.name} has md5 {found}, not {info.md5[size]} of the official {info.flag}; remove"
      f" it to download that from {info.url(size)}, or take a file of your own with `dataset` npz `npz` {file}"
    )
