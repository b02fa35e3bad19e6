"""Files that readers see whole or not at all."""

import os
from collections.abc import Iterable
from pathlib import Path

from lwlrd_jax.errors import UserError


def replace_file(path: Path, content: bytes) -> None:
  """Writes beside the file, then swaps.

  Raises:
    UserError: The folder cannot be written.
  """
  temporary = path.with_name(f".{path.name}.new")
  try:
    temporary.write_bytes(content)
    os.replace(temporary, path)
  except OSError as error:
    temporary.unlink(missing_ok=True)
    raise UserError(f"{path}: cannot be written ({error.strerror})") from error


def replace_folder(folder: Path, files: dict[str, bytes], stale: Iterable[str] | None = None) -> None:
  """Writes files into a folder, made for its owner alone; earlier ones go.

  A picture of an earlier report must not outlive the right to show it.

  Args:
    folder: The folder; the one above it is there.
    files: Content by name.
    stale: Names of the earlier ones, in the folder itself. Default: all PNGs in it.

  Raises:
    UserError: The folder cannot be written.
  """
  try:
    folder.mkdir(mode=0o700, exist_ok=True)
    for name in [path.name for path in folder.glob("*.png")] if stale is None else stale:
      if name not in files:
        (folder / name).unlink(missing_ok=True)
  except OSError as error:
    raise UserError(f"{folder}: cannot be written ({error.strerror})") from error
  for name, content in files.items():
    replace_file(folder / name, content)
