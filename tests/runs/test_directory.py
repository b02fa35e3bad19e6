import os

import numpy as np
import pytest

from lwlrd_jax.errors import UserError
from lwlrd_jax.runs.directory import RunDirectory


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
  with pytest.raises(UserError, match=r"^--out .*exists.*--resume or --overwrite"):
    check(tmp_path)
  with pytest.raises(UserError, match="holds something that is no run"):
    check(tmp_path, overwrite=True)
  assert (tmp_path / "note").read_text() == "mine"


def test_file_and_unwritable_places_are_refused(tmp_path):
  file = tmp_path / "file"
  file.write_text("")
  with pytest.raises(UserError, match=r"^--out .*is a file"):
    check(file)
  with pytest.raises(UserError, match=r"^--out .*cannot be created"):
    RunDirectory.create(file / "run", overwrite=False)


def test_resume_needs_a_run(tmp_path):
  with pytest.raises(UserError, match=r"^--resume --out .*no run there"):
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
  with pytest.raises(UserError, match=r"^--out .*exists"):
    check(path)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema": 2}', "not json"])
def test_broken_config(tmp_path, text):
  (tmp_path / "config.json").write_text(text)
  with pytest.raises(UserError, match=r"config\.json"):
    RunDirectory(tmp_path).read_config()


def test_samples_and_results_round_trip(tmp_path):
  run = RunDirectory(tmp_path)
  assert run.read_samples() == {}
  assert run.read_results().empty
  run.write_samples({"member/a": np.ones((2, 3), np.uint8)})
  run.write_results([{"member": "a", "seed": 0}])
  assert run.read_samples()["member/a"].sum() == 6
  assert run.read_results().member.tolist() == ["a"]
