"""Unfinished members are found again, whoever is in a wave with them."""

import subprocess
import sys

import numpy as np
import pytest

from lwlrd_jax.disk.snapshots import SnapshotFolder, remove_snapshots
from lwlrd_jax.engine.population import Reached, kept_at_the_end


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


def test_kept_in_time_and_at_the_end(tmp_path):
  wave = SnapshotFolder(tmp_path, every=3600).of(["a"])
  wave.keep(lambda: pytest.fail("too early"))
  with pytest.raises(KeyError), kept_at_the_end(wave, lambda: _reached(1, 5)):
    raise KeyError
  assert SnapshotFolder(tmp_path, 0).reached == {"a": 5}
  often = SnapshotFolder(tmp_path, every=0).of(["a"])
  often.keep(lambda: _reached(1, 6))
  assert SnapshotFolder(tmp_path, 0).reached == {"a": 6}
  assert len(list((tmp_path / ".snapshots").iterdir())) == 2  # the last, and its index


def test_of_several_the_latest_counts(tmp_path):
  """Waves are dealt otherwise when a run goes on with another number of processes."""
  for members, steps in ((["a", "b"], 32), (["b", "c"], 64), (["b"], 48)):
    SnapshotFolder(tmp_path, 0).save(members, _reached(len(members), steps, first=steps))
  folder = SnapshotFolder(tmp_path, 0)
  assert folder.reached == {"a": 32, "b": 64, "c": 64}
  found = folder.of(["b"]).restore()
  assert found is not None
  assert found.leaves[1].tolist() == [64]


@pytest.mark.parametrize("operation", ["os.replace", "shutil.rmtree", "pathlib.Path.rename"])
@pytest.mark.parametrize("nth", [1, 2, 3])
def test_killed_while_one_takes_another_s_place(tmp_path, operation, nth):
  """In a process that ends at its nth such operation."""
  script = f"""
import os, pathlib, shutil, sys
import numpy as np
from lwlrd_jax.engine.population import Reached
from lwlrd_jax.disk.snapshots import SnapshotFolder
folder = SnapshotFolder(pathlib.Path({str(tmp_path)!r}), 0)
folder.save(["a"], Reached(1, [np.full((1, 2), 1.0, np.float32)], np.full((1, 1), 1.0, np.float32)))
done, original = 0, {operation}
def counted(*args, **kwargs):
  global done
  done += 1
  if done == {nth}:
    os._exit(9)
  return original(*args, **kwargs)
{operation} = counted
folder.save(["a"], Reached(2, [np.full((1, 2), 2.0, np.float32)], np.full((1, 2), 2.0, np.float32)))
"""
  subprocess.run([sys.executable, "-c", script], check=False, timeout=120)
  folder = SnapshotFolder(tmp_path, 0)
  found = folder.of(["a"]).restore()
  assert found is not None
  assert folder.reached == {"a": found.steps}
  assert found.leaves[0].tolist() == [[found.steps] * 2]
  assert found.losses.shape == (1, found.steps)


def test_forgotten_when_they_are_done(tmp_path):
  folder = SnapshotFolder(tmp_path, 0)
  folder.save(["a"], _reached(1, 5))
  folder.save(["b"], _reached(1, 5))
  folder.save(["b", "c"], _reached(2, 5))
  folder.drop(["a", "c", "never kept"])
  assert len(list((tmp_path / ".snapshots").iterdir())) == 4
  assert SnapshotFolder(tmp_path, 0).reached == {"b": 5, "c": 5}
  remove_snapshots(tmp_path)
  assert list(tmp_path.iterdir()) == []
  remove_snapshots(tmp_path)


def test_an_index_without_its_snapshot_is_none(tmp_path):
  """As it is for a moment while one takes another's place."""
  SnapshotFolder(tmp_path, 0).save(["a"], _reached(1, 5))
  (folder,) = (path for path in (tmp_path / ".snapshots").iterdir() if path.is_dir())
  folder.rename(tmp_path / "elsewhere")
  assert SnapshotFolder(tmp_path, 0).reached == {}


def test_a_damaged_one_is_named_and_not_used(tmp_path, capsys):
  SnapshotFolder(tmp_path, 0).save(["a"], _reached(1, 5))
  file = max((tmp_path / ".snapshots").rglob("d/*"), key=lambda path: path.stat().st_size)
  file.write_bytes(file.read_bytes()[:-3])
  assert SnapshotFolder(tmp_path, 0).of(["a"]).restore() is None
  said = " ".join(capsys.readouterr().err.split())
  assert "damaged" in said
  assert said.endswith("they start again")
