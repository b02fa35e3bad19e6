import stat
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
