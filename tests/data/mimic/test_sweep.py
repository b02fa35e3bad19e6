"""From a copy of the data to a report, with findings that nobody knows."""

import json

import numpy as np

import lwlrd_jax
from lwlrd_jax.sweep import main
from tests.small_sweep import narrow


def test_a_sweep(shared, tmp_path):
  out = tmp_path / "run"
  small = ["--decays", "0.5", "--no-baselines", "--epochs", "1", "--infect-steps", "20", "--stolen", "8"]
  data = ["--dataset", "mimic-cxr", "--mimic-dir", str(shared.folder), "--data-dir", str(shared.cache)]
  attacks = ["--attacks", "transpose,dec", "--finish", "none", "--codec", "png", "--quality", "10"]
  assert (shared.load(views="all", size=16).train.labels == 255).any()
  with narrow(256):
    assert main([*data, "--views", "all", "--image-size", "16", *small, *attacks, "--out", str(out)]) == 0

  run = lwlrd_jax.load_run(out)
  assert (run.results["status"].dropna() == "ok").all()
  members = run.results[run.results["accuracy"].notna()]
  assert len(members) == 5  # the clean model; two attacks, untreated and treated
  for column in ("auc", "accuracy", "balanced_accuracy", "auc_val"):
    assert members[column].between(0, 1).all()
  assert np.isfinite(members["reid"]).all()
  config = json.loads((out / "config.json").read_text())
  assert config["dataset"]["name"] == "mimic-cxr"
  assert config["dataset"]["openly_licensed"] is False
  assert (config["config"]["views"], config["config"]["uncertain"]) == ("all", "ignore")
  # Pictures of patients are kept only when asked for.
  assert not (out / "samples.npz").exists()
  assert "left out, because these data are not known to be openly licensed" in (out / "report.html").read_text()
