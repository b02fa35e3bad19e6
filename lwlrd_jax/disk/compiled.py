"""Compiled programs, kept for the next sweep: most of what a short one waits for."""

import contextlib
import hashlib
import os
import platform
import warnings
from pathlib import Path

import jax

from lwlrd_jax.cache import private_folder
from lwlrd_jax.jax_internals import setting
from lwlrd_jax.storage import is_remote
from lwlrd_jax.watch.progress import console

# Of the folder, when a sweep starts.
_BYTES = 2 * 2**30
# As large as most programs are.
_PROBE = 2**16


def keep_compiled() -> None:
  """Has JAX keep compiled programs in the cache folder, unless the user has named a folder of their own.

  They are of one kind of processor: a home folder may be shared by machines that differ in it.

  Raises:
    UserError: The folder cannot be made.
  """
  # JAX warns of each program by itself, of which there are hundreds.
  warnings.filterwarnings("ignore", "Error (reading|writing) persistent compilation cache entry", UserWarning)
  if (named := setting("jax_compilation_cache_dir")) is not None:  # $JAX_COMPILATION_CACHE_DIR
    if not is_remote(named):
      _warn_if_full(Path(named))
    return
  folder = private_folder("compiled") / _processor()
  _warn_if_full(folder)
  jax.config.update("jax_compilation_cache_dir", str(folder))
  # The smallest as well: a sweep begins with a few hundred, which take seconds together.
  jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
  prune(folder, _BYTES)


def _warn_if_full(folder: Path) -> None:
  """Reports a folder to which nothing can be added; what is in it may still be read."""
  probe = folder / f".probe-{os.getpid()}"
  try:
    folder.mkdir(parents=True, exist_ok=True)
    probe.write_bytes(bytes(_PROBE))
  except OSError as error:
    console.print(f"{folder}: cannot be written ({error.strerror}); compiled programs are not kept for the next sweep")
  finally:
    with contextlib.suppress(OSError):
      probe.unlink(missing_ok=True)


def prune(folder: Path, limit: int) -> None:
  """Removes what was read longest ago, until a folder's files are no larger than a limit in bytes.

  JAX can do that too, but looks at every file whenever it adds one. Where reading leaves no trace (`noatime`), what was
  written longest ago goes.
  """
  files = []
  for path in folder.rglob("*"):
    with contextlib.suppress(OSError):  # another process may have been faster
      stat = path.stat()
      if path.is_file():
        files.append((max(stat.st_atime, stat.st_mtime), stat.st_size, path))
  total = 0
  for _, size, path in sorted(files, reverse=True):
    total += size
    if total > limit:
      with contextlib.suppress(OSError):
        path.unlink()


def _processor() -> str:
  """Name of a folder for what this machine's processor can do."""
  described = platform.machine() + platform.processor()
  try:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
  except OSError:  # not Linux
    lines = []
  described += next((line for line in lines if line.startswith(("flags", "Features"))), "")
  return hashlib.sha256(described.encode()).hexdigest()[:12]
