import io
import json
import subprocess
import sys

import pytest

from lwlrd_jax import load_run
from lwlrd_jax.disk.directory import RunDirectory
from lwlrd_jax.errors import UserError
from lwlrd_jax.watch import log, progress


def names(directory):
  return [event["event"] for event in log.read_log(directory)]


def test_what_happens_before_there_is_a_directory_is_kept(tmp_path):
  log.event("nobody_listens")
  with log.recording():
    log.event("early", count=1)
    early = tmp_path / log.FILE
    assert not early.exists()
    log.write_to(tmp_path)
    assert names(tmp_path) == ["early"]
    log.event("late", loss=float("nan"), where=tmp_path)
    (tmp_path / "other").mkdir()
    log.write_to(tmp_path / "other")
    log.event("elsewhere")
  log.event("nobody_listens")
  first, second = log.read_log(tmp_path)
  assert first["event"] == "early"
  assert first["count"] == 1
  assert second == {"time": second["time"], "event": "late", "loss": None, "where": str(tmp_path)}
  assert first["time"] <= second["time"]
  assert first["time"].endswith("+00:00")
  assert len(first["time"]) == len("2026-01-01T00:00:00.000+00:00")
  assert names(tmp_path / "other") == ["elsewhere"]


def test_one_recording_knows_nothing_of_another(tmp_path):
  with log.recording():
    log.event("never_written")
  with log.recording():
    log.write_to(tmp_path)
    log.event("written")
  assert names(tmp_path) == ["written"]


def test_outside_of_a_recording_nothing_is_written(tmp_path):
  log.write_to(tmp_path)
  log.event("nobody_listens")
  assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
  ("error", "last"),
  [
    (UserError("--out: no"), {"event": "run_stopped", "said": "error: --out: no"}),
    (
      KeyboardInterrupt(),
      {"event": "run_stopped", "said": "interrupted; --resume continues from the last finished wave"},
    ),
    (SystemExit(), {"event": "run_stopped", "said": "SystemExit"}),
    (RuntimeError("out of memory"), {"event": "run_failed", "said": "RuntimeError: out of memory"}),
  ],
)
def test_an_exception_is_the_last_event(tmp_path, error, last):
  def stop():
    with log.recording():
      log.write_to(tmp_path)
      raise error

  with pytest.raises(type(error)):
    stop()
  (found,) = log.read_log(tmp_path)
  assert {name: found[name] for name in last} == last
  assert ("Traceback" in found.get("traceback", "")) == (last["event"] == "run_failed")


def test_a_killed_process_loses_no_event(tmp_path):
  script = f"""
import os, pathlib, signal
from lwlrd_jax.watch import log
with log.recording():
  log.write_to(pathlib.Path({str(tmp_path)!r}))
  for number in range(100):
    log.event("counted", number=number)
  os.kill(os.getpid(), signal.SIGKILL)
"""
  assert subprocess.run([sys.executable, "-c", script], check=False).returncode == -9
  assert [event["number"] for event in log.read_log(tmp_path)] == list(range(100))


def test_an_event_is_one_write(tmp_path, monkeypatch):
  written = []
  monkeypatch.setattr(log._LogFile, "_append", lambda _, line: written.append(line.decode()))
  with log.recording():
    log.write_to(tmp_path)
    log.event("long", text="x" * 100_000)
    log.event("short")
  assert [json.loads(text)["event"] for text in written] == ["long", "short"]
  assert all(text.endswith("}\n") and text.count("\n") == 1 for text in written)


def test_half_a_line_hinders_neither_readers_nor_the_next_writer(tmp_path):
  file = tmp_path / log.FILE
  file.write_bytes(b'{"time": "2026-01-01T00:00:00.000+00:00", "event": "whole"}\n{"time": "2026-01-01T0')
  assert names(tmp_path) == ["whole"]
  with log.recording():
    log.write_to(tmp_path)
    log.event("next")
  assert names(tmp_path) == ["whole", "next"]
  assert len(file.read_bytes().splitlines()) == 3


def test_a_run_of_a_version_without_a_log(tmp_path):
  assert log.read_log(tmp_path) == []
  RunDirectory(tmp_path).write_config({})
  table = load_run(tmp_path).log
  assert list(table.columns) == ["time", "event"]
  assert table.empty


def test_the_log_has_what_the_console_shows(tmp_path, capsys):
  with log.recording():
    log.write_to(tmp_path)
    with progress.phase("training", 3, members=2) as advance:
      advance(3)
    progress.console.print("codec: from the cache")
  begun, ended, message = log.read_log(tmp_path)
  about = {"title": "training", "steps": 3, "members": 2, "unit": "steps"}
  assert {**begun, **about, "event": "phase_begun"} == begun
  assert {**ended, **about, "event": "phase_ended"} == ended
  assert ended["seconds"] >= 0
  assert message["event"] == "message"
  assert capsys.readouterr().err.splitlines() == [ended["said"], message["said"]]
  assert message["said"] == "codec: from the cache"


def test_a_bar_on_a_terminal_is_no_message(tmp_path, monkeypatch):
  screen = io.StringIO()
  terminal = type(progress.console)(file=screen, force_terminal=True)
  monkeypatch.setattr(progress, "console", terminal)
  with log.recording():
    log.write_to(tmp_path)
    with progress.phase("training", 3) as advance:
      advance(1)
      terminal.print("beside the bar")
  assert "training" in screen.getvalue()
  assert names(tmp_path) == ["phase_begun", "message", "phase_ended"]
