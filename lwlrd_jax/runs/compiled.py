"""Compiled programs, kept for the next sweep: most of what a short one waits for."""

import hashlib
import platform
from pathlib import Path

import jax

from lwlrd_jax.cache import private_folder

# What compiles faster than this is not worth its room on the disk.
_SECONDS = 0.2
# What was not used for longest goes first.
_BYTES = 2 * 2**30


def keep_compiled() -> None:
  """Has JAX keep compiled programs in the cache folder, unless the user has named a folder of his own.

  They are of one kind of processor: a home folder may be shared by machines that differ in it.

  Raises:
    UserError: The folder cannot be made.
  """
  if jax.config.values["jax_compilation_cache_dir"] is not None:  # $JAX_COMPILATION_CACHE_DIR
    return
  jax.config.update("jax_compilation_cache_dir", str(private_folder("compiled") / _processor()))
  jax.config.update("jax_persistent_cache_min_compile_time_secs", _SECONDS)
  jax.config.update("jax_compilation_cache_max_size", _BYTES)


def _processor() -> str:
  """Name of a folder for what this machine's processor can do."""
  described = platform.machine() + platform.processor()
  try:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
  except OSError:  # not Linux
    lines = []
  described += next((line for line in lines if line.startswith(("flags", "Features"))), "")
  return hashlib.sha256(described.encode()).hexdigest()[:12]
