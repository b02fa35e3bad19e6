"""The one folder outside run directories in which the package keeps anything."""

import os
from pathlib import Path

import platformdirs

from lwlrd_jax.errors import UserError


def cache_dir() -> Path:
  """The cache folder, made if need be: `$LWLRD_JAX_CACHE`, or the platform's place for caches.

  It holds data sets and infected models, as sensitive as patients' images: a folder made here is its owner's alone. One
  that exists keeps its mode, which is its owner's choice; `private_folder` makes what lies inside.

  Returns:
    An absolute path to an existing folder.

  Raises:
    UserError: The folder cannot be made.
  """
  configured = os.environ.get("LWLRD_JAX_CACHE")
  folder = Path(configured or platformdirs.user_cache_dir("lwlrd_jax")).expanduser().absolute()
  try:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
  except OSError as error:
    raise UserError(
      f"$LWLRD_JAX_CACHE: cannot make the cache folder {folder} ({error.strerror}); set it to a folder you may write to"
    ) from error
  return folder


def private_folder(name: str) -> Path:
  """A folder of the cache that only its owner may enter, made if need be, mode 0700.

  Raises:
    UserError: It cannot be made.
  """
  folder = cache_dir() / name
  try:
    folder.mkdir(mode=0o700, exist_ok=True)
  except OSError as error:
    raise UserError(f"$LWLRD_JAX_CACHE: cannot make the folder {folder} ({error.strerror})") from error
  return folder
