"""What each of several processes has found of a round, brought together through the run directory they share."""

import itertools
from collections.abc import Iterator

from lwlrd_jax import processes
from lwlrd_jax.runs.directory import RunDirectory
from lwlrd_jax.runs.store import Found
from lwlrd_jax.storage import make_folder, remove_tree

_numbers = itertools.count()


def gather(found: Found, directory: RunDirectory) -> Found:
  """What all processes have found, in all of them. What a process has found is on disk from then on.

  Args:
    found: What this one found; each process calls this as often as the others.
    directory: The run, in a folder that all of them see.

  Raises:
    UserError: Another one failed.
    Stopped: Another one was asked to stop.
  """
  if processes.count() == 1:
    return found
  name = f"{next(_numbers)}"
  folder = directory.path / ".parts"
  part = RunDirectory(folder / f"{name}-{processes.index()}")
  make_folder(folder, exist_ok=True)
  make_folder(part.path, exist_ok=True)
  _write(part, found)
  processes.wait(f"part {name} is written")
  parts = [_read(RunDirectory(folder / f"{name}-{number}")) for number in range(processes.count())]
  whole = Found.nothing()
  for one in parts:
    whole.update(one)
  return whole


def forget(directory: RunDirectory) -> None:
  """Deletes this process's parts: what is in them is in the run's table."""
  processes.wait("the table is written")
  for part in _parts(directory):
    if part.path.name.endswith(f"-{processes.index()}"):
      remove_tree(part.path)


def left_over(directory: RunDirectory) -> Found:
  """What a round that was broken off had found. A part without a table was never finished."""
  whole = Found.nothing()
  for part in _parts(directory):
    if (part.path / "results.parquet").is_file():
      whole.update(_read(part))
  return whole


def clear(directory: RunDirectory) -> None:
  """Deletes all parts."""
  if (directory.path / ".parts").is_dir():
    remove_tree(directory.path / ".parts")


def _parts(directory: RunDirectory) -> Iterator[RunDirectory]:
  folder = directory.path / ".parts"
  yield from map(RunDirectory, sorted(folder.iterdir()) if folder.is_dir() else ())


def _write(part: RunDirectory, found: Found) -> None:
  part.write_samples(found.samples)
  part.write_survival(found.survival)
  part.write_outcomes(found.outcomes)
  part.write_results(list(found.rows.values()))  # last: a part with a table is whole


def _read(part: RunDirectory) -> Found:
  rows = {str(row["member"]): row for row in part.read_results().to_dict("records")}
  return Found(rows, part.read_samples(), part.read_survival(), part.read_outcomes())
