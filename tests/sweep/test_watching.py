"""A run is told of in its log, in trackers, and by a trace."""

import json

import pytest

import lwlrd_jax
from lwlrd_jax.sweep import main
from lwlrd_jax.watch.log import FILE


@pytest.fixture(scope="module")
def flags(npz):
  """A sweep of two waves."""
  return [
    *("--dataset", "npz", "--npz", str(npz), "--decays", "0.3,0.7", "--stolen", "8"),
    *("--attacks", "transpose", "--finish", "none"),
    *("--infect-steps", "20", "--epochs", "1", "--batch-size", "32", "--members-per-wave", "1", "--no-baselines"),
  ]


@pytest.fixture(scope="module")
def run(flags, tmp_path_factory):
  out = tmp_path_factory.mktemp("runs") / "watched"
  assert main([*flags, "--track", "tensorboard", "--profile", "--out", str(out)]) == 0
  return lwlrd_jax.load_run(out)


def test_the_log_tells_the_run_from_its_beginning_to_its_end(run):
  lines = [json.loads(line) for line in (run.path / FILE).read_text().splitlines()]
  events = [line["event"] for line in lines]
  assert events[0] == "run_begun"
  assert "--decays 0.3,0.7" in lines[0]["command"]
  assert events[-1] == "run_done"
  assert lines[-1]["members"] == 7
  assert events.count("phase_begun") == events.count("phase_ended") >= 4
  assert [line["time"] for line in lines] == sorted(line["time"] for line in lines)
  assert any(line.get("said") == f"report: {run.path / 'report.html'}" for line in lines)


def test_the_log_as_a_table(run):
  log = run.log
  assert list(log.columns[:2]) == ["time", "event"]
  assert str(log.time.dt.tz) == "UTC"
  waves = log[log.event == "wave_done"]
  assert waves[["attack", "seed", "members"]].to_numpy().tolist() == [["transpose", 0, 1]] * 2
  assert (waves.seconds > 0).all()
  assert (waves.member_steps_per_s > 0).all()
  told = log[log.event == "member_done"].set_index("member")
  table = run.results.set_index("member")
  assert sorted(told.index) == sorted(table.index)
  for column in ("status", "auc", "reid", "ssim", "seconds"):
    assert told[column].dropna().to_dict() == table[column].dropna().to_dict()


def test_every_member_is_a_trial_of_tensorboard(run):
  trials = {folder.name for folder in (run.path / "tensorboard").iterdir()}
  assert trials == set(run.results.member)
  assert all(list((run.path / "tensorboard" / name).glob("events.*")) for name in trials)
  assert sorted(run.config["tracked"]["tensorboard"]) == sorted(trials)


def test_the_first_wave_is_traced(run):
  (trace,) = (run.path / "profile").rglob("*.xplane.pb")
  assert b"advance" in trace.read_bytes()  # the fine-tuning's compiled program
  assert run.log.said.str.contains("profile: ", na=False).sum() == 1


def test_a_run_that_goes_on_tells_nobody_anything_twice(flags, tmp_path, stop_in_wave, capsys):
  out = tmp_path / "stopped"
  stop_in_wave(2)
  assert main([*flags, "--out", str(out)]) == 130
  before = lwlrd_jax.load_run(out)
  assert before.log.event.iloc[-1] == "run_stopped"
  assert before.log.said.iloc[-1] == capsys.readouterr().err.splitlines()[-1]
  assert before.config["tracked"] == {}
  with (out / FILE).open("a") as file:
    file.write('{"time": "2026')  # a process killed while it wrote
  # With a tracker from now on, which is given what there is already.
  assert main([*flags, "--out", str(out), "--resume", "--track", "tensorboard"]) == 0
  run = lwlrd_jax.load_run(out)
  events = run.log.event.tolist()
  assert events[: len(before.log)] == before.log.event.tolist()
  assert events[len(before.log)] == "run_resumed"
  assert events[-1] == "run_done"
  assert sorted(run.log[run.log.event == "member_done"].member) == sorted(run.results.member)
  assert sorted(run.config["tracked"]["tensorboard"]) == sorted(run.results.member)
  files = sorted((out / "tensorboard").rglob("events.*"))
  assert len(files) == len(run.results)
  # There is nothing left to do, nor to tell.
  times = [file.stat().st_mtime_ns for file in files]
  assert main([*flags, "--out", str(out), "--resume", "--track", "tensorboard"]) == 0
  assert sorted((out / "tensorboard").rglob("events.*")) == files
  assert [file.stat().st_mtime_ns for file in files] == times
  assert lwlrd_jax.load_run(out).log.event.tolist().count("member_done") == len(run.results)
