"""A sweep that is asked to stop, or killed, goes on to the table of one that was not."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from lwlrd_jax.sweep import main
from lwlrd_jax.watch.log import read_log
from tests.small_sweep import FILE


@pytest.fixture(scope="module")
def flags(npz):
  """Six long fine-tunings in waves of three, each a few calls."""
  return [
    *("--dataset", "npz", "--npz", str(npz)),
    *("--attacks", "transpose", "--finish", "none", "--stolen", "8", "--infect-steps", "40"),
    *("--decays", "0.1:0.9:6", "--no-baselines", "--epochs", "60", "--batch-size", "32", "--members-per-wave", "3"),
  ]


@pytest.fixture(scope="module")
def whole(flags, tmp_path_factory):
  out = tmp_path_factory.mktemp("runs") / "whole"
  assert main([*flags, "--out", str(out)]) == 0
  return out


class _Sweep:
  """A sweep in a process of its own that says what it does line by line."""

  def __init__(self, *arguments: str):
    self.process = subprocess.Popen(
      [sys.executable, FILE, *arguments],
      env={**os.environ, "JAX_NUM_CPU_DEVICES": "4"},
      stderr=subprocess.PIPE,
      text=True,
    )
    self.said: list[str] = []
    self._reader = threading.Thread(target=self._read, daemon=True)
    self._reader.start()

  def _read(self) -> None:
    assert self.process.stderr is not None
    self.said.extend(iter(self.process.stderr.readline, ""))

  def until(self, ready) -> None:
    while not ready():
      assert self.process.poll() is None, self.said
      time.sleep(0.01)

  def end(self) -> tuple[int, str]:
    code = self.process.wait(timeout=300)
    self._reader.join()
    return code, "".join(self.said)


@pytest.fixture
def sweep():
  started = []

  def start(*arguments):
    started.append(_Sweep(*arguments))
    return started[-1]

  yield start
  for one in started:
    if one.process.poll() is None:
      one.process.kill()
      one.process.wait()


def _under_way(out):
  """In the fine-tuning of the second wave, after its first call."""

  def ready() -> bool:
    begun = [event["title"] for event in read_log(out) if event["event"] == "phase_begun"]
    second = sum(title.startswith("fine-tuning") for title in begun) == 2
    return second and any((out / ".snapshots").glob("*.json"))

  return ready


@pytest.mark.parametrize("ending", [(signal.SIGTERM, 143, "SIGTERM"), (signal.SIGINT, 130, "an interrupt")])
def test_what_is_under_way_is_saved_and_gone_on_with(flags, whole, sweep, tmp_path, ending, assert_same, capsys):
  number, code, name = ending
  out = tmp_path / "r"
  stopped = sweep(*flags, "--out", str(out), "--snapshot-minutes", "0")
  stopped.until(_under_way(out))
  stopped.process.send_signal(number)
  ended, said = stopped.end()
  assert ended == code
  assert f"stopping after {name}: unfinished work is saved first" in said
  assert said.rstrip().endswith(f"stopped after {name}, and saved; --resume continues from there")
  assert list((out / ".snapshots").glob("*.json"))
  assert main([*flags, "--out", str(out), "--resume"]) == 0
  said = capsys.readouterr().err
  # The snapshot was used: of the second wave's steps not all were taken again.
  assert "resumed with 3 members after " in said
  assert_same(whole, out)
  assert not (out / ".snapshots").exists()


def test_a_second_interrupt_stops_at_once(flags, sweep, tmp_path):
  out = tmp_path / "r"
  stopped = sweep(*flags, "--out", str(out))
  stopped.until((out / "config.json").exists)
  stopped.process.send_signal(signal.SIGINT)
  stopped.until(lambda: "Ctrl-C again stops at once" in "".join(stopped.said))
  stopped.process.send_signal(signal.SIGINT)
  code, said = stopped.end()
  assert code == 130
  assert said.rstrip().endswith("interrupted; --resume continues from the last finished wave")
  assert not (out / "report.html").exists()


def test_killed_in_a_long_fine_tuning_it_goes_on_from_its_last_snapshot(
  flags, whole, sweep, tmp_path, assert_same, capsys
):
  out = tmp_path / "r"
  killed = sweep(*flags, "--out", str(out), "--snapshot-minutes", "0")
  killed.until(lambda: list((out / ".snapshots").glob("*.json")))
  killed.process.send_signal(signal.SIGKILL)
  killed.end()
  assert main([*flags, "--out", str(out), "--restartable"]) == 0
  said = capsys.readouterr().err
  assert "resumed with 3 members after " in said
  assert_same(whole, out)


def test_restartable_begins_a_run_that_is_not_there(flags, whole, sweep, tmp_path, assert_same, capsys):
  out = tmp_path / "new" / "r"
  killed = sweep(*flags, "--out", str(out), "--restartable")
  killed.until((out / "config.json").exists)
  killed.process.send_signal(signal.SIGKILL)
  killed.end()
  for _ in range(2):  # the second time there is nothing left to do
    assert main([*flags, "--out", str(out), "--restartable"]) == 0
    said = capsys.readouterr().err
  assert "fine-tuning" not in said
  assert_same(whole, out)


@pytest.mark.parametrize(
  ("given", "message"),
  [
    (["--restartable"], "--restartable: needs --out DIR"),
    (["--restartable", "--resume", "--out", "x"], "--resume, --overwrite, --restartable: one of them"),
    (["--snapshot-minutes", "-1"], "--snapshot-minutes -1.0: allowed"),
  ],
)
def test_mistakes(flags, given, message, capsys):
  assert main([*flags, *given]) == 2
  assert message in capsys.readouterr().err
