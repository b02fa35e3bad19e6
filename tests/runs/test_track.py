import math
import struct
import sys
import types
from collections import defaultdict

import numpy as np
import pandas as pd
import pytest

from lwlrd_jax.disk.directory import RunDirectory
from lwlrd_jax.errors import UserError
from lwlrd_jax.runs import track
from lwlrd_jax.runs.track import Trackers, trial

ROWS = {
  "a": {"member": "a", "seed": 0, "defense": "lwlrd", "decay": 0.3, "status": "ok", "auc": 0.75, "reid": 0.5},
  # As a table that is read back has empty cells.
  "b": {"member": "b", "seed": 1, "defense": "vanilla", "decay": math.nan, "finish": pd.NA, "status": "ok", "auc": 1.0,
        "reid": None},
}  # fmt: skip


@pytest.fixture
def directory(tmp_path):
  run = RunDirectory.create(tmp_path / "run", overwrite=False)
  run.write_config({"started": "2026-01-01T00:00:00+00:00"})
  return run


def read_events(folder):
  """TensorBoard's events of the files in a folder, by its own protocol buffers."""
  from tensorboardX.proto.event_pb2 import Event  # noqa: PLC0415

  for file in sorted(folder.glob("events.*")):
    data = file.read_bytes()
    while data:  # length, checksum, event, checksum
      (length,) = struct.unpack("<Q", data[:8])
      yield Event.FromString(data[12 : 12 + length])
      data = data[16 + length :]


def read_trial(folder):
  """Columns, settings and figures that TensorBoard shows of a trial, and how it ended."""
  from tensorboardX.proto.plugin_hparams_pb2 import HParamsPluginData  # noqa: PLC0415

  columns: set[str] = set()
  settings, ends = {}, []
  figures = defaultdict(list)
  for event in read_events(folder):
    for value in event.summary.value:
      if value.metadata.plugin_data.plugin_name != "hparams":
        figures[value.tag].append(value.simple_value)
        continue
      about = HParamsPluginData.FromString(value.metadata.plugin_data.content)
      columns |= {info.name for info in about.experiment.hparam_infos}
      for name, setting in about.session_start_info.hparams.items():
        settings[name] = getattr(setting, setting.WhichOneof("kind"))
      if about.HasField("session_end_info"):
        ends.append(about.session_end_info.status)
  return columns, settings, dict(figures), ends


def test_a_trial_has_no_empty_cells():
  found = trial("run", "now", ROWS["b"])
  assert found.settings == {"seed": 1, "defense": "vanilla", "status": "ok"}
  assert found.figures == {"auc": 1.0}
  same, other = trial("run", "now", ROWS["b"]), trial("run", "later", ROWS["b"])
  assert found.identity == same.identity
  assert len({found.identity, other.identity, trial("run", "now", ROWS["a"]).identity}) == 3


def test_tensorboard(directory):
  Trackers(("tensorboard",), directory).record(ROWS)
  columns, settings, figures, ends = read_trial(directory.path / "tensorboard" / "a")
  assert columns == set(track.SETTINGS)
  assert settings == {"seed": 0, "defense": "lwlrd", "decay": 0.3, "status": "ok"}
  assert figures == {"auc": [0.75], "reid": [0.5]}
  assert len(ends) == 1
  columns, settings, figures, _ = read_trial(directory.path / "tensorboard" / "b")
  # Whichever trial comes first, it has all columns.
  assert columns == set(track.SETTINGS)
  assert "decay" not in settings
  assert figures == {"auc": [1.0]}


def test_no_member_twice(directory, monkeypatch):
  seen = []
  monkeypatch.setitem(track._OPEN, "mlflow", lambda path: lambda trial: seen.append(trial.member))
  first = Trackers(("mlflow",), directory)
  first.record({"a": ROWS["a"]})
  first.record(ROWS)
  assert seen == ["a", "b"]
  assert directory.read_config()["tracked"] == {"mlflow": ["a", "b"]}
  Trackers(("mlflow",), directory).record(ROWS)
  assert seen == ["a", "b"]


def test_killed_before_it_could_say_so_tensorboard_has_no_member_twice(directory):
  Trackers(("tensorboard",), directory).record(ROWS)
  directory.update_config(tracked={})
  Trackers(("tensorboard",), directory).record(ROWS)
  _, _, figures, _ = read_trial(directory.path / "tensorboard" / "a")
  assert figures["auc"] == [0.75]


def test_a_tracker_that_fails_stops_nothing_and_is_recorded_afterwards(directory, monkeypatch, capsys):
  seen: list[str] = []

  def write(trial):
    if trial.member == "b" and len(seen) == 1:
      raise ConnectionError("no way [there]\nand more")
    seen.append(trial.member)

  monkeypatch.setitem(track._OPEN, "wandb", lambda path: write)
  broken = Trackers(("wandb", "tensorboard"), directory)
  broken.record(ROWS)
  said = " ".join(capsys.readouterr().err.split())
  assert said == (
    "--track wandb: ConnectionError: no way [there]; the run continues without it, --resume records what is missing"
  )
  broken.record(ROWS)
  assert capsys.readouterr().err == ""
  assert directory.read_config()["tracked"] == {"wandb": ["a"], "tensorboard": ["a", "b"]}
  seen.append("later")
  Trackers(("wandb",), directory).record(ROWS)
  assert seen == ["a", "later", "b"]


class FakeRun:
  def __init__(self, **about):
    self.about = about
    self.figures: dict[str, float] = {}
    self.finished = False
    self.log = self.figures.update

  def __enter__(self):
    return self

  def __exit__(self, *_):
    self.finished = True


def test_wandb_gets_settings_and_figures_and_nothing_else(directory, monkeypatch):
  runs = []

  def init(**about):
    runs.append(FakeRun(**about))
    return runs[-1]

  fake = types.SimpleNamespace(Settings=dict, init=init)
  monkeypatch.setitem(sys.modules, "wandb", fake)
  monkeypatch.delenv("WANDB_ERROR_REPORTING", raising=False)
  Trackers(("wandb",), directory).record(ROWS)
  first, second = runs
  assert first.about["config"] == {"seed": 0, "defense": "lwlrd", "decay": 0.3, "status": "ok"}
  assert first.about["name"] == "a"
  assert first.about["group"] == "run"
  assert first.about["dir"] == directory.path
  assert first.figures == {"auc": 0.75, "reid": 0.5}
  assert first.finished
  assert first.about["id"] != second.about["id"]
  settings = first.about["settings"]
  assert settings["console"] == "off"
  assert all(settings[name] for name in ("disable_code", "disable_git", "x_disable_meta", "x_disable_stats"))


class FakeMlflowClient:
  """Experiments and runs in memory."""

  stores: dict[str, dict[str, dict]] = {}  # noqa: RUF012

  def __init__(self, uri):
    self.runs = self.stores.setdefault(uri, {})

  def get_experiment_by_name(self, name):
    return types.SimpleNamespace(experiment_id=name) if self.runs else None

  def create_experiment(self, name):
    return name

  def search_runs(self, experiments, asked):
    found = [name for name, run in self.runs.items() if f"'{run['tags']['lwlrd_jax.identity']}'" in asked]
    return [self._as_entity(name) for name in found]

  def create_run(self, experiment, run_name, tags):
    self.runs[run_name] = {"tags": tags, "experiment": experiment, "figures": {}, "ended": False}
    return self._as_entity(run_name)

  def log_batch(self, run, metrics, params):
    self.runs[run]["figures"] |= {metric[0]: metric[1] for metric in metrics}
    self.runs[run]["settings"] = dict(params)

  def set_terminated(self, run):
    self.runs[run]["ended"] = True

  @staticmethod
  def _as_entity(name):
    return types.SimpleNamespace(info=types.SimpleNamespace(run_id=name))


@pytest.fixture
def fake_mlflow(monkeypatch):
  entities = types.SimpleNamespace(Metric=lambda *parts: parts, Param=lambda *parts: parts)
  monkeypatch.setitem(sys.modules, "mlflow", types.SimpleNamespace(MlflowClient=FakeMlflowClient, entities=entities))
  monkeypatch.setitem(sys.modules, "mlflow.entities", entities)
  monkeypatch.setattr(FakeMlflowClient, "stores", {})
  for name in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME"):
    monkeypatch.delenv(name, raising=False)
  return FakeMlflowClient.stores


def test_mlflow_in_the_run_directory(directory, fake_mlflow):
  Trackers(("mlflow",), directory).record(ROWS)
  directory.update_config(tracked={})  # as if killed before it could say so
  Trackers(("mlflow",), directory).record(ROWS)
  runs = fake_mlflow.pop(f"sqlite:///{directory.path / 'mlflow.db'}")
  assert not fake_mlflow
  assert set(runs) == {"a", "b"}
  assert runs["a"]["figures"] == {"auc": 0.75, "reid": 0.5}
  assert runs["a"]["settings"] == {"seed": "0", "defense": "lwlrd", "decay": "0.3", "status": "ok"}
  assert runs["a"]["ended"]
  assert runs["a"]["experiment"] == "lwlrd_jax"


def test_mlflow_elsewhere(directory, fake_mlflow, monkeypatch):
  monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://server")
  monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "mine")
  Trackers(("mlflow",), directory).record(ROWS)
  assert fake_mlflow["http://server"]["a"]["experiment"] == "mine"


def test_wandb_without_a_key_is_a_mistake_before_any_work(monkeypatch):
  class Error(Exception):
    pass

  asked = []

  def login():
    asked.append(1)
    raise Error("No API key configured. Use `wandb login` to log in.")

  settings = types.SimpleNamespace(mode="online")
  fake = types.SimpleNamespace(Error=Error, login=login, setup=lambda: types.SimpleNamespace(settings=settings))
  monkeypatch.setitem(sys.modules, "wandb", fake)
  with pytest.raises(UserError, match=r"^`track` wandb: No API key .*; allowed: after `wandb login`, or WANDB_MODE"):
    track.check_ready(("tensorboard", "wandb"))
  settings.mode = "offline"
  track.check_ready(("wandb",))
  track.check_ready(("mlflow",))
  assert len(asked) == 1


def test_wandb_itself_offline(directory, monkeypatch):
  pytest.importorskip("wandb")
  monkeypatch.setenv("WANDB_MODE", "offline")
  track.check_ready(("wandb",))
  Trackers(("wandb",), directory).record(ROWS)
  assert directory.read_config()["tracked"] == {"wandb": ["a", "b"]}
  logs = [file.read_bytes() for file in (directory.path / "wandb").glob("offline-run-*/run-*.wandb")]
  assert len(logs) == 2
  assert sum(b'"lwlrd"' in text and b"0.75" in text for text in logs) == 1
  # What else it would send lies there: the machine, what is installed, the console, code.
  assert not list((directory.path / "wandb").glob("offline-run-*/files/*"))


def test_mlflow_itself(directory, monkeypatch):
  mlflow = pytest.importorskip("mlflow")
  for name in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME"):
    monkeypatch.delenv(name, raising=False)
  monkeypatch.chdir(directory.path.parent)
  Trackers(("mlflow",), directory).record(ROWS)
  directory.update_config(tracked={})  # as if killed before it could say so
  Trackers(("mlflow",), directory).record(ROWS)
  client = mlflow.MlflowClient(f"sqlite:///{directory.path / 'mlflow.db'}")
  (experiment,) = (found for found in client.search_experiments() if found.name == "lwlrd_jax")
  runs = {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}
  assert set(runs) == {"a", "b"}
  assert runs["a"].data.metrics == {"auc": 0.75, "reid": 0.5}
  assert runs["a"].data.params["decay"] == "0.3"
  assert {run.info.status for run in runs.values()} == {"FINISHED"}
  assert [path.name for path in directory.path.parent.iterdir()] == ["run"]  # nothing beside it


def test_figures_are_numbers_and_settings_say_what_a_member_is():
  assert {"auc", "reid", "ssim", "ber", "surviving_bytes", "seconds", "accuracy"} <= set(track.FIGURES)
  asked = {"attack", "defense", "decay", "lr_max", "epochs", "shape", "optimizer", "granularity", "seed", "finish"}
  assert asked <= set(track.SETTINGS)
  assert not set(track.FIGURES) & set(track.SETTINGS)
  assert trial("run", "now", {"member": "a", "auc": np.float32(0.5)}).figures == {"auc": 0.5}
