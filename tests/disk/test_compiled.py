"""Compiled programs are kept for the next process."""

import os
import subprocess
import sys
import warnings
from pathlib import Path

import jax
import pytest

from lwlrd_jax.disk.compiled import _processor, keep_compiled, prune

_COMPILES = """
import jax
from lwlrd_jax.disk.compiled import keep_compiled
keep_compiled()
jax.config.update("jax_log_compiles", True)

@jax.jit
def a_program_of_this_test(x):
  return x @ x + 1

print(a_program_of_this_test(jax.numpy.ones((3, 3))).sum(), jax.config.jax_compilation_cache_dir)
"""


@pytest.fixture
def run(tmp_path):
  def in_a_new_process(**variables):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("JAX_")}
    environment |= {"LWLRD_JAX_CACHE": str(tmp_path / "cache"), **variables}
    return subprocess.run(
      [sys.executable, "-c", _COMPILES], env=environment, capture_output=True, text=True, check=True, timeout=120
    )

  return in_a_new_process


def test_the_next_process_need_not_compile(run, tmp_path):
  first, second = run(), run()
  hit = "Persistent compilation cache hit for 'jit_a_program_of_this_test'"
  assert hit not in first.stderr
  assert hit in second.stderr
  assert first.stdout == second.stdout
  folder = tmp_path / "cache" / "compiled"
  assert folder.stat().st_mode & 0o777 == 0o700
  assert [inner.name for inner in folder.iterdir()] == [_processor()]


def test_a_folder_of_the_users_own_is_left_alone(run, tmp_path):
  assert str(tmp_path / "mine") in run(JAX_COMPILATION_CACHE_DIR=str(tmp_path / "mine")).stdout
  assert not (tmp_path / "cache" / "compiled").exists()


def test_what_was_read_longest_ago_goes_first(tmp_path):
  for name, read in (("old", 1), ("new", 3), ("middle", 2)):
    (tmp_path / name).write_bytes(bytes(100))
    os.utime(tmp_path / name, (read, 0))
  (tmp_path / "folder").mkdir()
  prune(tmp_path, 300)
  assert len(list(tmp_path.iterdir())) == 4
  prune(tmp_path, 250)
  assert {file.name for file in tmp_path.iterdir()} == {"new", "middle", "folder"}
  prune(tmp_path / "not there", 0)


def test_a_full_disk_is_told_of_once_and_not_program_by_program(tmp_path, monkeypatch, capsys):
  def full(path, content):
    raise OSError(28, "No space left on device")

  before = jax.config.values["jax_compilation_cache_dir"]
  jax.config.update("jax_compilation_cache_dir", str(tmp_path / "programs"))
  try:
    monkeypatch.setattr(Path, "write_bytes", full)
    with warnings.catch_warnings():
      warnings.simplefilter("error")
      keep_compiled()
      warnings.warn("Error writing persistent compilation cache entry for 'jit_f': OSError: full", stacklevel=1)
  finally:
    jax.config.update("jax_compilation_cache_dir", before)
  said = " ".join(capsys.readouterr().err.split())
  assert said.endswith("cannot be written (No space left on device); compiled programs are not kept for the next sweep")
  assert said.count("cannot be written") == 1
