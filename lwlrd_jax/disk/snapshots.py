"""Unfinished members on disk: how far a wave's fine-tuning has come, so that a kill costs minutes and not hours.

A snapshot is a checkpoint, and an index of whose it is that names it. A new one is complete before the index is
swapped, and the old one goes after that: a kill leaves one or the other.
"""

import contextlib
import functools
import hashlib
import json
import secrets
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from lwlrd_jax.disk.checkpoints import DamagedCheckpointError, load_tree, save_tree
from lwlrd_jax.engine.population import Reached
from lwlrd_jax.storage import make_folder, remove_tree, replace_file
from lwlrd_jax.watch.progress import console

_FOLDER = ".snapshots"


class SnapshotFolder:
  """Snapshots of a run. What is in it when a run begins or is resumed is read once: every process sees the same.

  `reached` has the steps that members had taken, by name; `every` are seconds between two snapshots of a wave.
  """

  def __init__(self, run: Path, every: float):
    self.every = every
    self._load = functools.lru_cache(1)(load_tree)  # the members of a wave are next to each other
    self._folder = run / _FOLDER
    self._place: dict[str, tuple[Path, int]] = {}
    self.reached: dict[str, int] = {}
    for index in _indices(self._folder):
      for i, name in enumerate(index.members):
        if index.steps > self.reached.get(name, 0):  # a member may be in several, of waves that were dealt otherwise
          self._place[name] = (index.snapshot, i)
          self.reached[name] = index.steps

  def of(self, members: Sequence[str]) -> "WaveSnapshots":
    """Those of a wave, whose members had all come equally far."""
    return WaveSnapshots(self, members)

  def load(self, member: str) -> Reached:
    """How far one member had come; its arrays without an axis of members.

    Raises:
      DamagedCheckpointError: It is damaged.
      FileNotFoundError: It is gone.
    """
    snapshot, i = self._place[member]
    tree = self._load(snapshot)
    leaves, losses = tree["leaves"], tree["losses"]
    return Reached(losses.shape[1], [leaves[leaf][i] for leaf in sorted(leaves)], losses[i])

  def save(self, members: Sequence[str], reached: Reached) -> None:
    """Keeps how far a wave has come, in the place of what was kept of it before."""
    make_folder(self._folder, exist_ok=True)
    wave = hashlib.sha256(json.dumps(list(members)).encode()).hexdigest()[:16]
    snapshot = self._folder / f"{wave}-{secrets.token_hex(4)}"
    leaves = {f"{i:04}": leaf for i, leaf in enumerate(reached.leaves)}
    save_tree(snapshot, {"leaves": leaves, "losses": reached.losses})
    entry = {"snapshot": snapshot.name, "members": list(members), "steps": reached.steps}
    replace_file(self._folder / f"{wave}.json", json.dumps(entry).encode())
    for old in self._folder.glob(f"{wave}-*"):
      if old != snapshot:
        remove_tree(old)

  def drop(self, done: Collection[str]) -> None:
    """Deletes those of members that are in the run's table, all of them."""
    for index in _indices(self._folder):
      if set(index.members) <= set(done):
        index.file.unlink(missing_ok=True)
        remove_tree(index.snapshot)


class WaveSnapshots:
  """Snapshots of one wave, as `engine.population.Snapshots` has them."""

  def __init__(self, folder: SnapshotFolder, members: Sequence[str]):
    self._folder = folder
    self._members = members
    self._kept = time.monotonic()

  def restore(self) -> Reached | None:
    """How far the members had come, if they had begun, and if what is known of it can be read."""
    if self._members[0] not in self._folder.reached:
      return None
    try:
      each = [self._folder.load(member) for member in self._members]
    except (DamagedCheckpointError, FileNotFoundError) as error:
      console.print(f"snapshot of {self._members[0]} and others: {error}; they start again")
      return None
    console.print(f"resumed with {len(each)} members after {each[0].steps} steps")
    leaves = [np.stack(leaves) for leaves in zip(*(one.leaves for one in each), strict=True)]
    return Reached(each[0].steps, leaves, np.stack([one.losses for one in each]))

  def keep(self, reached: Callable[[], Reached]) -> None:
    """Keeps how far they have come, every so often."""
    if time.monotonic() - self._kept > self._folder.every:
      self.keep_now(reached)

  def keep_now(self, reached: Callable[[], Reached]) -> None:
    """Keeps how far they have come."""
    self._folder.save(self._members, reached())
    self._kept = time.monotonic()


def remove_snapshots(run: Path) -> None:
  """Deletes all snapshots of a run that is finished."""
  remove_tree(run / _FOLDER)


class _Index(NamedTuple):
  """Whose a snapshot is: members in the order of its arrays' first axis, and the steps that all of them had taken."""

  file: Path
  snapshot: Path
  members: list[str]
  steps: int


def _indices(folder: Path) -> Iterator[_Index]:
  """Whose there are. Another process may be deleting some."""
  for file in sorted(folder.glob("*.json")) if folder.is_dir() else ():
    with contextlib.suppress(FileNotFoundError):
      entry = json.loads(file.read_text())
      snapshot = folder / entry["snapshot"]
      if snapshot.is_dir():
        yield _Index(file, snapshot, entry["members"], entry["steps"])
