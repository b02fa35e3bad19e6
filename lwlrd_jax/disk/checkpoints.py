"""Orbax checkpoints of plain trees of arrays, with checksums. The only module that knows Orbax."""

import asyncio
import contextlib
import functools
import hashlib
import json
import logging
import re
import secrets
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from lwlrd_jax.disk import orbax_process
from lwlrd_jax.errors import UserError
from lwlrd_jax.storage import is_remote, is_text, make_folder, remove_tree

# Of what is inside a checkpoint: {"schema": i32[], and what was saved}. A reader refuses what it does not know.
SCHEMA = 2
# 1 had no checksums.
_READ = (1, 2)
# Of every other file of a checkpoint, SHA-256 by path. It is written last.
_CHECKSUMS = "checksums.json"


class DamagedCheckpointError(UserError):
  """A checkpoint whose files are not those that were written."""


def save_tree(path: Path, tree: dict[str, Any], *, replace: bool = True) -> None:
  """Writes a tree of arrays as one checkpoint; complete or not there at all.

  The tree is nested dicts of arrays. With `replace` it takes the place of one that is there, which another process may
  be reading. UserError where it cannot be written.
  """
  host = jax.tree.map(np.asarray, tree)
  try:
    orbax_process.call(_save, path, host, replace)
  except (OSError, ValueError) as error:  # of a full disk TensorStore raises a ValueError
    raise UserError(f"{path}: cannot be written ({_first_line(error)})") from error


def load_tree(path: Path) -> dict[str, Any]:
  """Reads what `save_tree` wrote, as nested dicts of NumPy arrays, whatever devices wrote it.

  Raises:
    FileNotFoundError: There is no complete checkpoint.
    DamagedCheckpointError: Its files are not those that were written.
    ValueError: Its schema number is not known.
  """
  if not path.is_dir():
    raise FileNotFoundError(f"{path}: no checkpoint there")
  return orbax_process.call(_load, path)


def _save(path: Path, host: dict[str, Any], replace: bool) -> None:
  if is_remote(path):
    if path.exists():
      remove_tree(path)
    _write_elsewhere(path, host)
    return
  # A name of its own: others may be at the same one.
  new = path.with_name(f".{path.name}.{secrets.token_hex(4)}.new")
  write = _write_here if is_text(new) else _write_elsewhere  # TensorStore takes no other names
  try:
    write(new, host)
    if path.exists() and replace:
      path.rename(new.with_suffix(".old"))
    if not path.exists():
      new.rename(path)
  finally:
    for left_over in path.parent.glob(f"{new.stem}*"):  # Orbax has a name of its own for what is not complete
      shutil.rmtree(left_over, ignore_errors=True)


def clear_unfinished(folder: Path) -> None:
  """Deletes what killed processes had begun to write or to replace, in a folder that no other process writes to."""
  if not is_remote(folder):
    for begun in folder.glob(".*"):
      shutil.rmtree(begun, ignore_errors=True)


def _write_here(folder: Path, host: dict[str, Any]) -> None:
  _ignore_late_answers()
  # Not the asynchronous one, whose threads outlive an error.
  with _quiet(), ocp.Checkpointer(ocp.StandardCheckpointHandler()) as checkpointer:
    checkpointer.save(folder.absolute(), args=ocp.args.StandardSave({"schema": np.int32(SCHEMA), **host}))
  (folder / _CHECKSUMS).write_text(json.dumps(_checksums(folder), indent=1))


def _write_elsewhere(folder: Path, host: dict[str, Any]) -> None:
  with tempfile.TemporaryDirectory() as local:
    _write_here(Path(local) / "tree", host)
    _copy(Path(local) / "tree", folder)


def _load(path: Path) -> dict[str, Any]:
  with _on_disk(path) as folder:
    known = _check(path, folder)
    try:
      with _quiet(), ocp.StandardCheckpointer() as checkpointer:
        saved = checkpointer.metadata(folder.absolute()).item_metadata
        # As NumPy arrays: the devices that wrote it need not be here.
        wanted = jax.tree.map(lambda leaf: np.empty(leaf.shape, leaf.dtype), saved.tree)
        tree = checkpointer.restore(folder.absolute(), wanted)
    except Exception as error:  # whatever Orbax makes of files that are not its own
      if known:
        raise
      raise DamagedCheckpointError(f"{path}: damaged, cannot be read ({_first_line(error)})") from error
  schema = int(tree.pop("schema"))
  if schema not in _READ:
    raise ValueError(f"{path}: checkpoint schema {schema}, this version reads {' and '.join(map(str, _READ))}")
  if schema > 1 and not known:
    raise DamagedCheckpointError(f"{path}: damaged, {_CHECKSUMS} is missing")
  return tree


@functools.cache
def _ignore_late_answers() -> None:
  """Keeps TensorStore's threads from printing tracebacks after one write of a checkpoint has failed.

  Orbax closes its event loops then and waits for no other write; those that end later print that they were not awaited.
  """
  new_event_loop = asyncio.new_event_loop

  def new() -> asyncio.AbstractEventLoop:
    loop = new_event_loop()
    call = loop.call_soon_threadsafe

    def call_if_open(*args: Any, **options: Any) -> Any:
      try:
        return call(*args, **options)
      except RuntimeError:
        if not loop.is_closed():
          raise

    if sys._getframe(1).f_globals.get("__name__", "").startswith("orbax."):
      loop.call_soon_threadsafe = call_if_open  # type: ignore[assignment, method-assign]
    return loop

  asyncio.new_event_loop = new


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
  """Keeps Orbax from logging pages of what it raises as well."""
  before = logging.root.manager.disable
  logging.disable(logging.CRITICAL)
  try:
    yield
  finally:
    logging.disable(before)


@contextlib.contextmanager
def _on_disk(path: Path) -> Iterator[Path]:
  """The checkpoint's folder; a copy, if it is in a bucket or has a name that TensorStore does not take."""
  if not is_remote(path) and is_text(path):
    yield path
    return
  with tempfile.TemporaryDirectory() as local:
    _copy(path, Path(local))
    yield Path(local)


def _copy(folder: Path, target: Path) -> None:
  """Copies a checkpoint; its checksums last, without which it is none."""
  make_folder(target, exist_ok=True)
  for path in sorted(folder.iterdir(), key=lambda path: path.name == _CHECKSUMS):
    if path.is_dir():
      _copy(path, target / path.name)
    else:
      (target / path.name).write_bytes(path.read_bytes())


def _check(path: Path, folder: Path) -> bool:
  """Whether a checkpoint has checksums; refuses it if they are not its files'."""
  file = folder / _CHECKSUMS
  if not file.is_file():
    return False
  found = _checksums(folder)
  try:
    written = dict(json.loads(file.read_text()).items())
  except (ValueError, AttributeError) as error:
    raise DamagedCheckpointError(f"{path}: damaged, {_CHECKSUMS} cannot be read") from error
  for names, what in (
    (written.keys() - found.keys(), "is missing"),
    (found.keys() - written.keys(), "is new"),
    ({name for name in written if written[name] != found.get(name)}, "is not what was written"),
  ):
    if names:
      raise DamagedCheckpointError(f"{path}: damaged, {min(names)} {what}")
  return True


def _checksums(folder: Path) -> dict[str, str]:
  """Of all files but themselves."""
  files = sorted(path for path in folder.rglob("*") if path.is_file() and path != folder / _CHECKSUMS)
  return {file.relative_to(folder).as_posix(): _checksum(file) for file in files}


def _checksum(file: Path) -> str:
  with file.open("rb") as content:
    return hashlib.file_digest(content, "sha256").hexdigest()


def _first_line(error: Exception) -> str:
  """What is wrong: of TensorStore's long message the system's own words, which stand last, with a number."""
  first = str(error).strip().split("\n")[0]
  said = re.search(r"([^:]+) \[os_error_code='\d+'", first) or re.search(r"\[Errno \d+\] ([^:]+)", first)
  return said[1].strip() if said else first[:300] or type(error).__name__
