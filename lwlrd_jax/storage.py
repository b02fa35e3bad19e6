"""Files on disk and in buckets: a reader sees the old one or the new one, never a part."""

import contextlib
import errno
import os
import shutil
from pathlib import Path
from typing import cast

from lwlrd_jax.errors import UserError


def path_of(name: str | Path) -> Path:
  """A path on disk, in the home folder if it begins with `~`, or in a bucket if it is a URL such as gs://bucket/folder.

  Of what a bucket's paths can do only what `pathlib.Path` has too is used here, so they pass as such. Buckets need the
  fsspec package of their kind, `gcsfs` for `gs://`.

  Raises:
    UserError: That package is missing, or that home is not known.
  """
  if not is_remote(name):
    return Path(in_home(str(name)))
  # Few runs need these.
  import fsspec  # noqa: PLC0415
  from etils import epath  # noqa: PLC0415

  try:
    fsspec.get_filesystem_class(str(name).partition("://")[0])
    return cast(Path, epath.Path(name))
  except (ImportError, ValueError, KeyError) as error:  # an unknown kind, or one whose package is missing
    raise UserError(f"{name}: buckets of this kind cannot be reached ({error})") from error


def in_home(name: str) -> str:
  """A name with the home folder in place of a leading `~` or `~user`; any other as it is.

  Raises:
    UserError: Whose home it is is not known.

  >>> in_home("runs/~x")
  'runs/~x'
  """
  try:
    return str(Path(name).expanduser()) if name.startswith("~") else name
  except RuntimeError as error:
    raise UserError(f"{name}: that home folder is not known; allowed: a path in full") from error


def is_remote(path: str | Path) -> bool:
  """Whether it is in a bucket."""
  return "://" in str(path)


def replace_file(path: Path, content: bytes) -> None:
  """Writes a file: beside it and then swapped on disk; in a bucket, where an object appears once it is all there.

  Raises:
    UserError: It cannot be written.
  """
  if is_remote(path):
    try:
      path.write_bytes(content)
    except Exception as error:  # whatever a bucket's own library and the network come up with
      raise UserError(f"{path}: cannot be written ({error})") from error
    return
  temporary = path.with_name(f".{path.name}.new")
  try:
    temporary.write_bytes(content)
    os.replace(temporary, path)
  except OSError as error:
    with contextlib.suppress(OSError):  # a folder that cannot be written at all
      temporary.unlink(missing_ok=True)
    raise UserError(f"{path}: cannot be written ({error.strerror or error})") from error


def is_text(path: Path) -> bool:
  """Whether a path is UTF-8, which libraries that are not Python's own want; names on disk may be any bytes."""
  return printable(path.absolute()) == str(path.absolute())


def printable(text: object) -> str:
  """A text, or a path as one, with the bytes of names that are not UTF-8 escaped: all of it can be encoded."""
  return str(text).encode(errors="backslashreplace").decode()


def make_folder(path: Path, *, exist_ok: bool = False) -> None:
  """Makes a folder that only its owner may enter. Who may enter a bucket is the bucket's affair.

  A folder that exists and belongs to another user, such as a mounted volume, keeps its mode.

  Raises:
    OSError: It cannot be made.
  """
  if is_remote(path):
    path.mkdir(parents=True, exist_ok=True)
    return
  there = path.exists()
  path.parent.mkdir(parents=True, exist_ok=True)
  path.mkdir(mode=0o700, exist_ok=exist_ok)
  try:
    path.chmod(0o700)  # whatever the umask
  except PermissionError:
    if not there:
      raise


def check_writable(folder: Path) -> None:
  """Refuses a folder that cannot be written to, or made if it is not there; touches nothing. Buckets are not asked.

  Raises:
    OSError: It cannot.
  """
  if is_remote(folder):
    return
  there = Path(os.path.realpath(folder))
  while not there.exists():
    there = there.parent
  why = 0 if there.is_dir() else errno.ENOTDIR
  if not why and not os.access(there, os.W_OK | os.X_OK):
    why = errno.EROFS if os.statvfs(there).f_flag & os.ST_RDONLY else errno.EACCES
  if why:
    raise OSError(why, os.strerror(why), str(there))


def remove_tree(path: Path) -> None:
  """Deletes a folder and all that is in it; nothing, if it is not there."""
  with contextlib.suppress(FileNotFoundError):
    if is_remote(path):
      path.rmtree()  # type: ignore[attr-defined]
    else:
      shutil.rmtree(path)
