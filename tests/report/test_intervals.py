"""What the page says of intervals, and of figures that cannot be told apart."""

import re
from typing import Any

import numpy as np
import pytest

from lwlrd_jax.analysis.verdict import judge
from lwlrd_jax.report import write_report
from lwlrd_jax.report.figures import frontier
from lwlrd_jax.report.grids import worth, worth_controls
from lwlrd_jax.report.load import load
from lwlrd_jax.report.page import render
from lwlrd_jax.report.sentences import sentences
from lwlrd_jax.report.tables import table_of

DECAYS = (0.3, 0.5, 0.7)


def say(verdict):
  return [text.replace("\u00a0", " ") for _, text in sentences(verdict, stolen=256)]


def close(rows, **auc):
  """The same rows with other utility by defence."""
  found = {name: {"auc": value, "balanced_accuracy": value - 0.4} for name, value in auc.items()}
  return [row | found[row["defense"]] if row["defense"] in auc else row for row in rows]


def test_figures_carry_the_intervals_of_the_table(make):
  verdict = make.judged(make.sweep(DECAYS, seeds=3))
  table = table_of(verdict.averaged, verdict)
  names = [text for text, _, _ in table.headers]
  cells = next(row.cells for row in table.rows if row.kind == "winner")
  winner = dict(zip(names, [cell.text for cell in cells], strict=True))
  assert re.fullmatch(r"0\.\d{3} \[0\.\d{3}, 0\.\d{3}\]", winner["AUC"])
  first, cost, leak = say(verdict)
  assert f"its AUC on the test split is {winner['AUC']} (means of 3 infections)" in first
  assert cost.startswith(f"Its AUC is {winner['AUC']}, 0.0")
  assert f"After it, {winner['re-identified, %']} % of the 256 stolen images" in leak
  assert f"SSIM is {winner['SSIM, best']} where" in leak


def test_one_infection_is_said_wherever_there_are_intervals(make, tmp_path):
  rows = make.worth(make.sweep(DECAYS))
  assert say(make.judged(rows))[0].endswith("(One infection: the interval is over images only.)")
  run = make.run(tmp_path / "one", rows, outcomes=True, samples=False)
  write_report(run)
  # The sentences, two figures, what images are worth, the table; and the paragraph on intervals.
  assert (run / "report.html").read_text().lower().count("one infection: the interval") >= 5
  several = make.run(tmp_path / "three", make.sweep(DECAYS, seeds=3), outcomes=True, samples=False)
  loaded = load(several)
  text = render(loaded, [])
  assert "one infection: the interval" not in text.lower()
  assert "In brackets: 95 % intervals." in text


def test_a_wide_interval_does_not_squeeze_the_points(make, tmp_path):
  rows = make.sweep(DECAYS, seeds=2)
  for row in rows:
    if row["defense"] == "lwlrd" and row["decay"] == DECAYS[-1]:
      row["auc"] = (0.5, 0.88)[row["seed"]]
  run = load(make.run(tmp_path / "run", rows, outcomes=True, samples=False))
  assert run.verdict.averaged.auc_high.max() - run.verdict.averaged.auc_low.min() > 0.9
  figure = frontier.draw(run)
  assert figure is not None
  low, high = figure.axes[0].get_ylim()
  assert 0.2 < low < 0.5  # every infection is on it
  assert 0.9 < high < 1.2


def test_without_outcomes_nothing_is_said_of_intervals(make, tmp_path):
  run = load(make.run(tmp_path / "run", make.sweep(DECAYS), samples=False))
  text = render(run, [])
  assert not re.search(r"interval|distinguishable|Rivals", text.split("<h2>How leakage is measured</h2>")[0])
  assert "In brackets" not in text


def test_what_is_close_is_not_distinguishable(make):
  cost = say(make.judged(close(make.sweep(DECAYS), untreated=0.851, high_lr=0.849)))[1]
  assert "not distinguishable from the untreated model's 0.851 (difference \u22120.001 [" in cost
  assert re.search(r"and 0\.050 \[0\.\d+, 0\.\d+\] below a never infected model's 0\.900", cost)


def test_a_baseline_that_wins_is_compared_with_the_method(make):
  first = say(make.judged(close(make.sweep(DECAYS), high_lr=0.88)))[0]
  assert re.search(r"it loses 0\.030 and has AUC 0\.850 \[[^]]+\]\.", first)


def test_a_winner_of_the_validation_split_is_told_as_such(make, tmp_path):
  rows = [row | {"auc_val": row["auc"] and row["auc"] + 0.01} for row in make.sweep(DECAYS)]
  verdict = make.judged(rows)
  assert (
    "it loses least utility, 0.030 on the validation split; its AUC on the test split is 0.850 [" in say(verdict)[0]
  )
  run = load(make.run(tmp_path / "run", rows, samples=False))
  text = " ".join(render(run, []).split())
  assert "chosen on the same test split" not in text
  assert "which had no part in the choice" in text


def test_what_stolen_images_are_worth(make):
  verdict = make.judged(make.worth(make.sweep(DECAYS, seeds=3)))
  found = worth(verdict)
  assert found is not None
  assert [name for name, _ in worth_controls(verdict)] == [
    "true originals (control)",
    "mean image (control)",
    "noise images (control)",
  ]
  cells = {name: cell for name, _, (cell,) in found.rows}
  assert cells["LWLRD 0.5"].verdict == cells["high-LR"].verdict == "unusable"
  assert re.fullmatch(r"0\.294 \[0\.\d+, 0\.\d+\] better", cells["untreated"].verdict)
  assert re.fullmatch(r"0\.530 \[0\.\d+, 0\.\d+\]", cells["LWLRD 0.5"].figures)
  assert [name for name, best, _ in found.rows if best] == ["LWLRD 0.5"]
  assert re.fullmatch(r"0\.840 \[[^]]+\]", dict(worth_controls(verdict))["true originals (control)"])


def test_unusable_is_never_said_without_an_interval(make):
  rows = make.worth(make.sweep(DECAYS))
  without = judge(make.table(rows), chance=1 / 2048, stolen=256)
  found = worth(without)
  assert found is not None
  assert {cell.verdict for _, _, cells in found.rows for cell in cells} == {""}
  no_floor = worth(make.judged([row for row in rows if row["defense"] != "mean_image"]))
  assert no_floor is not None
  assert {cell.verdict for _, _, cells in no_floor.rows for cell in cells} == {""}
  assert worth(make.judged(make.sweep(DECAYS))) is None


def test_a_small_advantage_is_not_called_unusable(make):
  rows = [
    row | ({"downstream_auc": 0.55} if row["defense"] == "lwlrd" else {}) for row in make.worth(make.sweep((0.5,)))
  ]
  found = worth(make.judged(rows))
  assert found is not None
  (cell,) = next(cells for name, _, cells in found.rows if name.startswith("LWLRD"))
  assert re.fullmatch(r"0\.020 \[0\.\d+, 0\.\d+\] better", cell.verdict)


def test_attacks_with_few_images_are_told_apart(make, tmp_path):
  rows = [
    row | ({"stolen": 8} if row["attack"] == "dec-dead" else {"stolen": 256} if row["attack"] != "none" else {})
    for row in make.carriers((0.5,))
  ]
  run = load(make.run(tmp_path / "run", rows, samples=False))
  text = render(run, [])
  assert "Too few stolen images of dec-dead (8) to tell" in text
  assert "<dd>8 or 256</dd>" in text
  leak = say(run.verdict)[2]
  assert re.search(r"% of the (8|256) stolen images", leak)


BROKEN: dict[str, dict[str, Any]] = {
  "of another test split": {"auc/a": np.zeros(7, np.float32)},
  "no list": {"reid/a": np.zeros((2, 2), np.float32)},
  "whole numbers": {"reid/a": np.zeros(9, int)},
  "empty": {"ssim/a": np.zeros(0, np.float32)},
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_outcomes_are_one_line(make, tmp_path, name):
  run = make.run(tmp_path / "run", make.controls(), samples=False)
  np.savez(run / "outcomes.npz", **BROKEN[name])
  with pytest.raises(Exception, match=r"outcomes\.npz: \w+/a is .*; allowed: float\["):
    load(run)


def test_outcomes_of_a_later_version_do_no_harm(make, tmp_path):
  run = make.run(tmp_path / "run", make.controls(), samples=False)
  arrays: dict[str, Any] = {"new/a": np.zeros((3, 3)), "reid/nobody": np.zeros(4, np.float32)}
  np.savez(run / "outcomes.npz", **arrays)
  assert load(run).outcomes.samples("reid", ["transpose-untreated-s0"]) == {}
