"""One sweep by several processes: the same table, and one that fails ends all."""

import io
import signal
import time

import pandas as pd
import pytest

import lwlrd_jax
from tests.small_sweep import FILE


@pytest.mark.parametrize("count", [2, pytest.param(4, marks=pytest.mark.slow)])
def test_they_make_the_table_that_one_makes(flags, alone, together, tmp_path, assert_same_table, count):
  ended = together(count, tmp_path / "r", *flags, "--members-per-wave", "2")
  assert [code for code, _ in ended] == [0] * count, "\n".join(said for _, said in ended)
  assert_same_table(alone, tmp_path / "r")
  first, *others = (said for _, said in ended)
  assert f"{count} processes, {2 * count} devices" in first
  assert "report: " in first
  for said in others:  # but for what the communication library says
    assert [line for line in said.splitlines() if not line.startswith("[Gloo]")] == []
  # Restored here, by one process, and by the classes of no training code.
  run = lwlrd_jax.load_run(tmp_path / "r")
  for member in run.results.member[run.results.defense == "lwlrd"]:
    assert run.restore(member=member) is not None
  assert not [path.name for path in (tmp_path / "r").iterdir() if path.name in {".parts", ".snapshots"}]


def _rows(out):
  file = out / "results.parquet"
  # As a whole: the file may be replaced while it is read.
  return len(pd.read_parquet(io.BytesIO(file.read_bytes()))) if file.exists() else 0


def test_a_run_goes_on_with_another_number_of_processes(flags, alone, together, sweep, tmp_path, assert_same_table):
  out = tmp_path / "r"
  half = sweep(*flags, "--out", str(out), "--members-per-wave", "1")
  while _rows(out) < 2:
    assert half.poll() is None, half.communicate()
    time.sleep(0.05)
  half.send_signal(signal.SIGKILL)
  half.wait()
  ended = together(2, out, *flags, "--restartable")
  assert [code for code, _ in ended] == [0, 0], "\n".join(said for _, said in ended)
  assert_same_table(alone, out)


@pytest.mark.slow  # several sweeps by several processes
def test_those_that_have_less_memory_are_dealt_the_same(flags, alone, tmp_path, port, assert_same_table, sweep):
  """How large waves are follows from what is free, which no two of them have alike."""
  script = (
    "import runpy, sys\n"
    "import jax\n"
    "from lwlrd_jax.plan import plan\n"
    "plan.members_per_wave = lambda *given: [16, 1][jax.process_index()]\n"
    f"runpy.run_path({FILE!r}, run_name='__main__')"
  )
  out = tmp_path / "r"
  joined = [*flags, "--out", str(out), "--coordinator", f"127.0.0.1:{port}", "--processes", "2"]
  processes = [sweep(*joined, "--process-id", str(i), devices=2, script=script) for i in range(2)]
  said = [process.communicate(timeout=600)[0] for process in processes]
  assert [process.returncode for process in processes] == [0, 0], said
  assert_same_table(alone, out)


def test_one_that_crashes_has_the_others_started_again(flags, tmp_path, port, sweep):
  """With what schedulers take for a temporary failure, and no mistake of the user's."""
  script = (
    "import runpy, sys\n"
    "from lwlrd_jax.runs import waves as rounds\n"
    "def broken(*given): raise ZeroDivisionError('a device went away')\n"
    "rounds.run_wave = broken\n"
    f"runpy.run_path({FILE!r}, run_name='__main__')"
  )
  joined = [*flags, "--out", str(tmp_path / "r"), "--coordinator", f"127.0.0.1:{port}", "--processes", "2"]
  processes = [
    sweep(*joined, "--process-id", "0", devices=2),
    sweep(*joined, "--process-id", "1", devices=2, script=script),
  ]
  said = [process.communicate(timeout=300)[0] for process in processes]
  assert [process.returncode for process in processes] == [75, 1], said
  assert "failed: ZeroDivisionError: a device went away" in said[0]


def test_a_second_interrupt_ends_a_process_at_once(flags, tmp_path, port, sweep):
  """And the other one when it is missed, here after a few seconds."""
  script = (
    "import runpy\n"
    "from lwlrd_jax.team import team\n"
    "team._HEARTBEAT_SECONDS = 6\n"
    f"runpy.run_path({FILE!r}, run_name='__main__')"
  )
  out = tmp_path / "r"
  joined = [*flags, "--out", str(out), "--coordinator", f"127.0.0.1:{port}", "--processes", "2"]
  processes = [sweep(*joined, "--process-id", str(i), script=script) for i in range(2)]
  while not (out / "config.json").exists():
    assert processes[1].poll() is None, processes[1].communicate()
    time.sleep(0.05)
  for _ in range(2):
    processes[1].send_signal(signal.SIGINT)
    time.sleep(0.05)
  assert processes[1].wait(timeout=60) == 130
  assert processes[0].wait(timeout=100) != 0


def _after_its_first_rows(action: str) -> str:
  """A sweep that does something once the first rows it found are on disk; the first part has pictures alone."""
  return (
    "import os, runpy, signal\n"
    "from lwlrd_jax.runs import store as parts\n"
    "write = parts._write\n"
    "def written(part, found):\n"
    "  write(part, found)\n"
    "  if found.rows:\n"
    f"    {action}\n"
    "parts._write = written\n"
    f"runpy.run_path({FILE!r}, run_name='__main__')"
  )


@pytest.mark.slow  # several sweeps by several processes
def test_parts_of_a_broken_round_are_not_lost(flags, alone, tmp_path, port, sweep, assert_same_table):
  """What one had finished when the other was killed is in the table of the run that goes on."""
  out = tmp_path / "r"
  joined = [*flags, "--out", str(out), "--coordinator", f"127.0.0.1:{port}", "--processes", "2"]
  processes = [
    sweep(*joined, "--process-id", "0"),
    sweep(*joined, "--process-id", "1", script=_after_its_first_rows("os._exit(9)")),
  ]
  assert processes[1].wait(timeout=300) == 9
  processes[0].kill()
  processes[0].wait()
  assert _rows(out) == 0
  kept = [path for path in (out / ".parts").iterdir() if path.name.endswith("-1")]
  (member,) = pd.read_parquet(kept[0] / "results.parquet").member
  last = sweep(*flags, "--out", str(out), "--restartable")
  assert last.wait(timeout=300) == 0
  assert_same_table(alone, out)
  log = lwlrd_jax.load_run(out).log
  log = log[log.index[log.event == "run_resumed"][0] :]
  # Told of before anything was computed.
  told = log.index[log.member == member]
  assert len(told) == 1
  assert told[0] < log.index[log.event == "phase_begun"][0]


def test_one_that_does_not_see_the_directory_is_refused_and_ends_all(flags, sweep, port, tmp_path):
  """As on hosts whose disks are their own."""
  joined = [*flags, "--out", "r", "--coordinator", f"127.0.0.1:{port}", "--processes", "2"]
  hosts = [tmp_path / str(i) for i in range(2)]
  for host in hosts:
    host.mkdir()
  processes = [sweep(*joined, "--process-id", str(i), cwd=host) for i, host in enumerate(hosts)]
  said = [process.communicate(timeout=300)[0] for process in processes]
  assert [process.returncode for process in processes] == [2, 2]
  assert "error: --out r: process 1 does not see there what process 0 has written" in said[1]
  assert "failed: --out r" in said[0]


def test_asked_to_stop_they_all_save_and_end(flags, alone, together, sweep, port, tmp_path, assert_same_table):
  out = tmp_path / "r"
  joined = [*flags, "--out", str(out), "--restartable", "--members-per-wave", "1"]
  addressed = [*joined, "--coordinator", f"127.0.0.1:{port}", "--processes", "2"]
  asked = _after_its_first_rows("signal.raise_signal(signal.SIGTERM)")  # the other is told of it by this one
  processes = [sweep(*addressed, "--process-id", "0"), sweep(*addressed, "--process-id", "1", script=asked)]
  said = [process.communicate(timeout=300)[0] for process in processes]
  assert [process.returncode for process in processes] == [143, 143], said
  assert all("stopped after SIGTERM, and saved" in text for text in said)
  assert 2 <= _rows(out) < 12
  last = sweep(*joined)
  assert last.wait(timeout=300) == 0
  assert_same_table(alone, out)
