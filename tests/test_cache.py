import os
import stat
import tempfile
from pathlib import Path

import platformdirs
import pytest

from lwlrd_jax.cache import cache_dir, private_folder
from lwlrd_jax.errors import UserError


def mode(path: Path) -> int:
  return stat.S_IMODE(path.stat().st_mode)


def test_made_private(tmp_path, monkeypatch):
  monkeypatch.setenv("LWLRD_JAX_CACHE", str(tmp_path / "a" / "b"))
  assert cache_dir() == tmp_path / "a" / "b"
  assert mode(cache_dir()) == 0o700


def test_an_existing_folder_keeps_its_mode_but_what_we_make_inside_is_private(tmp_path, monkeypatch):
  tmp_path.chmod(0o755)
  monkeypatch.setenv("LWLRD_JAX_CACHE", str(tmp_path))
  assert mode(cache_dir()) == 0o755
  assert mode(private_folder("models")) == 0o700


def test_relative_to_the_working_directory(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  monkeypatch.setenv("LWLRD_JAX_CACHE", "here")
  assert cache_dir() == tmp_path / "here"


def test_default_is_the_platforms(tmp_path, monkeypatch):
  monkeypatch.delenv("LWLRD_JAX_CACHE")
  monkeypatch.setattr(platformdirs, "user_cache_dir", lambda name: str(tmp_path / name))
  assert cache_dir() == tmp_path / "lwlrd_jax"


def test_no_folder_but_a_file(tmp_path, monkeypatch):
  (tmp_path / "file").touch()
  monkeypatch.setenv("LWLRD_JAX_CACHE", str(tmp_path / "file"))
  with pytest.raises(UserError, match=r"^\$LWLRD_JAX_CACHE: .*file") as caught:
    cache_dir()
  assert "\n" not in str(caught.value)


@pytest.fixture
def homeless(tmp_path, monkeypatch):
  """A user who has no home, and a folder for temporary files."""

  def no_home(name):
    raise RuntimeError("could not determine the home directory")

  monkeypatch.delenv("LWLRD_JAX_CACHE")
  monkeypatch.setattr(platformdirs, "user_cache_dir", no_home)
  monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
  return tmp_path / f"lwlrd_jax-{os.getuid()}"


def test_without_a_home_it_is_with_temporary_files_and_told_once(homeless, capsys):
  assert cache_dir() == homeless
  assert mode(homeless) == 0o700
  assert cache_dir() == homeless
  assert capsys.readouterr().err.splitlines() == [
    f"no home to write to: the cache is {homeless}; $LWLRD_JAX_CACHE may name another"
  ]


def test_a_home_that_cannot_be_made_is_none(homeless, tmp_path, monkeypatch):
  (tmp_path / "file").touch()
  monkeypatch.setattr(platformdirs, "user_cache_dir", lambda name: str(tmp_path / "file" / name))
  assert cache_dir() == homeless


def test_a_temporary_folder_that_others_may_enter_is_refused(homeless, tmp_path):
  homeless.mkdir(mode=0o755)
  with pytest.raises(UserError, match=r"^\$LWLRD_JAX_CACHE: not set.*is not yours alone"):
    cache_dir()
  homeless.rmdir()
  (tmp_path / "theirs").mkdir(mode=0o700)
  homeless.symlink_to("theirs")
  with pytest.raises(UserError, match="is not yours alone"):
    cache_dir()


def test_a_home_that_there_is_not_by_name(monkeypatch):
  monkeypatch.setenv("LWLRD_JAX_CACHE", "~nobody-of-this-name/cache")
  with pytest.raises(UserError, match=r"^\$LWLRD_JAX_CACHE: ~nobody-of-this-name/cache: there is no such home"):
    cache_dir()
