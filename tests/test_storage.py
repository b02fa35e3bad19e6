import os

import pytest

from lwlrd_jax.errors import UserError
from lwlrd_jax.storage import check_writable, is_text, path_of, printable


def test_a_bucket_that_one_library_knows_and_another_does_not():
  with pytest.raises(UserError, match=r"^memory://b: buckets of this kind cannot be reached"):
    path_of("memory://b")


def test_names_that_are_not_text_are_escaped(tmp_path):
  name = os.fsdecode(b"caf\xe9")
  assert not is_text(tmp_path / name)
  assert is_text(tmp_path / "café")
  assert printable(tmp_path / name) == str(tmp_path / r"caf\udce9")
  assert printable("café") == "café"


def test_what_can_be_written_is_known_beforehand(tmp_path, monkeypatch):
  (tmp_path / "file").touch()
  check_writable(tmp_path / "new" / "folder")
  with pytest.raises(OSError, match="Not a directory"):
    check_writable(tmp_path / "file" / "folder")
  monkeypatch.setattr(os, "access", lambda path, mode: path != tmp_path)  # root may write anywhere
  with pytest.raises(OSError, match="Permission denied"):
    check_writable(tmp_path / "new")
  assert sorted(tmp_path.iterdir()) == [tmp_path / "file"]
