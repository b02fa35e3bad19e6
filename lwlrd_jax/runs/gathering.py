"""What each of several processes has found of a round, brought together through the run directory they share."""

import functools
import itertools
import secrets
import time
from collections.abc import Iterator

from lwlrd_jax.disk.directory import RunDirectory
from lwlrd_jax.errors import TemporaryFailure
from lwlrd_jax.runs.store import Found
from lwlrd_jax.storage import make_folder, remove_tree
from lwlrd_jax.team import processes

_FOLDER, _TABLE = ".parts", "results.parquet"
# Within which what one process has written to a disk is there for the others.
_SEEN_SECONDS = 60.0
_numbers = itertools.count()


def gather(found: Found, directory: RunDirectory) -> Found:
  """What all processes have found, in all of them. What a process has found is on disk from then on.

  Args:
    found: What this one found; each process calls this as often as the others.
    directory: The run, in a folder that all of them see.

  Raises:
    UserError, TemporaryFailure: Another one failed, or what it wrote is not to be seen.
    Stopped: Another one was asked to stop.
  """
  if processes.count() == 1:
    return found
  folder = directory.path / _FOLDER
  name = f"{_start()}-{next(_numbers)}"
  part = RunDirectory(folder / f"{name}-{processes.index()}")
  make_folder(folder, exist_ok=True)
  make_folder(part.path, exist_ok=True)
  _write(part, found)
  processes.wait("parts are written")
  whole = Found.nothing()
  for number in range(processes.count()):
    whole.update(_read(RunDirectory(folder / f"{name}-{number}")))
  return whole


def forget(directory: RunDirectory) -> None:
  """Deletes the parts of a round, once what is in them is in the run's table: the first process does, for all."""
  processes.wait("parts are in the table")
  if processes.is_first():
    name = f"{_start()}-{next(_forgotten)}"
    for number in range(processes.count()):
      remove_tree(directory.path / _FOLDER / f"{name}-{number}")


def left_over(directory: RunDirectory) -> Found:
  """What a round that was broken off had found. A part without a table was never finished."""
  whole = Found.nothing()
  for part in _parts(directory):
    if (part.path / _TABLE).is_file():
      whole.update(_read(part))
  return whole


def clear(directory: RunDirectory) -> None:
  """Deletes all parts."""
  remove_tree(directory.path / _FOLDER)


_forgotten = itertools.count()


@functools.cache
def _start() -> str:
  """Tells parts of this start of the processes from what an earlier one left."""
  return processes.say(lambda: secrets.token_hex(4))


def _parts(directory: RunDirectory) -> Iterator[RunDirectory]:
  folder = directory.path / _FOLDER
  yield from map(RunDirectory, sorted(folder.iterdir()) if folder.is_dir() else ())


def _write(part: RunDirectory, found: Found) -> None:
  part.write_samples(found.samples)
  part.write_survival(found.survival)
  part.write_outcomes(found.outcomes)
  part.write_results(list(found.rows.values()))  # last: a part with a table is whole


def _read(part: RunDirectory) -> Found:
  limit = time.monotonic() + _SEEN_SECONDS
  while not (part.path / _TABLE).is_file():
    if time.monotonic() > limit:
      raise TemporaryFailure(f"{part.path}: written by another process, and not to be seen from here")
    time.sleep(0.2)
  rows = {str(row["member"]): row for row in part.read_results().to_dict("records")}
  return Found(rows, part.read_samples(), part.read_survival(), part.read_outcomes())
