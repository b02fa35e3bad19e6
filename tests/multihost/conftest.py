"""Several real processes on this machine, each with devices of its own."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from tests.small_sweep import FILE, write_images

# Nothing here takes as long, unless somebody waits for who never comes.
LIMIT = 900


@pytest.fixture(scope="session")
def flags(tmp_path_factory):
  """A short sweep against both attacks."""
  file = write_images(tmp_path_factory.mktemp("data") / "small.npz", train=96, val=30, test=30)
  return [
    *("--dataset", "npz", "--npz", str(file)),
    *("--attacks", "transpose,dec", "--finish", "none", "--codec", "webp", "--stolen", "8"),
    *("--infect-steps", "40", "--epochs", "3", "--batch-size", "32", "--decays", "0.3,0.5,0.7", "--no-baselines"),
  ]


@pytest.fixture
def port():
  with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    return free.getsockname()[1]


@pytest.fixture
def sweep():
  """Starts a sweep, or a script, as a process of its own with as many CPU devices; ends it if a test did not."""
  started = []

  def start(*arguments: str, devices: int = 1, script: str | None = None, cwd: Path | None = None):
    begin = [FILE] if script is None else ["-c", script]
    process = subprocess.Popen(
      [sys.executable, *begin, *arguments],
      cwd=cwd,
      env={**os.environ, "JAX_NUM_CPU_DEVICES": str(devices)},
      stdout=subprocess.PIPE,
      stderr=subprocess.STDOUT,
      text=True,
    )
    started.append(process)
    return process

  yield start
  for process in started:
    if process.poll() is None:
      process.kill()
      process.wait()


@pytest.fixture
def together(sweep, port):
  """Starts so many processes of one sweep, and waits for them: exit code and output of each."""

  def run(count: int, out: Path, *arguments: str, devices: int = 2) -> list[tuple[int, str]]:
    joined = [*arguments, "--out", str(out), "--coordinator", f"127.0.0.1:{port}", "--processes", str(count)]
    processes = [sweep(*joined, "--process-id", str(i), devices=devices) for i in range(count)]
    said = [process.communicate(timeout=LIMIT)[0] for process in processes]
    return [(process.returncode, text) for process, text in zip(processes, said, strict=True)]

  return run


@pytest.fixture(scope="session")
def alone(flags, tmp_path_factory):
  """The same sweep by one process with one device."""
  out = tmp_path_factory.mktemp("runs") / "alone"
  process = subprocess.run(
    [sys.executable, FILE, *flags, "--out", str(out)],
    env={**os.environ, "JAX_NUM_CPU_DEVICES": "1"},
    check=True,
    timeout=LIMIT,
    capture_output=True,
  )
  assert process.returncode == 0
  return out


@pytest.fixture(scope="session")
def assert_same_table():
  """Compares two runs' tables row by row."""

  def check(first: Path, second: Path) -> None:
    table, other = (pd.read_parquet(run / "results.parquet").drop(columns="seconds") for run in (first, second))
    pd.testing.assert_frame_equal(table, other, rtol=0, atol=1e-5)
    assert len(table) == 2 * 3 + 6

  return check
