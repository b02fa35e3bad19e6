import errno
import os
from pathlib import Path

import numpy as np
import pytest

from lwlrd_jax.disk.directory import RunDirectory
from lwlrd_jax.errors import UserError


def check(path, resume=False, overwrite=False):
  RunDirectory.check(path, resume=resume, overwrite=overwrite)


def test_private_whatever_the_umask(tmp_path):
  old = os.umask(0o277)
  try:
    run = RunDirectory.create(tmp_path / "run", overwrite=False)
  finally:
    os.umask(old)
  assert run.path.stat().st_mode & 0o777 == 0o700


def test_existing_folder_is_refused_and_untouched(tmp_path):
  (tmp_path / "note").write_text("mine")
  with pytest.raises(UserError, match=r"^`out` .*exists.*`resume` or `overwrite`"):
    check(tmp_path)
  with pytest.raises(UserError, match="holds something that is no run"):
    check(tmp_path, overwrite=True)
  assert (tmp_path / "note").read_text() == "mine"


def test_file_and_unwritable_places_are_refused(tmp_path):
  file = tmp_path / "file"
  file.write_text("")
  with pytest.raises(UserError, match=r"^`out` .*is a file"):
    check(file)
  with pytest.raises(UserError, match=r"^`out` .*cannot be created"):
    RunDirectory.create(file / "run", overwrite=False)


def test_resume_needs_a_run(tmp_path):
  with pytest.raises(UserError, match=r"^`resume` `out` .*no run there"):
    check(tmp_path / "none", resume=True)


def test_overwrite_keeps_the_old_run_until_the_new_one_is_finished(tmp_path):
  old = RunDirectory.create(tmp_path / "run", overwrite=False)
  old.write_config({"who": "old"})
  check(old.path, overwrite=True)
  new = RunDirectory.create(old.path, overwrite=True)
  new.write_config({"who": "new"})
  set_aside = RunDirectory(tmp_path / ".run.replaced")
  assert set_aside.read_config()["who"] == "old"
  new.finish()
  assert new.read_config()["who"] == "new"
  assert not set_aside.path.exists()


def test_a_run_that_another_sweep_writes_is_not_replaced(tmp_path):
  old = RunDirectory.create(tmp_path / "run", overwrite=False)
  old.write_config({"who": "old"})
  with old.lock():
    with pytest.raises(UserError, match=rf"process {os.getpid()} on .* is writing there"):
      RunDirectory.create(old.path, overwrite=True)
    assert old.read_config()["who"] == "old"
  RunDirectory.create(old.path, overwrite=True)


def test_what_was_killed_before_it_began_is_in_nobody_s_way(tmp_path):
  path = tmp_path / "run"
  path.mkdir()
  (path / ".lock").write_text("")
  (path / ".writer.json").write_text("{}")
  (path / ".config.json.new").write_text("{")
  check(path)
  run = RunDirectory.create(path, overwrite=False)
  assert run.path.stat().st_mode & 0o777 == 0o700
  (path / "note").write_text("mine")
  with pytest.raises(UserError, match=r"^`out` .*exists"):
    check(path)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema": 2}', "not json"])
def test_broken_config(tmp_path, text):
  (tmp_path / "config.json").write_text(text)
  with pytest.raises(UserError, match=r"config\.json"):
    RunDirectory(tmp_path).read_config()


def test_samples_and_results_round_trip(tmp_path):
  run = RunDirectory(tmp_path)
  assert run.read_arrays("samples") == {}
  assert run.read_results().empty
  run.write_arrays("samples", {"member/a": np.ones((2, 3), np.uint8)})
  run.write_results([{"member": "a", "seed": 0}])
  assert run.read_arrays("samples")["member/a"].sum() == 6
  assert run.read_results().member.tolist() == ["a"]


def test_an_empty_folder_is_as_good_as_none(tmp_path):
  check(tmp_path)
  check(tmp_path, overwrite=True)
  (tmp_path / "lost+found").mkdir()
  check(tmp_path)
  assert RunDirectory.create(tmp_path, overwrite=True).path.stat().st_mode & 0o777 == 0o700
  assert (tmp_path / "lost+found").is_dir()


def test_an_empty_folder_of_somebody_else_keeps_its_mode_and_it_is_said(tmp_path, monkeypatch, capsys):
  def refuse(path, mode):
    raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

  tmp_path.chmod(0o770)
  monkeypatch.setattr(Path, "chmod", refuse)
  RunDirectory.create(tmp_path, overwrite=False)
  assert "others may read" in " ".join(capsys.readouterr().err.split())


@pytest.fixture
def mounted(tmp_path, monkeypatch):
  """A run in a folder that cannot be renamed."""
  rename, folder = Path.rename, tmp_path / "run"

  def busy(path, target):
    if path == folder:
      raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))
    return rename(path, target)

  monkeypatch.setattr(Path, "rename", busy)
  run = RunDirectory.create(folder, overwrite=False)
  (folder / "checkpoints" / "one").mkdir(parents=True)
  (folder / "lost+found").mkdir()
  run.write_config({"who": "old"})
  return run


def test_overwrite_empties_a_folder_that_cannot_be_renamed(mounted):
  inode = mounted.path.stat().st_ino
  check(mounted.path, overwrite=True)
  new = RunDirectory.create(mounted.path, overwrite=True)
  assert new.path.stat().st_ino == inode
  assert RunDirectory(new.replaced).read_config()["who"] == "old"
  assert (new.replaced / "checkpoints" / "one").is_dir()
  new.write_config({"who": "new"})
  # Overwritten again before it was finished: the older one goes.
  newer = RunDirectory.create(mounted.path, overwrite=True)
  assert RunDirectory(newer.replaced).read_config()["who"] == "new"
  newer.write_config({"who": "newer"})
  newer.finish()
  left = {file.name for file in newer.path.iterdir()} - {".lock"}
  assert left == {"config.json", "lost+found"}


def test_a_kill_while_a_folder_is_emptied_loses_nothing(mounted, monkeypatch):
  rename = Path.rename

  def killed_after_the_first(path, target):
    if path.name == "checkpoints":
      raise KeyboardInterrupt
    return rename(path, target)

  with monkeypatch.context() as patch:
    patch.setattr(Path, "rename", killed_after_the_first)
    with pytest.raises(KeyboardInterrupt):
      RunDirectory.create(mounted.path, overwrite=True)
  assert (mounted.path / "checkpoints" / "one").is_dir()
  with pytest.raises(UserError, match="no run there"):
    check(mounted.path, resume=True)  # half of the old one would be taken for a whole one
  check(mounted.path, overwrite=True)
  new = RunDirectory.create(mounted.path, overwrite=True)
  assert RunDirectory(new.replaced).read_config()["who"] == "old"
  assert (new.replaced / "checkpoints" / "one").is_dir()


def test_overwrite_follows_a_link_and_leaves_it(tmp_path):
  old = RunDirectory.create(tmp_path / "run", overwrite=False)
  old.write_config({"who": "old"})
  link = tmp_path / "latest"
  link.symlink_to("run")
  new = RunDirectory.create(link, overwrite=True)
  new.write_config({"who": "new"})
  new.finish()
  assert link.is_symlink()
  assert RunDirectory(link).read_config()["who"] == "new"
  assert not any(".replaced" in file.name for file in tmp_path.iterdir())


def test_a_loop_of_links_is_refused(tmp_path):
  (tmp_path / "a").symlink_to("a")
  with pytest.raises(UserError, match=r"^`out` .*: cannot be"):
    RunDirectory.create(tmp_path / "a", overwrite=True)


def test_the_working_directory_can_be_overwritten(tmp_path, monkeypatch):
  old = RunDirectory.create(tmp_path / "run", overwrite=False)
  old.write_config({"who": "old"})
  monkeypatch.chdir(old.path)
  check(Path(), overwrite=True)
  new = RunDirectory.create(Path(), overwrite=True)
  new.write_config({"who": "new"})
  new.finish()
  assert RunDirectory(Path()).read_config()["who"] == "new"
