"""The product end to end, against the Transpose attack."""

import json
import subprocess
import sys

import jax
import numpy as np
import pandas as pd
import pytest
from flax import nnx

import lwlrd_jax
from lwlrd_jax.disk.results import COLUMNS
from lwlrd_jax.sweep import main

TRAIN, TEST, STOLEN = 160, 60, 8


@pytest.fixture(scope="module")
def flags(npz):
  """A short sweep of few, small waves."""
  return [
    *("--dataset", "npz", "--npz", str(npz), "--decays", "0.3,0.7", "--stolen", str(STOLEN), "--show-stolen"),
    *("--attacks", "transpose", "--finish", "none"),
    *("--infect-steps", "150", "--epochs", "2", "--batch-size", "32", "--members-per-wave", "3"),
  ]


@pytest.fixture(scope="module")
def run(flags, tmp_path_factory):
  out = tmp_path_factory.mktemp("runs") / "first"
  assert main([*flags, "--out", str(out)]) == 0
  return out


def test_table(run):
  table = lwlrd_jax.load_run(run).results
  assert list(table.columns) == list(COLUMNS)
  assert set(table.status) == {"ok"}
  assert table.defense.tolist() == [
    *("untreated", "clean", "mean_image", "originals", "noise_images"),
    *("lwlrd", "lwlrd", "vanilla", "high_lr", "reversed", "super_ft_long", "super_ft_short", "retrain", "retrain"),
  ]
  assert table.attack.tolist() == ["transpose", *["none"] * 4, *["transpose"] * 9]
  assert table.start.dropna().tolist() == [*["keep"] * 7, "redraw", "shrink-0.1"]
  untreated, clean, mean = (table[table.defense == name].iloc[0] for name in ("untreated", "clean", "mean_image"))
  # Every bit of every weight; summed in f32.
  whole = 4 * sum(lwlrd_jax.load_run(run).config["layer_parameters"])
  assert untreated.surviving_bytes == pytest.approx(whole, rel=1e-6)
  assert untreated.reid > 0.5
  assert clean.reid < 0.3
  assert mean.reid == pytest.approx(1 / TRAIN)
  assert np.isnan(mean.auc)
  sets = table.defense.isin(["mean_image", "originals", "noise_images"])
  models = table[~sets]
  assert models.auc_val.between(0, 1).all()
  assert table[table.defense.isin(["originals", "noise_images"])].reid.isna().all()
  assert table.downstream_auc.between(0, 1).all()
  assert models.auc.between(0, 1).all()
  assert (models.ssim >= models.ssim_naive).all()
  assert untreated.ssim > mean.ssim


def test_figures_image_by_image_average_to_the_table_s(run):
  table = lwlrd_jax.load_run(run).results.set_index("member")
  outcomes = lwlrd_jax.load_run(run).outcomes
  for column in ("reid", "ssim", "psnr", "mse", "auc", "downstream_auc"):
    filled = table[column].dropna()
    assert set(filled.index) == {key.split("/")[1] for key in outcomes if key.split("/")[0] == column}
    for member, figure in filled.items():
      assert outcomes[f"{column}/{member}"].mean() == pytest.approx(figure, abs=1e-5)
      assert len(outcomes[f"{column}/{member}"]) == (60 if column in {"auc", "downstream_auc"} else STOLEN)


def test_directory_is_private_and_complete(run):
  assert run.stat().st_mode & 0o777 == 0o700
  config = json.loads((run / "config.json").read_text())
  assert config["config"]["decays"] == "0.3,0.7"
  assert config["fine_tuning"] == {"epochs": 2, "batch_size": 32, "lrs": [0.02], "granularity": "layer"}
  assert config["dataset"]["train"] == TRAIN
  assert set(config["members"]) < set(lwlrd_jax.load_run(run).results.member)
  assert (run / "report.html").stat().st_size > 1000
  assert list((run / "figures").glob("*.png"))


def test_same_command_same_table(run, flags, tmp_path, comparable):
  assert main([*flags, "--out", str(tmp_path / "again")]) == 0
  pd.testing.assert_frame_equal(comparable(tmp_path / "again"), comparable(run), check_exact=True)


def test_trained_anew_or_from_the_cache_is_the_same(run, flags, tmp_path, monkeypatch, comparable):
  monkeypatch.setenv("LWLRD_JAX_CACHE", str(tmp_path / "cache"))
  assert main([*flags, "--out", str(tmp_path / "again")]) == 0
  pd.testing.assert_frame_equal(comparable(tmp_path / "again"), comparable(run), check_exact=True)


def test_a_stopped_run_goes_on_from_its_last_wave(run, flags, tmp_path, stop_in_wave, comparable):

  out = tmp_path / "stopped"
  calls = stop_in_wave(3)
  assert main([*flags, "--out", str(out)]) == 130
  before = comparable(out)
  assert len(before) == 5 + 5
  assert main([*flags, "--out", str(out)]) == 2  # not without --resume
  assert main([*flags[:-6], "--out", str(out), "--resume"]) == 2  # other flags
  assert main([*flags, "--out", str(out), "--resume"]) == 0
  assert len(calls) == 6
  pd.testing.assert_frame_equal(comparable(out), comparable(run), check_exact=True)


def test_restored_in_a_new_process_on_one_device_has_the_auc_of_its_row(run, npz):
  script = f"""
import jax, jax.numpy as jnp, numpy as np, lwlrd_jax
from sklearn.metrics import roc_auc_score
run = lwlrd_jax.load_run({str(run)!r})
model = run.restore(decay=0.7, attack="transpose")
data = np.load({str(npz)!r})
logits = model(jnp.asarray(data["test_images"] / 255, jnp.float32))
scores = np.asarray(jax.nn.softmax(logits))
labels = data["test_labels"][:, 0]
print(np.mean([roc_auc_score(labels == k, scores[:, k]) for k in range(3)]) - run.find(decay=0.7).auc)
secret = run.secret()
print(model.transpose(jnp.asarray(secret["secret"]["codes"])).shape, len(set(secret["stolen"].tolist())))
"""
  answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
  difference, rest = answer.stdout.splitlines()
  assert abs(float(difference)) < 1e-6
  assert rest == f"({STOLEN}, 12, 12, 1) {STOLEN}"


def test_find_wants_exactly_one_row(run):
  loaded = lwlrd_jax.load_run(run)
  assert loaded.find(defense="vanilla").lr_max == pytest.approx(1e-4)
  with pytest.raises(KeyError, match=r"2 members have defense=lwlrd; choose one of: transpose-lwlrd"):
    loaded.find(defense="lwlrd")
  with pytest.raises(KeyError, match=r"0 members have decay=0\.5"):
    loaded.find(decay=0.5)
  with pytest.raises(KeyError, match="no column decai"):
    loaded.find(decai=0.5)
  with pytest.raises(FileNotFoundError):
    loaded.restore(defense="mean_image")


def test_restored_parameters_may_be_indexed_by_traced_numbers(run):
  parameters = jax.tree.leaves(nnx.state(lwlrd_jax.load_run(run).restore(decay=0.7), nnx.Param))
  assert parameters
  assert all(isinstance(leaf, jax.Array) for leaf in parameters)


def test_pictures_only_of_open_data_or_on_demand(run, flags, tmp_path, comparable):
  assert (run / "samples.npz").exists()
  kept = [flag for flag in flags if flag != "--show-stolen"]
  assert main([*kept, "--no-baselines", "--out", str(tmp_path / "r")]) == 0
  assert not (tmp_path / "r" / "samples.npz").exists()
  assert len(comparable(tmp_path / "r")) == 5 + 2


def test_overwrite_and_seeds_and_the_cnn(flags, tmp_path, capsys, comparable):
  out = tmp_path / "r"
  small = [*flags, "--no-baselines", "--infect-steps", "10", "--model", "cnn", "--seeds", "2", "--out", str(out)]
  assert main(small) == 0
  table = comparable(out)
  assert table.seed.tolist() == [0] * 7 + [1] * 7
  assert not np.isclose(table.auc[5], table.auc[12], rtol=0, atol=1e-9)
  (out / "marker").write_text("")
  assert main([*small, "--decays", "0.5", "--overwrite"]) == 0
  assert not (out / "marker").exists()
  assert len(comparable(out)) == 2 * 6
  assert [path.name for path in tmp_path.iterdir()] == ["r"]


def test_a_diverging_member_spoils_nobody(flags, tmp_path, comparable):
  common = [*flags, "--no-baselines", "--optimizer", "sgd", "--decays", "1"]
  assert main([*common, "--lrs", "1e-3", "--out", str(tmp_path / "alone")]) == 0
  assert main([*common, "--lrs", "1e30,1e-3", "--out", str(tmp_path / "both")]) == 0
  alone, both = comparable(tmp_path / "alone"), comparable(tmp_path / "both")
  assert both.status.tolist() == ["ok"] * 5 + ["diverged", "ok"]
  assert np.isnan(both.auc[5])
  np.testing.assert_allclose(both.auc[6], alone.auc[5], atol=1e-5)
