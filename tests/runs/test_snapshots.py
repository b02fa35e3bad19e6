"""Unfinished members are found again, whoever is in a wave with them."""

import numpy as np
import pytest

from lwlrd_jax import stopping
from lwlrd_jax.engine.population import Reached
from lwlrd_jax.errors import UserError
from lwlrd_jax.runs.snapshots import SnapshotFolder, remove_snapshots


def _reached(members, steps, first=0.0):
  """Every number says whose it is."""
  whose = first + np.arange(members, dtype=np.float32)
  return Reached(steps, [whose[:, None] * np.ones(3, np.float32), whose], whose[:, None] * np.ones(steps, np.float32))


def test_members_are_found_by_name_in_any_company(tmp_path):
  before = SnapshotFolder(tmp_path, 0)
  before.save(["a", "b", "c"], _reached(3, 32))
  before.save(["d"], _reached(1, 32, first=3))
  before.save(["e"], _reached(1, 64, first=4))
  after = SnapshotFolder(tmp_path, 0)
  assert after.reached == {"a": 32, "b": 32, "c": 32, "d": 32, "e": 64}
  found = after.of(["c", "d", "a"]).restore()
  assert found is not None
  assert found.steps == 32
  assert found.leaves[0].tolist() == [[2] * 3, [3] * 3, [0] * 3]
  assert found.leaves[1].tolist() == [2, 3, 0]
  assert found.losses.shape == (3, 32)
  assert found.losses[:, 0].tolist() == [2, 3, 0]
  assert after.of(["f"]).restore() is None


def test_kept_in_time_and_when_somebody_asks_to_stop(tmp_path, monkeypatch):
  asked: list[int] = []
  monkeypatch.setattr(stopping, "requested", lambda: bool(asked))
  wave = SnapshotFolder(tmp_path, every=3600).of(["a"])
  wave.keep(lambda: pytest.fail("too early"))
  asked.append(1)
  wave.keep(lambda: _reached(1, 5))
  assert SnapshotFolder(tmp_path, 0).reached == {"a": 5}
  asked.clear()
  often = SnapshotFolder(tmp_path, every=0).of(["a"])
  often.keep(lambda: _reached(1, 6))
  assert SnapshotFolder(tmp_path, 0).reached == {"a": 6}


def test_forgotten_when_they_are_done(tmp_path):
  folder = SnapshotFolder(tmp_path, 0)
  folder.save(["a"], _reached(1, 5))
  folder.save(["b"], _reached(1, 5))
  folder.drop(["a"])
  folder.drop(["never kept"])
  assert SnapshotFolder(tmp_path, 0).reached == {"b": 5}
  remove_snapshots(tmp_path)
  assert list(tmp_path.iterdir()) == []
  remove_snapshots(tmp_path)


def test_an_index_without_its_snapshot_is_none(tmp_path):
  """As it is for a moment while one takes another's place."""
  SnapshotFolder(tmp_path, 0).save(["a"], _reached(1, 5))
  (folder,) = (path for path in (tmp_path / ".snapshots").iterdir() if path.is_dir())
  folder.rename(tmp_path / "elsewhere")
  assert SnapshotFolder(tmp_path, 0).reached == {}


def test_a_damaged_one_is_named(tmp_path):
  SnapshotFolder(tmp_path, 0).save(["a"], _reached(1, 5))
  file = max((tmp_path / ".snapshots").rglob("d/*"), key=lambda path: path.stat().st_size)
  file.write_bytes(file.read_bytes()[:-3])
  with pytest.raises(UserError, match="damaged"):
    SnapshotFolder(tmp_path, 0).of(["a"]).restore()
