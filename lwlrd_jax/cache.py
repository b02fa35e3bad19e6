"""The one folder outside run directories in which the package keeps anything."""

import os
from pathlib import Path

import platformdirs

from lwlrd_jax.errors import UserError


def cache_dir() -> Path:
  """The cache folder, made if need be: `$LWLRD_JAX_CACHE`, or the platform's place for caches.

  It holds data sets and infected models, as sensitive as patients' images, so only its owner may enter.

  Returns:
    An absolute path to an existing folder, mode 0700 if it is ours.

  Raises:
    UserError: The folder cannot be made.
  """
  configured = os.environ.get("LWLRD_JAX_CACHE")
  folder = Path(configured or platformdirs.user_cache_dir("lwlrd_jax")).expanduser().absolute()
  try:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    # A folder shared with us by its owner keeps its mode; Windows has no such modes.
    if os.name == "posix" and folder.stat().st_uid == os.getuid():
      folder.chmod(0o700)
  except OSError as error:
    raise UserError(
      f"$LWLRD_JAX_CACHE: cannot make the cache folder {folder} ({error.strerror}); set it to a folder you may write to"
    ) from error
  return folder
