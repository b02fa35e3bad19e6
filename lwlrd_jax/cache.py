"""The one folder outside run directories in which the package keeps anything."""

import functools
import os
import sys
import tempfile
from pathlib import Path

import platformdirs

from lwlrd_jax.errors import UserError


def cache_dir() -> Path:
  """The cache folder, made if need be: `$LWLRD_JAX_CACHE`, or the platform's place for caches; an absolute path.

  It holds data sets and infected models, as sensitive as patients' images: a folder made here is its owner's alone. One
  that exists keeps its mode; `private_folder` makes what lies inside. A user without a home, such as a container's, has
  it in the folder for temporary files, which is reported.

  Returns:
    An absolute path to an existing folder.

  Raises:
    UserError: The folder cannot be made.
  """
  configured = os.environ.get("LWLRD_JAX_CACHE")
  try:
    return _made(Path(configured or platformdirs.user_cache_dir("lwlrd_jax")).expanduser())
  except (RuntimeError, OSError) as error:
    if not configured:
      return _temporary()
    if isinstance(error, RuntimeError):
      raise _refused(f"{configured}: there is no such home") from error
    raise _refused(f"cannot make the cache folder {Path(configured).absolute()} ({error.strerror})") from error


def private_folder(name: str) -> Path:
  """A folder of the cache that only its owner may enter, made if need be, mode 0700.

  Raises:
    UserError: It cannot be made.
  """
  folder = cache_dir() / name
  try:
    folder.mkdir(mode=0o700, exist_ok=True)
  except OSError as error:
    raise _refused(f"cannot make the folder {folder} ({error.strerror})") from error
  return folder


def _refused(why: str) -> UserError:
  return UserError(f"$LWLRD_JAX_CACHE: {why}; set it to a folder you may write to")


def _made(folder: Path) -> Path:
  folder = folder.absolute()
  folder.mkdir(mode=0o700, parents=True, exist_ok=True)
  return folder


def _temporary() -> Path:
  """The cache of a user who has no home that may be written; theirs alone, or none."""
  uid = os.getuid()
  try:
    folder = _made(Path(tempfile.gettempdir()) / f"lwlrd_jax-{uid}")
    found = folder.lstat()
  except OSError as error:
    raise _refused(f"not set, and no home to write to ({error.strerror})") from error
  # Every user may write to the folder above it, and can have made this one.
  if folder.is_symlink() or found.st_uid != uid or found.st_mode & 0o077:
    raise _refused(f"not set, no home to write to, and {folder} is not yours alone")
  _report_once(f"no home to write to: the cache is {folder}; $LWLRD_JAX_CACHE may name another")
  return folder


@functools.cache
def _report_once(line: str) -> None:
  print(line, file=sys.stderr)
