import asyncio
import contextlib
import errno
import os
import subprocess
import sys
from typing import Any

import numpy as np
import orbax.checkpoint as ocp
import pytest

from lwlrd_jax.disk import checkpoints
from lwlrd_jax.disk.checkpoints import DamagedCheckpointError, clear_unfinished, load_tree, save_tree
from lwlrd_jax.disk.model_cache import cached_tree
from lwlrd_jax.errors import UserError

pytestmark = pytest.mark.newest
TREE = {"params": {"dense0": {"kernel": np.arange(6, dtype=np.float32).reshape(2, 3)}}, "n": np.int32(3)}


def assert_same(a, b):
  assert a.keys() == b.keys()
  np.testing.assert_array_equal(a["params"]["dense0"]["kernel"], b["params"]["dense0"]["kernel"])


def test_round_trip_and_replacing(tmp_path):
  save_tree(tmp_path / "c", TREE)
  assert_same(load_tree(tmp_path / "c"), TREE)
  save_tree(tmp_path / "c", {"params": {"dense0": {"kernel": np.zeros(2, np.float32)}}})
  assert load_tree(tmp_path / "c")["params"]["dense0"]["kernel"].tolist() == [0, 0]


def test_missing(tmp_path):
  with pytest.raises(FileNotFoundError, match="no checkpoint there"):
    load_tree(tmp_path / "c")


def test_unknown_schema_is_refused(tmp_path, monkeypatch):
  monkeypatch.setattr(checkpoints, "SCHEMA", 99)
  save_tree(tmp_path / "c", TREE)
  monkeypatch.undo()
  with pytest.raises(ValueError, match="schema 99, this version reads 1"):
    load_tree(tmp_path / "c")


@pytest.mark.parametrize("spoil", ["flip", "truncate", "delete", "add", "no checksums", "bad checksums"])
def test_what_was_not_written_so_is_named_and_refused(tmp_path, spoil):
  path = tmp_path / "c"
  save_tree(path, TREE)
  file = max((path / "d").iterdir(), key=lambda file: file.stat().st_size)
  content = bytearray(file.read_bytes())
  content[len(content) // 2] ^= 1
  sums = path / "checksums.json"
  {
    "flip": lambda: file.write_bytes(bytes(content)),
    "truncate": lambda: file.write_bytes(bytes(content[:-1])),
    "delete": file.unlink,
    "add": lambda: (path / "d" / "more").write_text(""),
    "no checksums": sums.unlink,
    "bad checksums": lambda: sums.write_text("[]"),
  }[spoil]()
  named = {"add": "d/more", "no checksums": "checksums.json", "bad checksums": "checksums.json"}
  with pytest.raises(DamagedCheckpointError, match=f"^{path}: damaged, {named.get(spoil, f'd/{file.name}')}"):
    load_tree(path)


def test_every_flipped_byte_is_noticed(tmp_path):
  path = tmp_path / "c"
  save_tree(path, TREE)
  for file in sorted(file for file in path.rglob("*") if file.is_file()):
    whole = file.read_bytes()
    for i in {0, len(whole) // 3, len(whole) - 1} if whole else ():
      file.write_bytes(whole[:i] + bytes([whole[i] ^ 0x10]) + whole[i + 1 :])
      with pytest.raises(DamagedCheckpointError):
        load_tree(path)
    file.write_bytes(whole)
  assert_same(load_tree(path), TREE)


def test_a_checkpoint_of_the_first_schema_is_read(tmp_path):
  """It had no checksums."""
  with ocp.StandardCheckpointer() as checkpointer:
    checkpointer.save(tmp_path / "c", {"schema": np.int32(1), **TREE})
    checkpointer.wait_until_finished()
  assert_same(load_tree(tmp_path / "c"), TREE)


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
  (tmp_path / "file").write_text("")
  with pytest.raises(UserError, match=f"^{tmp_path / 'file' / 'c'}: cannot be written"):
    save_tree(tmp_path / "file" / "c", TREE)


def test_what_was_half_written_is_cleared_away(tmp_path):
  for name in (".c.12ab.new", ".c.12ab.new.orbax-checkpoint-tmp", ".c.12ab.old"):
    (tmp_path / name).mkdir()
    (tmp_path / name / "half").write_text("")
  save_tree(tmp_path / "c", TREE)
  clear_unfinished(tmp_path)
  assert_same(load_tree(tmp_path / "c"), TREE)
  assert [path.name for path in tmp_path.iterdir()] == ["c"]


def test_several_may_write_one_that_others_read(tmp_path):
  """As sweeps do that share a cache."""
  script = f"""
import pathlib, numpy as np
from lwlrd_jax.disk.checkpoints import load_tree, save_tree
for i in range(12):
  path = pathlib.Path({str(tmp_path)!r}) / str(i)
  save_tree(path, {{"a": np.arange(1000)}}, replace=False)
  assert load_tree(path)["a"].sum() == 499500
"""
  both = [subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.PIPE, text=True) for _ in range(2)]
  for process in both:
    said = process.communicate(timeout=120)[1]
    assert process.returncode == 0, said
  assert sorted(path.name for path in tmp_path.iterdir()) == sorted(map(str, range(12)))


def test_cache_makes_once_for_each_recipe(tmp_path, monkeypatch):
  monkeypatch.setenv("LWLRD_JAX_CACHE", str(tmp_path))
  made = []

  def make():
    made.append(1)
    return TREE

  first, found = cached_tree({"a": 1}, make)
  assert not found
  second, found = cached_tree({"a": 1}, make)
  assert found
  assert len(made) == 1
  assert_same(first, second)
  assert not cached_tree({"a": 2}, make)[1]
  # What is not finite is for this run alone.
  diverged = {"params": {"dense0": {"kernel": np.full(2, np.nan, np.float32)}}}
  assert not cached_tree({"a": 3}, lambda: diverged)[1]
  assert not cached_tree({"a": 3}, make)[1]
  assert (tmp_path / "models").stat().st_mode & 0o777 == 0o700


def test_names_that_are_not_text_can_be_written_below(tmp_path):
  folder = tmp_path / os.fsdecode(b"caf\xe9")
  save_tree(folder / "c", TREE)
  assert_same(load_tree(folder / "c"), TREE)
  assert [file.name for file in folder.iterdir()] == ["c"]
  file = max((folder / "c" / "d").iterdir(), key=lambda path: path.stat().st_size)
  file.write_bytes(file.read_bytes()[:-1])
  with pytest.raises(DamagedCheckpointError, match=file.name):
    load_tree(folder / "c")


def test_threads_that_answer_too_late_print_nothing(monkeypatch):
  monkeypatch.setattr(asyncio, "new_event_loop", asyncio.new_event_loop)  # put back afterwards
  checkpoints._ignore_late_answers.__wrapped__()
  told: list[str] = []
  for module, refused in (("orbax.checkpoint", False), ("another", True)):
    made: dict[str, Any] = {"__name__": module}
    exec("import asyncio; loop = asyncio.new_event_loop()", made)
    loop = made["loop"]
    loop.call_soon_threadsafe(told.append, module)
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    with pytest.raises(RuntimeError, match="is closed") if refused else contextlib.nullcontext():
      loop.call_soon_threadsafe(told.append, "too late")
  assert told == ["orbax.checkpoint", "another"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_what_the_disk_says_is_told_without_its_number(tmp_path, monkeypatch, number):
  def fail(*_):
    raise OSError(number, os.strerror(number))

  monkeypatch.setattr(checkpoints, "_write_here", fail)
  with pytest.raises(UserError) as caught:
    save_tree(tmp_path / "c", TREE)
  assert str(caught.value) == f"{tmp_path / 'c'}: cannot be written ({os.strerror(number)})"
  assert not list(tmp_path.iterdir())
