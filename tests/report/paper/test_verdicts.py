"""Where a claim holds, depends or fails: a small run for each branch."""

import math

import pytest

from lwlrd_jax.analysis.bootstrap import Interval
from lwlrd_jax.report.distinguish import OPEN
from paper.claims import write_claims
from paper.finding import overall
from paper.sections import rivals, utility

DECAYS = (0.3, 0.5, 0.7)
MINUS = "\u2212"


def test_adaptive(page, rows_of, make, tmp_path):
  rows = rows_of(("transpose", "dec", "dec-late", "dec-redundant"), lwlrd=("dec",))
  for row in rows:
    if row["attack"] == "dec-redundant":
      row["stolen"] = 8
      if row["defense"] == "lwlrd":
        row["reid"] = 0.25
  run = make.run(tmp_path / "run", rows, outcomes=True, samples=False)
  text = write_claims([run], tmp_path / "results.md").read_text()
  part = page.section(text, "Attackers")
  assert (
    "dec-late gets further than dec under 2 of 2 schedules; dec-redundant gets less far than dec-late under 2" in part
  )
  cells = page.table(part, "attacker").set_index("attacker")
  assert cells.loc["dec-redundant", "LWLRD 0.3"].startswith(
    f"25.0 (2 of 8)<br>plain 80.0 (204.8 of 256)<br>less far {MINUS}55"
  )
  assert "**further** 80.0 [" in cells.loc["dec-late", "LWLRD 0.3"]
  assert page.verdicts(text)["Attackers"] == "depends"
  assert page.facts(text)["images stolen"] == "256 (dec-redundant 8)"


def test_few_images_are_not_sure(page, rows_of, make, tmp_path):
  rows = rows_of(("transpose",), lwlrd=("transpose",))
  for row in rows:
    row["stolen"] = 8 if row["attack"] == "transpose" else None
  run = make.run(tmp_path / "run", rows, outcomes=True, samples=False)
  part = page.section(write_claims([run], tmp_path / "results.md").read_text(), "(ii)")
  assert "| **0 [0, 36.9]** (?) |" in part  # of Clopper and Pearson: 1 - 0.025 ** (1 / 8)
  assert "stops 1 of 1 working attack: transpose (?) (every schedule)." in part
  # None of eight may be a third of all: the claim is not shown.
  assert page.verdicts(part_of := (tmp_path / "results.md").read_text())["(ii)"] == "not known well enough"
  assert page.summary(part_of, "(ii)").tolist()[2:] == [
    "",
    "stopped, but not known well enough (?): 1 of 1 (run: transpose)",
  ]


def test_everything_holds(page, rows_of, make, tmp_path):
  runs = []
  for name, seeds in (("one", 1), ("other", 2)):
    rows = make.worth(rows_of(("transpose", "dec", "dec-late"), lwlrd=("transpose", "dec", "dec-late"), seeds=seeds))
    runs.append(make.run(tmp_path / name, rows, outcomes=True, samples=False))
  text = write_claims(runs, tmp_path / "results.md").read_text()
  assert set(page.verdicts(text).values()) == {"holds"}
  assert set(page.table(text, "claim")["depends or fails"]) == {""}
  assert "2 schedules stop all at once, LWLRD 0.3 loses least utility." in text
  assert "AUC is kept to within 0.01 in 6 of 6 cases" in page.section(text, "(iii)")


def test_everything_fails(page, rows_of, make, tmp_path):
  rows = rows_of(("transpose", "dec", "dec-late"), vanilla=0.0, high_lr=(0.88, 0.0))
  for row in rows:
    if row["defense"] == "lwlrd":
      row["auc"] = 0.6
      row["reid"] = 0.9 if row["attack"] == "dec-late" else 0.3
  run = make.run(tmp_path / "run", make.worth(rows), outcomes=True, samples=False)
  text = write_claims([run], tmp_path / "results.md").read_text()
  assert {claim for claim, verdict in page.verdicts(text).items() if verdict != "fails"} == {"(iii)"}
  assert set(page.table(text, "claim")["holds"]) == {""}
  assert "It does stop run: transpose, dec, dec-late." in text
  assert "survived by: plain attackers transpose and dec; adaptive attackers dec-late." in text
  assert "Against high-LR: loses (lower AUC, only the rival stops transpose, dec and dec-late)." in text
  assert "Against Super-FT: not measured." in text
  # Nothing is bought, so that there is nothing to be paid for.
  assert "not measured (no schedule shown stops an attack)" in page.section(text, "(iii)")
  assert "images are of use (transpose, dec and dec-late)." in text


@pytest.mark.parametrize(
  ("ours", "theirs", "result"),
  [
    ((0.88, 0.0), (0.88, 0.0), "not distinguishable"),
    ((0.8, 0.0), (0.88, 0.0), "loses (lower AUC)"),
    ((0.88, 0.3), (0.88, 0.9), "wins (leaks less)"),
    ((0.8, 0.3), (0.88, 0.9), "mixed (lower AUC, leaks less)"),
    ((0.88, 0.9), (0.8, 0.3), "mixed (higher AUC, leaks more)"),
    ((0.8, 0.9), (0.88, 0.3), "loses (lower AUC, leaks more)"),
  ],
)
def test_duels(page, rows_of, make, tmp_path, ours: tuple[float, float], theirs, result):
  rows = rows_of(("transpose",), high_lr=theirs, decays=(0.5,))
  for row in rows:
    if row["defense"] == "lwlrd":
      row["auc"], row["reid"] = ours
      row["ssim"] = 0.4
  run = make.run(tmp_path / "run", rows, outcomes=True, samples=False)
  part = page.section(write_claims([run], tmp_path / "results.md").read_text(), "(iv)")
  assert f"Against high-LR: {result}." in part
  assert page.table(part, "steps").iloc[0, -1] == result


def test_more_attacks_stopped_at_a_price_is_a_mixed_result(page, rows_of, make, tmp_path):
  rows = rows_of(("transpose", "dec"), lwlrd=("transpose", "dec"), high_lr=(0.95, 0.5), decays=(0.5,))
  run = make.run(tmp_path / "run", rows, outcomes=True, samples=False)
  part = page.section(write_claims([run], tmp_path / "results.md").read_text(), "(iv)")
  assert "Against high-LR: mixed (lower AUC, only LWLRD stops transpose and dec)." in part


def test_what_cannot_be_told_apart_is_not_stopped_by_one_alone(page, rows_of, make, tmp_path):
  rows = rows_of(("transpose",), lwlrd=("transpose",), high_lr=(0.88, 0.125), decays=(0.5,))
  for row in rows:
    row["stolen"] = 8 if row["attack"] == "transpose" else None  # one image of eight
  run = make.run(tmp_path / "run", rows, outcomes=True, samples=False)
  part = page.section(write_claims([run], tmp_path / "results.md").read_text(), "(iv)")
  assert page.table(part, "steps").iloc[0].stopped == "1 to 0"
  assert "Against high-LR: not distinguishable." in part


def test_stopped_by_one_schedule_each(page, rows_of, make, tmp_path):
  rows = rows_of(("transpose", "dec"), decays=(0.3, 0.6))
  for row in rows:
    if row["defense"] == "lwlrd" and (row["decay"] == 0.3) == (row["attack"] == "dec"):
      row["reid"], row["ssim"] = 0.0, 0.3
  run = make.run(tmp_path / "run", rows, outcomes=True, samples=False)
  text = write_claims([run], tmp_path / "results.md").read_text()
  assert page.verdicts(text)["(ii)"] == "depends"
  assert "no one schedule stops every attack" in page.summary(text, "(ii)")["depends or fails"]


def test_ssim_alone_keeps_an_attack_alive(page, rows_of, make, tmp_path):
  rows = rows_of(("transpose",), lwlrd=("transpose",), decays=(0.5,))
  for row in rows:
    if row["defense"] == "lwlrd":
      row["ssim"] = 0.6
    if row["defense"] == "vanilla":
      row["reid"] = 0.02002
  run = make.run(tmp_path / "run", rows, samples=False)
  text = write_claims([run], tmp_path / "results.md").read_text()
  assert "| 0<br>SSIM 0.600 |" in page.section(text, "(ii)")
  assert "| 2.0 (above) | no |" in page.section(text, "(i)")


def test_on_average_stopped(page, rows_of, make, tmp_path):
  # Half of the infections give something away, and no mean is above its limit.
  rows = rows_of(("transpose",), lwlrd=("transpose",), seeds=2, decays=(0.3, 0.6))
  for row in rows:
    if row["defense"] == "lwlrd" and row["seed"]:
      row.update({"reid": 0.03} if row["decay"] == 0.3 else {"ssim": 0.6})
  run = make.run(tmp_path / "run", rows, samples=False)
  part = page.section(write_claims([run], tmp_path / "results.md").read_text(), "(iv)")
  through = page.table(part, "schedule").set_index("schedule")["lets through"]
  assert through["LWLRD 0.3"] == "transpose 3.0 in one infection"
  assert through["LWLRD 0.6"] == "transpose SSIM 0.600 in one infection"


def test_collapsed_models_are_counted(page, rows_of, make, tmp_path):
  rows = rows_of(("transpose", "dec"), lwlrd=("transpose", "dec"), seeds=3, decays=(0.5,))
  for row in rows:
    if row["defense"] == "lwlrd" and row["attack"] == "dec" and row["seed"] == 1:
      row["auc"] = 0.5
  run = make.run(tmp_path / "run", rows, outcomes=True, samples=False)
  text = write_claims([run], tmp_path / "results.md").read_text()
  cells = page.table(page.section(text, "(iii)"), "attack").set_index("attack")["LWLRD 0.5"]
  assert "<br>collapsed: 1 of 3<br>" in cells["dec"]
  assert "collapsed" not in cells["transpose"]
  counted = page.table(page.section(text, "(iv)"), "schedule").set_index("schedule")["collapsed models"]
  assert counted["LWLRD 0.5"] == "1 of 6"
  assert counted["vanilla"] == "0 of 6"


def test_an_attacker_not_known_well_enough_speaks_for_nobody(page, rows_of, make, tmp_path):
  rows = rows_of(("transpose", "transpose-flat", "transpose-heavy"), lwlrd=("transpose",), decays=(0.5,))
  for row in rows:
    if row["attack"] == "transpose-flat":
      row["stolen"] = 8
      if row["defense"] == "lwlrd":
        row["reid"], row["ssim"] = 0.0, 0.3
  run = make.run(tmp_path / "run", rows, outcomes=True, samples=False)
  text = write_claims([run], tmp_path / "results.md").read_text()
  assert page.verdicts(text)["Attackers"] == "fails"
  assert page.summary(text, "Attackers")["depends or fails"] == (
    "further than their plain counterparts: 1 of 2 (run: transpose-heavy); "
    "not known well enough: 1 of 2 (run: transpose-flat)"
  )


def test_worse_than_the_mean_image_is_not_unusable(page, make, tmp_path):
  rows = make.worth(make.sweep(DECAYS))
  for row in rows:
    if row["defense"] == "lwlrd":
      row["downstream_auc"] = 0.3  # turned around, it would be of use
  run = make.run(tmp_path / "run", rows, outcomes=True, samples=False)
  part = page.section(write_claims([run], tmp_path / "results.md").read_text(), "(v)")
  assert "**Fails.**" in part
  assert "unusable**" not in part


def test_one_word_for_many_cases():
  assert overall(3, 0, 0) == "holds"
  assert overall(0, 2, 0) == "depends"
  assert overall(0, 0, 1) == "fails"


@pytest.mark.parametrize(
  ("only", "auc", "result"),
  [
    ((["dec"], []), (-0.005, -0.009, -0.001), "wins"),  # within what may be lost
    ((["dec"], []), (-0.02, -0.025, -0.015), "mixed"),
    ((["dec"], []), (-0.01, -0.015, -0.005), OPEN),
    (([], ["dec"]), (0.005, 0.001, 0.009), "loses"),
    (([], ["dec"]), (0.02, 0.015, 0.025), "mixed"),
    ((["dec"], []), (0.02, 0.01, 0.03), "wins"),
    ((["dec"], ["transpose"]), (0.02, 0.01, 0.03), "wins"),
    ((["dec"], ["transpose"]), (0.005, 0.004, 0.006), "not distinguishable"),  # in what counts
    ((["dec"], []), (-0.1, -0.7, 0.2), OPEN),  # who collapses sometimes has not won
    (([], ["dec"]), (0.1, -0.2, 0.7), OPEN),
    ((["dec"], []), (math.nan,) * 3, ""),
  ],
)
def test_more_attacks_stopped_may_cost_a_little(only, auc, result):
  assert rivals._judge(only, False, Interval(*auc), Interval(0.0, -0.1, 0.1))[0] == result


@pytest.mark.parametrize(
  ("interval", "side"),
  [
    ((0.0, -0.004, 0.005), utility.KEPT),
    ((-0.006, -0.009, -0.002), utility.KEPT),  # lower, by no more than may be lost
    ((-0.03, -0.05, -0.01), utility.LOWER),
    ((-0.021, -0.059, 0.014), OPEN),  # not to be told from 0, nor from a great loss
    ((math.nan, math.nan, math.nan), ""),
  ],
)
def test_utility_is_kept_where_the_whole_interval_is_within_the_margin(interval, side):
  assert utility._Case("somewhere", Interval(*interval), 0.0, stops=True).side == side
