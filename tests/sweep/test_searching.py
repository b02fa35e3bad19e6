"""A search from the command line."""

import shutil

import numpy as np
import pandas as pd
import pytest

import lwlrd_jax
from lwlrd_jax.sweep import main

BUDGET = 5


@pytest.fixture(scope="module")
def flags(npz):
  return [
    *("--dataset", "npz", "--npz", str(npz)),
    *("--attacks", "transpose,flat", "--finish", "none", "--stolen", "8", "--infect-steps", "60"),
    *("--epochs", "2", "--batch-size", "32", "--no-baselines"),
    *("--search", str(BUDGET), "--population", "3", "--max-auc-drop", "0.2"),
  ]


@pytest.fixture(scope="module")
def run(flags, tmp_path_factory):
  out = tmp_path_factory.mktemp("runs") / "first"
  assert main([*flags, "--out", str(out)]) == 0
  return lwlrd_jax.load_run(out)


def test_every_candidate_is_run_against_every_attack(run):
  table = run.results
  searched = table[table.defense == "lwlrd"]
  by_attack = searched.groupby("attack").size().to_dict()
  assert by_attack == {"transpose": BUDGET, "transpose-flat": BUDGET}
  assert set(run.config["members"]) == set(searched.member)
  assert set(searched.finish) <= {"none", "scrub"}
  assert searched.decay.between(0.1, 0.9).all()
  assert searched.lr_max.between(1e-3, 0.02 * 5).all()  # down to the rate of the task, for starts that learn it again
  assert set(searched.start) > {"keep"}


def test_the_front_is_of_the_table_and_worst_over_attacks(run):
  found = run.config["search"]
  assert (found["tried"], found["rounds"]) == (BUDGET, 2)
  table = run.results
  untreated = table[table.defense == "untreated"].set_index("attack")
  for entry in found["front"]:
    rows = table[
      (table.defense == "lwlrd")
      & np.isclose(table.decay, entry["decay"])
      & np.isclose(table.lr_max, entry["lr_max"])
      & (table.finish == entry["finish"])
      & (table.epochs == entry["epochs"])
      & (table["shape"] == entry["shape"])
      & np.isclose(table.floor, entry["floor"])
    ].set_index("attack")
    assert len(rows) == 2
    assert entry["reid"] == pytest.approx(rows.reid.max())
    assert entry["auc_drop"] == pytest.approx((untreated.auc - rows.auc).max())
    assert entry["auc_drop_val"] == pytest.approx((untreated.auc_val - rows.auc_val).max())
  assert "Search" in (run.path / "report.html").read_text()


def test_a_stopped_search_goes_on_and_finds_the_same(run, flags, tmp_path, stop_in_wave, comparable):
  out = tmp_path / "stopped"
  stop_in_wave(4)
  assert main([*flags, "--out", str(out)]) == 130
  assert main([*flags, "--out", str(out), "--resume"]) == 0
  pd.testing.assert_frame_equal(comparable(out), comparable(run.path), check_exact=True)
  assert lwlrd_jax.load_run(out).config["search"] == run.config["search"]


def test_a_search_of_another_version_is_not_gone_on_with(run, flags, tmp_path, capsys):
  # Its schedules would stay in the table, and the verdict could name one that the search never tried.
  out = tmp_path / "other"
  shutil.copytree(run.path, out)
  table = pd.read_parquet(out / "results.parquet")
  first = table.index[table.defense == "lwlrd"][0]
  table.loc[first, "member"] = str(table.member[first]).replace("lr0", "lr9")
  table.to_parquet(out / "results.parquet", index=False)
  assert main([*flags, "--out", str(out), "--resume"]) == 2
  assert "is of another search; allowed: a new --out" in capsys.readouterr().err
  assert len(pd.read_parquet(out / "results.parquet")) == len(table)


def test_what_a_search_refuses(flags, tmp_path, capsys):
  for more, said in (
    (["--prepare", "scrub"], "--prepare scrub: "),
    (["--search", "0"], "--search 0: "),
    (["--max-auc-drop", "2"], "--max-auc-drop 2"),
  ):
    assert main([*flags, *more, "--out", str(tmp_path / "never")]) == 2
    assert capsys.readouterr().err.startswith(f"error: {said}")
