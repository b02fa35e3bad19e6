"""The run directory: who may read it, what is in it, and how it is written so that a kill never leaves half a file."""

import contextlib
import datetime
import io
import json
import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import filelock
import numpy as np
import pandas as pd

from lwlrd_jax.errors import UserError
from lwlrd_jax.runs.results import results_table
from lwlrd_jax.storage import is_remote, make_folder, remove_tree, replace_file

# What a run that was killed before its first config.json leaves behind.
_BEFORE_IT_BEGAN = {".lock", ".writer.json", ".config.json.new"}
# Of config.json and the directory's layout.
SCHEMA = 1


class RunDirectory:
  """One run on disk. Reconstructions and infected models are patients' data: only the owner may enter.

  Attributes:
    path: The folder.
  """

  def __init__(self, path: Path):
    self.path = path

  @property
  def replaced(self) -> Path:
    """Where `set_aside` keeps what this run replaces."""
    return self.path.with_name(f".{self.path.name}.replaced")

  @staticmethod
  def check(path: Path, *, resume: bool, overwrite: bool) -> None:
    """Refuses a folder that `create` or a resumed run could not use; touches nothing.

    Raises:
      UserError: It names `--out`.
    """
    is_run = (path / "config.json").is_file()
    if resume and not is_run:
      raise UserError(f"--resume --out {path}: no run there to go on with")
    if resume or not path.exists() or never_began(path):
      return
    if not path.is_dir():
      raise UserError(f"--out {path}: is a file; allowed: a folder to create")
    if overwrite and (is_run or not any(path.iterdir())):
      return
    if overwrite:
      raise UserError(f"--out {path}: holds something that is no run, which --overwrite does not delete")
    raise UserError(f"--out {path}: exists; allowed: a new folder, or --resume or --overwrite beside it")

  @classmethod
  def create(cls, path: Path, *, overwrite: bool) -> "RunDirectory":
    """Makes the folder, mode 0700. What `--overwrite` replaces is set aside until `finish`.

    Raises:
      UserError: It cannot be made.
    """
    run = cls(path)
    try:
      if overwrite:
        run.set_aside()
      make_folder(path, exist_ok=True)
    except OSError as error:
      raise UserError(f"--out {path}: cannot be created ({error.strerror}); allowed: a folder you can write") from error
    return run

  @contextlib.contextmanager
  def lock(self) -> Iterator[None]:
    """Keeps other sweeps out while one writes here; a process that ends, however it does, gives it up.

    There is no such thing in a bucket.

    Raises:
      UserError: Another one writes here; it says which.
    """
    if is_remote(self.path):
      yield
      return
    holder = self.path / ".writer.json"
    lock = filelock.FileLock(self.path / ".lock")
    try:
      lock.acquire(blocking=False)
    except filelock.Timeout as error:
      who = "another sweep"
      with contextlib.suppress(OSError, ValueError, KeyError):
        found = json.loads(holder.read_text())
        who = f"process {found['process']} on {found['host']}, since {found['since']},"
      raise UserError(
        f"--out {self.path}: {who} is writing there; allowed: another folder, or to wait for it"
      ) from error
    except OSError as error:
      raise UserError(f"--out {self.path}: cannot be written ({error.strerror})") from error
    try:
      since = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
      me = {"process": os.getpid(), "host": socket.gethostname(), "since": since}
      try:
        holder.write_text(json.dumps(me))
      except OSError as error:
        raise UserError(f"--out {self.path}: cannot be written ({error.strerror})") from error
      yield
    finally:
      with contextlib.suppress(OSError):
        holder.unlink(missing_ok=True)
      lock.release()

  def set_aside(self) -> None:
    """Renames the folder, if it is there, until `finish` or `take_back`.

    Raises:
      UserError: A sweep is writing there.
    """
    if self.path.exists():
      with self.lock():
        if self.replaced.exists():
          remove_tree(self.replaced)
        self.path.rename(self.replaced)

  def take_back(self) -> None:
    """Undoes `set_aside`; there is no new run."""
    if self.replaced.exists():
      self.replaced.rename(self.path)

  def finish(self) -> None:
    """Deletes what this run replaces."""
    if self.replaced.exists():
      remove_tree(self.replaced)

  def write_config(self, config: dict[str, Any]) -> None:
    """Writes config.json."""
    text = json.dumps({"schema": SCHEMA, **config}, indent=2)
    replace_file(self.path / "config.json", (text + "\n").encode())

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
    if not isinstance(config, dict) or config.get("schema") != SCHEMA:
      found = config.get("schema") if isinstance(config, dict) else None
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

  def write_samples(self, samples: dict[str, np.ndarray]) -> None:
    """Writes samples.npz, pictures of reconstructions: u8 arrays by name."""
    self._write_arrays("samples.npz", samples)

  def read_samples(self) -> dict[str, np.ndarray]:
    """Reads samples.npz; empty if there is none."""
    return self._read_arrays("samples.npz")

  def write_survival(self, survival: dict[str, np.ndarray]) -> None:
    """Writes survival.npz, what is left of a bit in [0, 1] by layer and plane: f32[layers, 32] by member.

    Planes count from the least significant: 23 of the mantissa, 8 of the exponent, the sign.
    """
    self._write_arrays("survival.npz", survival)

  def read_survival(self) -> dict[str, np.ndarray]:
    """Reads survival.npz; empty if there is none."""
    return self._read_arrays("survival.npz")

  def write_outcomes(self, outcomes: dict[str, np.ndarray]) -> None:
    """Writes outcomes.npz: figures image by image, f32 arrays by "<column>/<member>", whose means are the table's.

    Of `reid`, `ssim`, `psnr` and `mse` an entry a stolen image; of `auc` and `downstream_auc` an entry a test image,
    the AUC and its influence on it (`metrics.utility.auc_by_image`).
    """
    self._write_arrays("outcomes.npz", outcomes)

  def read_outcomes(self) -> dict[str, np.ndarray]:
    """Reads outcomes.npz; empty if there is none."""
    return self._read_arrays("outcomes.npz")

  def write_rate_distortion(self, rows: Sequence[Mapping[str, Any]]) -> None:
    """Writes rate_distortion.json: dicts of codec, setting, bytes_per_image and psnr."""
    text = json.dumps(list(rows), indent=2)
    replace_file(self.path / "rate_distortion.json", (text + "\n").encode())

  def read_rate_distortion(self) -> list[dict[str, Any]]:
    """Reads rate_distortion.json; empty if there is none."""
    file = self.path / "rate_distortion.json"
    return json.loads(file.read_text()) if file.exists() else []

  def save(self, name: str, tree: dict[str, Any]) -> None:
    """Writes the checkpoint `name`."""
    from lwlrd_jax.runs.checkpoints import save_tree  # tables are read without JAX  # noqa: PLC0415

    save_tree(self.path / "checkpoints" / name, tree)

  def load(self, name: str) -> dict[str, Any]:
    """Reads the checkpoint `name`; errors as `load_tree`."""
    from lwlrd_jax.runs.checkpoints import load_tree  # noqa: PLC0415

    return load_tree(self.path / "checkpoints" / name)

  def _write_arrays(self, name: str, arrays: dict[str, np.ndarray]) -> None:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    replace_file(self.path / name, buffer.getvalue())

  def _read_arrays(self, name: str) -> dict[str, np.ndarray]:
    file = self.path / name
    if not file.exists():
      return {}
    with np.load(io.BytesIO(file.read_bytes()), allow_pickle=False) as arrays:
      return dict(arrays)


def never_began(path: Path) -> bool:
  """Whether a folder holds no more than a run that was killed before it wrote anything."""
  return path.is_dir() and any(path.iterdir()) and {file.name for file in path.iterdir()} <= _BEFORE_IT_BEGAN
