"""What a sweep has found so far, in memory and in its run directory."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from lwlrd_jax.disk.directory import RunDirectory
from lwlrd_jax.metrics.measure import Measured
from lwlrd_jax.team import processes


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
  """All of it.

  Attributes:
    directory: Where it is kept.
    rows: Of the results table, by member.

  Args:
    directory: See above.
    may_show: Whether pictures of reconstructions may be kept.
    elapsed: Seconds the run has taken, parts before it was stopped among them.
  """

  def __init__(self, directory: RunDirectory, *, may_show: bool, elapsed: Callable[[], float]):
    self.directory = directory
    self._may_show = may_show
    self._elapsed = elapsed
    table = directory.read_results()
    self.rows: dict[str, dict[Any, Any]] = {str(row["member"]): row for row in table.to_dict("records")}
    self._found = Found(self.rows, directory.read_samples(), directory.read_survival(), directory.read_outcomes())

  def add(self, found: Found, order: Sequence[str]) -> None:
    """Adds what a wave has found, and writes it down before the next one begins.

    Args:
      found: What it found.
      order: Members in the order of the table.
    """
    self._found.update(found)
    if not processes.is_first():
      return  # the table has one writer
    # A run that was begun without pictures and goes on with them has no originals to show beside them.
    if self._may_show and "originals" in self._found.samples:
      self.directory.write_samples(self._found.samples)
    self.directory.write_survival(self._found.survival)
    self.directory.write_outcomes(self._found.outcomes)
    self.record(elapsed_seconds=round(self._elapsed(), 1))
    # Last: a member that has a row is done. One that is in no order is of another search, and no reason to lose it.
    ordered = dict.fromkeys([*(member for member in order if member in self.rows), *self.rows])
    self.directory.write_results([self.rows[member] for member in ordered])

  def record(self, **entries: Any) -> None:
    """Replaces entries of config.json; of several processes the first does it."""
    if processes.is_first():
      self.directory.update_config(**entries)
