"""Unfinished members on disk: how far a wave's fine-tuning has come, so that a kill costs minutes and not hours."""

import functools
import hashlib
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lwlrd_jax import stopping
from lwlrd_jax.engine.population import Reached
from lwlrd_jax.progress import console
from lwlrd_jax.runs.checkpoints import load_tree, save_tree
from lwlrd_jax.storage import make_folder, remove_tree, replace_file

_FOLDER = ".snapshots"


class SnapshotFolder:
  """Snapshots of a run. What is in it when a run begins or goes on is read once: every process sees the same.

  Attributes:
    reached: Steps that a member had taken, by name; of those that had begun.

  Args:
    run: The run's directory.
    every: Seconds between two snapshots of a wave.
  """

  def __init__(self, run: Path, every: float):
    self._folder = folder = run / _FOLDER
    self._every = every
    self._load = functools.lru_cache(1)(_load)  # the members of a wave are next to each other
    self._place: dict[str, tuple[str, int]] = {}
    self.reached: dict[str, int] = {}
    for index in sorted(folder.glob("*.json")) if folder.is_dir() else ():
      if (folder / index.stem).is_dir():
        entry = json.loads(index.read_text())
        self._place.update({name: (index.stem, i) for i, name in enumerate(entry["members"])})
        self.reached.update(dict.fromkeys(entry["members"], entry["steps"]))

  def of(self, members: Sequence[str]) -> "WaveSnapshots":
    """Those of a wave: of members that had all come equally far."""
    return WaveSnapshots(self, members, self._every)

  def load(self, member: str) -> Reached:
    """How far one member had come; its arrays without an axis of members.

    Raises:
      UserError: It is damaged.
    """
    name, i = self._place[member]
    steps, leaves, losses = self._load(self._folder / name)
    return Reached(steps, [leaf[i] for leaf in leaves], losses[i])

  def save(self, members: Sequence[str], reached: Reached) -> None:
    """Keeps how far a wave has come, in the place of what was kept of it before."""
    make_folder(self._folder, exist_ok=True)
    name = _name(members)
    tree: dict[str, Any] = {"leaves": {f"{i:04}": leaf for i, leaf in enumerate(reached.leaves)}}
    save_tree(self._folder / name, {**tree, "losses": reached.losses, "steps": np.int32(reached.steps)})
    entry = {"members": list(members), "steps": reached.steps}
    replace_file(self._folder / f"{name}.json", json.dumps(entry).encode())

  def drop(self, members: Sequence[str]) -> None:
    """Deletes what was kept of a wave: it is in the run's table."""
    name = _name(members)
    (self._folder / f"{name}.json").unlink(missing_ok=True)
    if (self._folder / name).is_dir():
      remove_tree(self._folder / name)


class WaveSnapshots:
  """Snapshots of one wave, for the engine; see `SnapshotFolder.of`."""

  def __init__(self, folder: SnapshotFolder, members: Sequence[str], every: float):
    self._folder = folder
    self._members = members
    self._every = every
    self._kept = time.monotonic()

  def restore(self) -> Reached | None:
    """See `engine.population.Snapshots`."""
    if self._members[0] not in self._folder.reached:
      return None
    each = [self._folder.load(member) for member in self._members]
    console.print(f"going on with {len(each)} members after {each[0].steps} steps")
    leaves = [np.stack(leaves) for leaves in zip(*(one.leaves for one in each), strict=True)]
    return Reached(each[0].steps, leaves, np.stack([one.losses for one in each]))

  def keep(self, reached: Callable[[], Reached]) -> None:
    """See `engine.population.Snapshots`. It is time every so often, and when somebody asked to stop."""
    if time.monotonic() - self._kept > self._every or stopping.requested():
      self._folder.save(self._members, reached())
      self._kept = time.monotonic()


def _load(path: Path) -> tuple[int, list[np.ndarray], np.ndarray]:
  tree = load_tree(path)
  leaves = [tree["leaves"][name] for name in sorted(tree["leaves"])]
  return int(tree["steps"]), leaves, tree["losses"]


def _name(members: Sequence[str]) -> str:
  return hashlib.sha256(json.dumps(list(members)).encode()).hexdigest()[:16]


def remove_snapshots(run: Path) -> None:
  """Deletes all snapshots of a run that is finished."""
  if (run / _FOLDER).is_dir():
    remove_tree(run / _FOLDER)
