import pytest

from lwlrd_jax.config import Data, Run, SweepConfig
from lwlrd_jax.errors import UserError
from lwlrd_jax.runs import study
from lwlrd_jax.team import Team


@pytest.fixture
def told(monkeypatch):
  """The configurations that would have been told of."""
  seen: list[SweepConfig] = []
  monkeypatch.setattr(study, "forecast_sweep", lambda config, team: seen.append(config))
  return seen


def config(out, dataset="phantom", **run):
  return SweepConfig(
    data=Data(dataset=dataset, npz=out / "some.npz"), run=Run(out=str(out / "study"), dry_run=True, **run)
  )


def test_a_dry_run_of_a_study_is_that_of_its_runs(told, tmp_path):
  configs = {"own": config(tmp_path, "npz", restartable=True), "drawn": config(tmp_path, restartable=True)}
  assert study._run_study(configs, [], Team()) is None
  assert [one.run.out for one in told] == [str(tmp_path / "study" / name) for name in configs]
  assert all(one.run.restartable for one in told)
  assert [one.data.npz for one in told] == [tmp_path / "some.npz", None]  # of no use to the other
  assert list(tmp_path.iterdir()) == []


def test_a_dry_run_is_refused_the_folder_that_a_study_would_be(told, tmp_path):
  (tmp_path / "study").mkdir()
  configs = {"one": config(tmp_path), "two": config(tmp_path)}
  study._run_study(configs, [], Team())
  (tmp_path / "study" / "note").touch()
  with pytest.raises(UserError, match=r"^`out` .*study: is there already"):
    study._run_study(configs, [], Team())
  assert len(told) == 2


def test_a_path_that_a_library_cannot_have_ends_in_one_line(monkeypatch):
  def fail(*_):
    "caf\udce9".encode()

  monkeypatch.setattr(study, "run_sweep", fail)
  monkeypatch.setattr(study, "keep_compiled", lambda: None)
  with pytest.raises(UserError) as caught:
    study.run_all({"": SweepConfig()}, [])
  assert str(caught.value) == r"caf\udce9: cannot be used as a path, it is no text in utf-8; allowed: another name"
