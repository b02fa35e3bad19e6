"""Processes that come together, and those that wait in vain."""

import time

import pytest

from lwlrd_jax.errors import EXIT_TEMPORARY
from lwlrd_jax.sweep import main


@pytest.mark.parametrize("number", [0, 1])
def test_one_that_is_alone_ends_in_time_and_says_what_to_do(flags, sweep, port, tmp_path, number):
  began = time.monotonic()
  process = sweep(
    *(*flags, "--out", str(tmp_path / "r"), "--coordinator", f"127.0.0.1:{port}", "--processes", "2"),
    *("--process-id", str(number), "--join-timeout", "4"),
  )
  said = process.communicate(timeout=120)[0]
  assert time.monotonic() - began < 60  # most of it is importing
  assert process.returncode == EXIT_TEMPORARY
  assert said.count("\n") == 1
  assert said.startswith(f"error: process {number} of 2 on ")
  assert "waited 4 s for the others" in said
  assert f"127.0.0.1:{port}" in said
  assert "--join-timeout" in said
  assert not (tmp_path / "r").exists()


def test_without_a_cluster_there_is_nobody_to_ask(flags, sweep, tmp_path):
  process = sweep(*flags, "--out", str(tmp_path / "r"), "--distributed")
  said = process.communicate(timeout=120)[0]
  assert process.returncode == 2
  assert said.startswith("error: --distributed: there is no cluster that could be asked")
  assert said.count("\n") == 1


@pytest.mark.parametrize(
  ("given", "message"),
  [
    (["--coordinator", "a:1"], "--coordinator, --processes, --process-id: all three or none"),
    (["--coordinator", "a", "--processes", "2", "--process-id", "0"], "--coordinator a: allowed: HOST:PORT"),
    (["--coordinator", "a:1", "--processes", "2", "--process-id", "2"], "--process-id 2: allowed: 0 to 1"),
    (["--coordinator", "a:1", "--processes", "0", "--process-id", "0"], "--processes 0: allowed"),
    (["--join-timeout", "0"], "--join-timeout 0.0: allowed"),
  ],
)
def test_mistakes(flags, given, message, tmp_path, capsys):
  assert main([*flags, "--out", str(tmp_path / "r"), *given]) == 2
  assert message in capsys.readouterr().err


def test_a_directory_is_needed_that_all_see(flags, capsys):
  assert main([*flags, "--distributed"]) == 2
  assert "--distributed: needs --out DIR" in capsys.readouterr().err
