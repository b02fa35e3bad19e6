"""Folders of files that belong together."""

from collections.abc import Iterable
from pathlib import Path

from lwlrd_jax.errors import UserError
from lwlrd_jax.storage import make_folder, replace_file


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
    make_folder(folder, exist_ok=True)
    for name in [path.name for path in folder.glob("*.png")] if stale is None else stale:
      if name not in files:
        (folder / name).unlink(missing_ok=True)
  except OSError as error:
    raise UserError(f"{folder}: cannot be written ({error.strerror})") from error
  for name, content in files.items():
    replace_file(folder / name, content)
