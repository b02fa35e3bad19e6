"""A store that tells what it is given: in the log, and to the trackers of `--track`."""

from collections.abc import Sequence
from typing import Any

from lwlrd_jax.config.parse import parse_track
from lwlrd_jax.disk.directory import RunDirectory
from lwlrd_jax.runs.store import Found, Store
from lwlrd_jax.runs.track import Trackers
from lwlrd_jax.watch.log import event

# What the log says of a member; the table has the rest.
_COLUMNS = (
  *("member", "attack", "defense", "decay", "lr_max", "finish", "seed", "status"),
  *("accuracy", "auc", "auc_val", "reid", "ssim", "ber", "downstream_auc", "surviving_bytes", "seconds"),
)


class WatchedStore(Store):
  """See `Store`. Trackers are given at once what the run had before, if it goes on and they do not have it.

  Args:
    directory: As of `Store`.
    track: `--track`.
    **others: As of `Store`.
  """

  def __init__(self, directory: RunDirectory, *, track: str, **others: Any):
    super().__init__(directory, **others)
    self._trackers = Trackers(parse_track(track), directory)
    self._trackers.record(self.rows)

  def add(self, found: Found, order: Sequence[str]) -> None:
    """As of `Store`; what is told is on disk."""
    super().add(found, order)
    for row in found.rows.values():
      event("member_done", **{column: row[column] for column in _COLUMNS if row.get(column) is not None})
    self._trackers.record(self.rows)
