"""What a sweep has found so far: in memory, in its run directory, and among the processes that share the work."""

import contextlib
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from lwlrd_jax.disk.directory import ArrayFile, RunDirectory
from lwlrd_jax.errors import TemporaryFailure
from lwlrd_jax.metrics.measure import Measured
from lwlrd_jax.storage import make_folder, remove_tree
from lwlrd_jax.team import Team

_PARTS, _TABLE = ".parts", "results.parquet"
_ARRAYS: tuple[ArrayFile, ...] = ("samples", "survival", "outcomes")
# Within which what one process has written to a disk is there for the others.
_SEEN_SECONDS = 60.0

Rows = Mapping[str, Mapping[Any, Any]]
# Receives the rows of some members, by name, and all rows that there are.
Observer = Callable[[Rows, Rows], None]


class Found(NamedTuple):
  """What was found of some members, by name: rows of the table, pictures, what is left of a bit, figures by image."""

  rows: dict[str, dict[Any, Any]]
  samples: dict[str, np.ndarray]
  survival: dict[str, np.ndarray]
  outcomes: dict[str, np.ndarray]

  @classmethod
  def nothing(cls) -> "Found":
    """To add to."""
    return cls({}, {}, {}, {})

  @classmethod
  def read(cls, directory: RunDirectory) -> "Found":
    """All that a directory holds."""
    rows = {str(row["member"]): row for row in directory.read_results().to_dict("records")}
    return cls(rows, **{file: directory.read_arrays(file) for file in _ARRAYS})

  def add(self, name: str, row: dict[str, Any], measured: Measured) -> None:
    """Adds a member."""
    self.rows[name] = row
    self.samples[f"member/{name}"] = np.asarray(measured.samples)
    self.survival[name] = np.asarray(measured.survival.planes)
    self.outcomes.update({f"{column}/{name}": values for column, values in measured.outcomes().items()})

  def update(self, found: "Found") -> None:
    """Adds what was found of other members."""
    self.rows.update(found.rows)
    self.samples.update(found.samples)
    self.survival.update(found.survival)
    self.outcomes.update(found.outcomes)


class Store:
  """All of it; `rows` are the table's, by member. Of several processes the first writes it.

  Args:
    directory: Where it is kept.
    team: The processes.
    may_show: Whether pictures of reconstructions may be kept.
    elapsed: Returns the seconds that the run has taken, with those before it was resumed.
    observers: They receive rows once these are on disk; in the beginning those of a run that is resumed.
  """

  def __init__(
    self,
    directory: RunDirectory,
    team: Team,
    *,
    may_show: bool,
    elapsed: Callable[[], float],
    observers: Sequence[Observer] = (),
  ):
    self.directory = directory
    self._team = team
    self._may_show = may_show
    self._elapsed = elapsed
    self._observers = observers if team.is_first else ()
    self._found = Found.read(directory)
    self.rows = self._found.rows
    self._parts = _Parts(directory, team)
    for observe in self._observers:
      observe({}, self.rows)

  def recover(self, order: Sequence[str]) -> None:
    """Adds what an interrupted round had found."""
    left_over = self._parts.left_over()
    self._team.wait("what was left over is read")
    if left_over.rows:
      self._write(left_over, order)
    self.clear()

  def share(self, name: str, found: Found, order: Sequence[str], team: Team) -> None:
    """Adds what each process has found in a round, in all of them; `order` is the table's.

    Raises:
      UserError, TemporaryFailure: Another process failed, or its files cannot be seen from here.
      Stopped: Another process was asked to stop.
    """
    with self._parts.gathered(name, found, team) as whole:
      self._write(whole, order)

  def record(self, **entries: Any) -> None:
    """Replaces entries of config.json."""
    if self._team.is_first:
      self.directory.update_config(**entries)

  def clear(self) -> None:
    """Deletes what processes wrote for each other."""
    if self._team.is_first:
      remove_tree(self.directory.path / _PARTS)

  def _write(self, found: Found, order: Sequence[str]) -> None:
    """Adds what was found, and writes it before the next wave begins."""
    self._found.update(found)
    if not self._team.is_first:
      return
    # A run that was begun without pictures and is resumed with them has no originals to show beside them.
    if self._may_show and "originals" in self._found.samples:
      self.directory.write_arrays("samples", self._found.samples)
    self.directory.write_arrays("survival", self._found.survival)
    self.directory.write_arrays("outcomes", self._found.outcomes)
    self.record(elapsed_seconds=round(self._elapsed(), 1))
    # Last: a member that has a row is done. One that is in no order is of another search, and no reason to lose it.
    ordered = dict.fromkeys([*(member for member in order if member in self.rows), *self.rows])
    self.directory.write_results([self.rows[member] for member in ordered])
    for observe in self._observers:
      observe(found.rows, self.rows)


class _Parts:
  """What each of several processes has found in a round, brought together through the shared run directory."""

  def __init__(self, directory: RunDirectory, team: Team):
    self._folder = directory.path / _PARTS
    # In names of parts: those of an earlier start are others.
    self._start = team.say("a name for this start", lambda: secrets.token_hex(4))

  @contextlib.contextmanager
  def gathered(self, name: str, found: Found, team: Team) -> Iterator[Found]:
    """What all processes have found; parts are on disk until the block, which writes the table, is left."""
    if team.count == 1:
      yield found
      return
    parts = [RunDirectory(self._folder / f"{self._start}-{name}-{number}") for number in range(team.count)]
    mine = parts[team.index]
    make_folder(self._folder, exist_ok=True)
    make_folder(mine.path, exist_ok=True)
    _write(mine, found)
    team.wait(f"parts of {name} are written")
    whole = Found.nothing()
    for part in parts:
      _await(part)
      whole.update(Found.read(part))
    yield whole
    team.wait(f"parts of {name} are in the table")
    if team.is_first:
      for part in parts:
        remove_tree(part.path)

  def left_over(self) -> Found:
    """What an interrupted round had found. A part without a table was never finished."""
    whole = Found.nothing()
    for part in map(RunDirectory, sorted(self._folder.iterdir()) if self._folder.is_dir() else ()):
      if (part.path / _TABLE).is_file():
        whole.update(Found.read(part))
    return whole


def _write(part: RunDirectory, found: Found) -> None:
  for file in _ARRAYS:
    part.write_arrays(file, getattr(found, file))
  part.write_results(list(found.rows.values()))  # last: a part with a table is whole


def _await(part: RunDirectory) -> None:
  limit = time.monotonic() + _SEEN_SECONDS
  while not (part.path / _TABLE).is_file():
    if time.monotonic() > limit:
      raise TemporaryFailure(f"{part.path}: written by another process, and cannot be seen from here")
    time.sleep(0.2)
