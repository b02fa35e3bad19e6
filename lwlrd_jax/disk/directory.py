"""The run directory: who may read it, what is in it, and how it is written so that a kill never leaves half a file."""

import contextlib
import datetime
import io
import json
import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import filelock
import numpy as np
import pandas as pd

from lwlrd_jax.disk.results import results_table
from lwlrd_jax.errors import UserError
from lwlrd_jax.storage import check_writable, is_remote, make_folder, remove_tree, replace_file
from lwlrd_jax.watch.progress import console

# What a sweep that writes here holds on to.
_LOCK, _WRITER = ".lock", ".writer.json"
# What a volume has of its own.
_OF_A_VOLUME = {"lost+found"}
# What a run that was killed before its first config.json leaves behind.
_BEFORE_IT_BEGAN = {_LOCK, _WRITER, ".config.json.new"}
# Of config.json and the directory's layout.
SCHEMA = 1
# What is kept as arrays by name:
# - samples: pictures of reconstructions, u8.
# - survival: what is left of a bit in [0, 1] by layer and plane, f32[layers, 32] by member. Planes count from the least
#   significant: 23 of the mantissa, 8 of the exponent, the sign.
# - outcomes: figures image by image, f32 by "<column>/<member>", whose means are the table's. Of `reid`, `ssim`, `psnr`
#   and `mse` an entry a stolen image; of `auc` and `downstream_auc` an entry a test image, the AUC and its influence on
#   it (`metrics.utility.auc_by_image`).
ArrayFile = Literal["samples", "survival", "outcomes"]


class RunDirectory:
  """One run on disk. Reconstructions and infected models are patients' data: only the owner may enter.

  Attributes:
    path: The folder; what a symbolic link stands for.
  """

  def __init__(self, path: Path):
    # A link would be renamed in place of its folder, and "." has no name that another could be made of.
    follow = not is_remote(path) and (path.is_symlink() or path.name in {"", ".."})
    self.path = Path(os.path.realpath(path)) if follow else path

  @property
  def replaced(self) -> Path:
    """Where `set_aside` keeps what this run replaces: beside it, or inside where nothing can be put beside it."""
    return self._inside if not is_remote(self.path) and self._inside.exists() else self._beside

  @property
  def _beside(self) -> Path:
    return self.path.with_name(f".{self.path.name}.replaced")

  @property
  def _inside(self) -> Path:
    return self.path / ".replaced"

  @staticmethod
  def check(path: Path, *, resume: bool, overwrite: bool) -> None:
    """Refuses a folder that `create` or a resumed run could not use; touches nothing.

    Raises:
      UserError: It names `out`.
    """
    with out_errors(path, "read"):  # a loop of links, a folder that may not be read, a share that is not there
      there = path.exists()
      # What `overwrite` was killed at is in a folder inside.
      is_run = (path / "config.json").is_file() or (overwrite and (path / ".replaced" / "config.json").is_file())
      usable = resume or not there or never_began(path)
    if resume and not is_run:
      raise UserError(f"`resume` `out` {path}: no run there to resume")
    if not usable and not path.is_dir():
      raise UserError(f"`out` {path}: is a file; allowed: a folder to create")
    if not usable and not overwrite:
      raise UserError(f"`out` {path}: exists; allowed: a new folder, or `resume` or `overwrite` beside it")
    if not usable and not is_run:
      raise UserError(f"`out` {path}: holds something that is no run, which `overwrite` does not delete")
    with out_errors(path, "written" if resume or there else "created"):
      check_writable(path)

  @classmethod
  def create(cls, path: Path, *, overwrite: bool) -> "RunDirectory":
    """Makes the folder, mode 0700. What `overwrite` replaces is set aside until `finish`.

    Raises:
      UserError: It cannot be made.
    """
    run = cls(path)
    with out_errors(path, "created"):
      if overwrite:
        run.set_aside()
      make_folder(run.path, exist_ok=True)
    if not is_remote(path) and run.path.stat().st_mode & 0o077:
      console.print(f"`out` {path}: belongs to another user, and others may read what is written there")
    return run

  @contextlib.contextmanager
  def lock(self) -> Iterator[None]:
    """Keeps other sweeps out while one writes here, until the process ends in whatever way; not in a bucket.

    Raises:
      UserError: Another one writes here; it says which.
    """
    if is_remote(self.path):
      yield
      return
    holder = self.path / _WRITER
    lock = filelock.FileLock(self.path / _LOCK)
    with out_errors(self.path, "written"):
      try:
        lock.acquire(blocking=False)
      except filelock.Timeout as error:
        who = "another sweep"
        with contextlib.suppress(OSError, ValueError, KeyError):
          found = json.loads(holder.read_text())
          who = f"process {found['process']} on {found['host']}, since {found['since']},"
        raise UserError(
          f"`out` {self.path}: {who} is writing there; allowed: another folder, or to wait for it"
        ) from error
    try:
      since = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
      with out_errors(self.path, "written"):
        holder.write_text(json.dumps({"process": os.getpid(), "host": socket.gethostname(), "since": since}))
      yield
    finally:
      with contextlib.suppress(OSError):
        holder.unlink(missing_ok=True)
      lock.release()

  def set_aside(self) -> None:
    """Renames the folder, if it is there, until `finish` or `take_back`.

    Where it cannot be renamed, such as a mounted volume, its files are moved into a folder inside it, config.json
    first. After a kill between two of them there is no config.json in the first: the next `set_aside` moves the rest.

    Raises:
      UserError: A sweep is writing there.
      OSError: Its files cannot be moved either.
    """
    if not self.path.exists() or never_began(self.path):
      return
    with self.lock():
      # With the working directory inside, renaming would take relative paths along.
      if is_remote(self.path) or not Path.cwd().is_relative_to(self.path.resolve()):
        try:
          if self._beside.exists():
            remove_tree(self._beside)
          self.path.rename(self._beside)
          return
        except OSError:  # of a mount point it is EBUSY, of the folder above it EACCES, EPERM or EROFS
          if is_remote(self.path):
            raise
      self._empty()

  def _empty(self) -> None:
    if (self.path / "config.json").exists() and self._inside.exists():
      remove_tree(self._inside)  # of a run that this one has replaced and that never finished
    make_folder(self._inside, exist_ok=True)
    stay = {_LOCK, _WRITER, self._inside.name, *_OF_A_VOLUME}
    files = [file for file in self.path.iterdir() if file.name not in stay]
    for file in sorted(files, key=lambda file: file.name != "config.json"):
      file.rename(self._inside / file.name)

  def take_back(self) -> None:
    """Undoes `set_aside`; there is no new run."""
    if self._beside.exists():
      self._beside.rename(self.path)

  def finish(self) -> None:
    """Deletes what this run replaces."""
    for old in (self._beside, self._inside):
      if old.exists():
        remove_tree(old)

  def write_config(self, config: dict[str, Any]) -> None:
    """Writes config.json."""
    self._write_json("config.json", {"schema": SCHEMA, **config})

  def update_config(self, **entries: Any) -> None:
    """Replaces top-level entries of config.json."""
    self.write_config({**self.read_config(), **entries})

  def read_config(self) -> dict[str, Any]:
    """Reads config.json.

    Raises:
      UserError: It is not there, not JSON, or of another schema.
    """
    file = self.path / "config.json"
    try:
      config = json.loads(file.read_text())
    except FileNotFoundError:
      raise UserError(f"{self.path}: no run there (config.json is missing)") from None
    except (OSError, ValueError) as error:
      raise UserError(f"{file}: cannot be read ({error})") from error
    found = config.get("schema") if isinstance(config, dict) else None
    if found != SCHEMA:
      raise UserError(f"{file}: schema {found}, this version reads {SCHEMA}")
    return config

  def write_results(self, rows: Sequence[Mapping[Any, Any]]) -> None:
    """Writes results.parquet."""
    buffer = io.BytesIO()
    results_table(rows).to_parquet(buffer, index=False)
    replace_file(self.path / "results.parquet", buffer.getvalue())

  def read_results(self) -> pd.DataFrame:
    """Reads results.parquet; empty before the first wave is done."""
    file = self.path / "results.parquet"
    return pd.read_parquet(io.BytesIO(file.read_bytes())) if file.exists() else results_table([])

  def write_rate_distortion(self, rows: Sequence[Mapping[str, Any]]) -> None:
    """Writes rate_distortion.json: dicts of codec, setting, bytes_per_image and psnr."""
    self._write_json("rate_distortion.json", list(rows))

  def read_rate_distortion(self) -> list[dict[str, Any]]:
    """Reads rate_distortion.json; empty if there is none."""
    file = self.path / "rate_distortion.json"
    return json.loads(file.read_text()) if file.exists() else []

  def _write_json(self, name: str, content: Any) -> None:
    replace_file(self.path / name, (json.dumps(content, indent=2) + "\n").encode())

  def write_arrays(self, file: ArrayFile, arrays: dict[str, np.ndarray]) -> None:
    """Writes one of the files of arrays; see `ArrayFile`."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    replace_file(self.path / f"{file}.npz", buffer.getvalue())

  def read_arrays(self, file: ArrayFile) -> dict[str, np.ndarray]:
    """Its arrays by name; empty if there is no such file."""
    path = self.path / f"{file}.npz"
    if not path.exists():
      return {}
    with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as arrays:
      return dict(arrays)

  def save(self, name: str, tree: dict[str, Any]) -> None:
    """Writes the checkpoint `name`."""
    from lwlrd_jax.disk.checkpoints import save_tree  # tables are read without JAX  # noqa: PLC0415

    save_tree(self.path / "checkpoints" / name, tree)

  def load(self, name: str) -> dict[str, Any]:
    """Reads the checkpoint `name`; errors as `load_tree`."""
    from lwlrd_jax.disk.checkpoints import load_tree  # noqa: PLC0415

    return load_tree(self.path / "checkpoints" / name)


@contextlib.contextmanager
def out_errors(path: Path, done: str) -> Iterator[None]:
  """Turns an error of the disk into a user's mistake; `done` is what failed: read, written or created."""
  try:
    yield
  except OSError as error:
    allowed = "" if done == "written" else "; allowed: a folder you can write"
    raise UserError(f"`out` {path}: cannot be {done} ({error.strerror}){allowed}") from error


def never_began(path: Path) -> bool:
  """Whether a folder holds no more than a run that was killed before it wrote anything, if that much."""
  return path.is_dir() and {file.name for file in path.iterdir()} <= _BEFORE_IT_BEGAN | _OF_A_VOLUME
