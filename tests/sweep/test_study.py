"""Several sweeps under one command."""

import shutil
from pathlib import Path

import pytest

import lwlrd_jax
from lwlrd_jax.errors import UserError
from lwlrd_jax.runs import study
from lwlrd_jax.sweep import main
from lwlrd_jax.watch.log import read_log


@pytest.fixture(scope="module", autouse=True)
def let_go():
  """Keeps compiled programs, which a study lets go of after each run; what it is called for is counted."""
  called: list[int] = []
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(study.jax, "clear_caches", lambda: called.append(1))
    yield called


@pytest.fixture(scope="module")
def command(npz, tmp_path_factory):
  """A study of two short sweeps."""
  file = tmp_path_factory.mktemp("study") / "two.py"
  file.write_text(
    "from pathlib import Path\n"
    "from lwlrd_jax.config import Data, FineTuning, Infection, SweepConfig\n"
    "CONFIGS = {\n"
    "  f'decay-{decay}': SweepConfig(\n"
    "    tuning=FineTuning(decays=str(decay), epochs=1, batch_size=32, baselines=False),\n"
    f"    data=Data(dataset='npz', npz=Path({str(npz)!r})),\n"
    "    infection=Infection(attacks='transpose', stolen=8, infect_steps=20),\n"
    "  )\n"
    "  for decay in (0.3, 0.7)\n"
    "}\n"
  )
  return ["--config", str(file)]


@pytest.fixture(scope="module")
def done(command, tmp_path_factory, let_go):
  out = tmp_path_factory.mktemp("runs") / "done"
  before = len(let_go)
  assert main([*command, "--out", str(out)]) == 0
  assert len(let_go) - before == 4  # two runs, looked at and made
  return out


def test_each_run_has_a_folder_and_all_are_told_of_together(done):
  assert {path.name for path in done.iterdir()} >= {"decay-0.3", "decay-0.7", "comparison.html"}
  assert done.stat().st_mode & 0o777 == 0o700
  for decay in (0.3, 0.7):
    run = lwlrd_jax.load_run(done / f"decay-{decay}")
    assert run.find(decay=decay).status == "ok"
    assert (run.path / "report.html").exists()
    assert f"decay-{decay}" in (done / "comparison.html").read_text()


def test_each_run_has_a_log_and_the_study_one_of_what_belongs_to_none(done):
  for decay in (0.3, 0.7):
    events = lwlrd_jax.load_run(done / f"decay-{decay}").log.event.tolist()
    assert events[0] == "run_begun"
    assert events[-1] == "run_done"
    assert events.count("run_begun") == 1
  log = read_log(done)
  assert log[0]["event"] == "study_begun"
  assert log[0]["runs"] == ["decay-0.3", "decay-0.7"]
  said = [event["said"] for event in log if event["event"] == "message"]
  assert said[:2] == ["decay-0.3, run 1 of 2", "decay-0.7, run 2 of 2"]
  assert said[2].startswith("comparison: ")
  assert log[-1]["event"] == "study_done"


def test_it_goes_on_where_it_stopped(command, tmp_path, monkeypatch, capsys):
  out = tmp_path / "r"
  calls = []

  def stop_before_the_second(config, command, team):
    calls.append(Path(config.run.out).name)
    if len(calls) == 2:
      raise KeyboardInterrupt
    return execute(config, command, team)

  execute = study.run_sweep
  monkeypatch.setattr(study, "run_sweep", stop_before_the_second)
  assert main([*command, "--out", str(out)]) == 130
  assert not (out / "comparison.html").exists()
  assert main([*command, "--out", str(out)]) == 2
  assert "is there already; allowed: another folder, --resume or --overwrite" in capsys.readouterr().err
  assert main([*command, "--out", str(out), "--resume"]) == 0
  # What was done is looked at, for its flags, and not done again.
  assert calls == ["decay-0.3", "decay-0.7", "decay-0.3", "decay-0.7"]
  assert "fine-tuning" not in capsys.readouterr().err.split("run 2 of 2")[0]
  assert (out / "comparison.html").exists()
  assert main([*command, "--out", str(out), "--resume", "--epochs", "2"]) == 2
  assert "--epochs 2: the run to resume had 1" in capsys.readouterr().err
  assert main([*command, "--out", str(tmp_path / "typo"), "--resume"]) == 2
  assert "there is no study in" in capsys.readouterr().err


def test_a_file_beside_named_data_sets(command, npz, tmp_path, monkeypatch):
  """`--npz` is for the runs that take a file."""
  file = tmp_path / "mixed.py"
  file.write_text(
    "from lwlrd_jax.config import Data, Infection, SweepConfig\n"
    "infection = Infection(attacks='transpose', stolen=8)\n"
    "CONFIGS = {name: SweepConfig(data=Data(dataset=name), infection=infection) for name in ('phantom', 'npz')}\n"
  )
  seen: dict[str, Path | None] = {}
  monkeypatch.setattr(study, "run_sweep", lambda config, *_: seen.setdefault(config.data.dataset, config.data.npz))
  monkeypatch.setattr("lwlrd_jax.report.compare.write_comparison", lambda runs, out: out)
  assert main(["--config", str(file), "--npz", str(npz), "--out", str(tmp_path / "r")]) == 0
  assert seen == {"phantom": None, "npz": npz}


def test_a_copy_of_mimic_beside_other_data_sets(tmp_path, monkeypatch, capsys):
  """`--mimic-dir` is for the runs that read it; where none does, it is a mistake."""
  seen: dict[str, Path | None] = {}
  monkeypatch.setattr(study, "run_sweep", lambda one, *_: seen.setdefault(one.data.dataset, one.data.mimic_dir))
  monkeypatch.setattr(study, "check_sweep", lambda *_: None)
  monkeypatch.setattr("lwlrd_jax.report.compare.write_comparison", lambda runs, out: out)

  def run(*names):
    file = tmp_path / "mixed.py"
    file.write_text(
      "from lwlrd_jax.config import Data, SweepConfig\n"
      f"CONFIGS = {{name: SweepConfig(data=Data(dataset=name)) for name in {names!r}}}\n"
    )
    return main(["--config", str(file), "--mimic-dir", str(tmp_path), "--out", str(tmp_path / "-".join(names))])

  assert run("phantom", "mimic-cxr") == 0
  assert seen == {"phantom": None, "mimic-cxr": tmp_path}
  seen.clear()
  assert run("phantom", "dermamnist") == 0
  assert set(seen.values()) == {tmp_path}  # `load_dataset` refuses it


@pytest.mark.slow  # two sweeps whose programs nothing else has
def test_each_run_has_its_own_precision(npz, tmp_path, capsys):
  file = tmp_path / "two.py"
  file.write_text(
    "from pathlib import Path\n"
    "from lwlrd_jax.config import Data, FineTuning, Infection, Run, SweepConfig\n"
    "CONFIGS = {\n"
    "  precision: SweepConfig(\n"
    "    tuning=FineTuning(decays='0.5', epochs=1, batch_size=32, baselines=False),\n"
    f"    data=Data(dataset='npz', npz=Path({str(npz)!r})),\n"
    "    infection=Infection(attacks='transpose', stolen=8, infect_steps=21),\n"
    "    run=Run(matmul_precision=precision),\n"
    "  )\n"
    "  for precision in ('default', 'float32')\n"
    "}\n"
  )
  out = tmp_path / "r"
  assert main(["--config", str(file), "--out", str(out)]) == 0
  assert [lwlrd_jax.load_run(out / name).config["matmul_precision"] for name in ("default", "float32")] == [
    "default",
    "float32",
  ]
  # What one precision trained is not the other's.
  assert "from the cache" not in capsys.readouterr().err


def test_a_mistake_in_the_last_run_shows_before_the_first(tmp_path, capsys):
  file = tmp_path / "mixed.py"
  file.write_text(
    "from lwlrd_jax.config import Data, SweepConfig\n"
    "CONFIGS = {name: SweepConfig(data=Data(dataset=name)) for name in ('phantom', 'npz')}\n"
  )
  assert main(["--config", str(file), "--out", str(tmp_path / "r")]) == 2
  assert "--dataset npz: needs --npz FILE" in capsys.readouterr().err
  assert not (tmp_path / "r").exists()


def test_a_run_killed_before_its_first_file_is_begun_anew(command, done, tmp_path):
  out = tmp_path / "r"
  shutil.copytree(done, out)
  shutil.rmtree(out / "decay-0.7")
  (out / "decay-0.7").mkdir()
  assert main([*command, "--out", str(out), "--resume"]) == 0
  assert (out / "decay-0.7" / "results.parquet").exists()


def test_a_killed_overwrite_takes_nothing_old_for_done(command, done, tmp_path, monkeypatch):
  out = tmp_path / "r"
  shutil.copytree(done, out)

  def kill(*_):
    raise KeyboardInterrupt

  with monkeypatch.context() as patch:
    patch.setattr(study, "run_sweep", kill)
    assert main([*command, "--out", str(out), "--overwrite"]) == 130
  assert not (out / "decay-0.3").exists()
  assert not (out / "decay-0.7").exists()


def test_a_mistake_costs_no_old_run(command, done, tmp_path):
  out = tmp_path / "r"
  shutil.copytree(done, out)
  assert main([*command, "--out", str(out), "--overwrite", "--stolen", "1000000"]) == 2
  assert len(list(out.glob("decay-*/results.parquet"))) == 2


def test_a_mistake_in_a_later_run_brings_no_old_one_back(command, done, tmp_path, monkeypatch, capsys):
  out = tmp_path / "r"
  shutil.copytree(done, out)

  def second_is_wrong(config, *_):
    if Path(config.run.out).name == "decay-0.7":
      raise UserError("--stolen 9: no")
    Path(config.run.out).mkdir()

  with monkeypatch.context() as patch:
    patch.setattr(study, "run_sweep", second_is_wrong)
    assert main([*command, "--out", str(out), "--overwrite"]) == 2
  assert not (out / "decay-0.7").exists()
  assert (out / ".decay-0.7.replaced" / "results.parquet").exists()
  assert f"--stolen 9: no (the old runs: {out / '.decay-0.3.replaced'}" in capsys.readouterr().err


def test_overwrite_replaces_every_run(command, done, tmp_path):
  out = tmp_path / "r"
  shutil.copytree(done, out)
  before = {path: path.stat().st_mtime_ns for path in out.glob("*/results.parquet")}
  assert len(before) == 2
  assert main([*command, "--out", str(out), "--overwrite"]) == 0
  assert all(path.stat().st_mtime_ns > time for path, time in before.items())
