"""One sweep by several processes: the same table, and one that fails ends all."""

import shutil
import signal
import time

import numpy as np
import pytest

import lwlrd_jax


@pytest.mark.parametrize("count", [2, 4])
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


def test_a_run_goes_on_with_another_number_of_processes(flags, alone, together, sweep, tmp_path, assert_same_table):
  out = tmp_path / "r"
  half = sweep(*flags, "--out", str(out), "--members-per-wave", "1")
  while not (out / "results.parquet").exists():
    assert half.poll() is None, half.communicate()
    time.sleep(0.05)
  half.send_signal(signal.SIGKILL)
  half.wait()
  ended = together(2, out, *flags, "--restartable")
  assert [code for code, _ in ended] == [0, 0], "\n".join(said for _, said in ended)
  assert_same_table(alone, out)


def test_one_that_does_not_see_the_directory_is_refused_and_ends_all(flags, sweep, port, tmp_path):
  joined = [*flags, "--coordinator", f"127.0.0.1:{port}", "--processes", "2"]
  processes = [sweep(*joined, "--out", str(tmp_path / f"r{i}"), "--process-id", str(i)) for i in range(2)]
  said = [process.communicate(timeout=300)[0] for process in processes]
  assert [process.returncode for process in processes] == [2, 2]
  assert f"error: --out {tmp_path / 'r1'}: process 1 does not see there what process 0 has written" in said[1]
  assert "failed: --out" in said[0]


def test_one_that_has_other_images_is_refused(flags, sweep, port, tmp_path):
  other = tmp_path / "other.npz"
  shutil.copy(flags[flags.index("--npz") + 1], other)
  with np.load(other) as arrays:
    changed = dict(arrays)
  changed["test_labels"] = changed["test_labels"][::-1]
  np.savez(other, **changed)
  joined = [*flags, "--out", str(tmp_path / "r"), "--coordinator", f"127.0.0.1:{port}", "--processes", "2"]
  processes = [sweep(*joined, "--process-id", str(i), *(("--npz", str(other)) if i else ())) for i in range(2)]
  said = [process.communicate(timeout=300)[0] for process in processes]
  assert [process.returncode for process in processes] == [2, 2]
  assert "process 1 has other images or labels than process 0" in said[1]


def test_asked_to_stop_they_all_save_and_end(flags, alone, together, sweep, port, tmp_path, assert_same_table):
  out = tmp_path / "r"
  joined = [*flags, "--out", str(out), "--restartable", "--members-per-wave", "1"]
  addressed = [*joined, "--coordinator", f"127.0.0.1:{port}", "--processes", "2"]
  processes = [sweep(*addressed, "--process-id", str(i)) for i in range(2)]
  while not (out / "results.parquet").exists():
    assert processes[1].poll() is None, processes[1].communicate()
    time.sleep(0.05)
  processes[1].send_signal(signal.SIGTERM)  # the other is told of it by this one
  said = [process.communicate(timeout=300)[0] for process in processes]
  assert [process.returncode for process in processes] == [143, 143], said
  assert all("stopped after SIGTERM, and saved" in text for text in said)
  last = sweep(*joined)
  assert last.wait(timeout=300) == 0
  assert_same_table(alone, out)
