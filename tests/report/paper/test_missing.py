"""What cannot be judged is said, and nothing is made of it."""

import numpy as np

from paper.claims import MARKER, write_claims

DECAYS = (0.3, 0.5, 0.7)
NONE = "not measured"


def test_without_figures_by_image(page, make, tmp_path):
  run = make.run(tmp_path / "run", make.worth(make.sweep(DECAYS)), samples=False)
  text = write_claims([run], tmp_path / "results.md").read_text()
  assert [page.verdicts(text)[claim] for claim in ("(i)", "(ii)", "(iii)", "(v)")] == ["holds", "holds", NONE, NONE]
  assert "not measured (the run has no figures by image, so no intervals)" in page.section(text, "(iii)")
  assert "nan" not in text.lower()


def test_without_a_floor(page, make, tmp_path):
  rows = [row for row in make.sweep(DECAYS) if row["defense"] != "mean_image"]
  run = make.run(tmp_path / "run", rows, outcomes=True, samples=False)
  text = write_claims([run], tmp_path / "results.md").read_text()
  for claim in ("(i)", "(ii)", "(iv)", "(v)"):
    assert page.verdicts(text)[claim] == NONE
  assert text.count("without the mean-image control nothing can be called stopped") == 3
  assert "**0" not in page.section(text, "(ii)")
  assert page.facts(text)["stopped means"] == "none (no mean-image control)"


def test_pieces_that_are_missing(page, rows_of, make, tmp_path):
  rows = rows_of(("transpose", "dec"), lwlrd=("transpose",))
  no_vanilla = [row for row in rows if row["defense"] != "vanilla"]
  runs = [
    make.run(tmp_path / "no-vanilla", no_vanilla, outcomes=True, samples=False),
    make.run(tmp_path / "no-lwlrd", [row for row in rows if row["defense"] != "lwlrd"], samples=False),
    make.run(tmp_path / "controls", [row for row in rows if row["attack"] == "none"], samples=False),
    make.run(tmp_path / "empty", [], samples=False),
  ]
  text = write_claims(runs, tmp_path / "results.md").read_text()
  part = page.section(text, "(i)")
  assert "leaves 2 of 2 working attacks unstopped." in part
  assert "Not measured: no-vanilla (no vanilla fine-tuning was run), controls (no attack was run) and empty" in part
  assert page.table(part, "run").iloc[0].tolist()[-2:] == [NONE, NONE]
  assert "- no-lwlrd: not measured (no LWLRD schedule was run)." in page.section(text, "(ii)")
  assert "- no-lwlrd: not measured (no LWLRD schedule could be judged)." in page.section(text, "(iv)")
  assert "- empty: not measured" in page.section(text, "(v)")
  for run in runs:  # each alone, too
    assert write_claims([run], tmp_path / "alone.md").read_text().startswith(MARKER)


def test_an_attack_that_does_not_work(page, rows_of, make, tmp_path):
  rows = rows_of(("transpose", "dec"), lwlrd=("transpose", "dec"))
  for row in rows:
    if row["defense"] == "untreated" and row["attack"] == "dec":
      row["reid"], row["ssim"] = 0.0, 0.2
  run = make.run(tmp_path / "run", rows, outcomes=True, samples=False)
  part = page.section(write_claims([run], tmp_path / "results.md").read_text(), "(i)")
  assert "leaves 1 of 1 working attack unstopped." in part
  assert page.table(part, "run")["stopped?"].tolist() == ["no", "attack does not work untreated"]


def test_members_that_are_not_ok(page, rows_of, make, tmp_path):
  rows = rows_of(("transpose",), lwlrd=("transpose",), seeds=2)
  lost = next(row for row in rows if row["defense"] == "lwlrd" and row["decay"] == 0.3 and row["seed"] == 1)
  lost |= {"status": "diverged", "auc": None, "reid": None, "ssim": None, "accuracy": None, "balanced_accuracy": None}
  lost |= {"ssim_naive": None, "psnr": None, "mse": None}
  run = make.run(tmp_path / "run", rows, outcomes=True, samples=False)
  text = write_claims([run], tmp_path / "results.md").read_text()
  assert "- run: LWLRD 0.3, diverged (1 of 2 seeds) (transpose)" in text
  cell = page.table(page.section(text, "(ii)"), "attack").set_index("attack").loc["transpose", "LWLRD 0.3"]
  assert cell.startswith("0 [0, 1.4] †")
  assert "stops 1 of 1 working attack: transpose (decay 0.6)." in text


def test_worthless_originals_tell_nothing(page, make, tmp_path):
  rows = make.worth(make.sweep(DECAYS))
  for row in rows:
    if row["defense"] == "originals":
      row["downstream_auc"] = 0.53
  run = make.run(tmp_path / "run", rows, outcomes=True, samples=False)
  text = write_claims([run], tmp_path / "results.md").read_text()
  assert "even the true originals are worth no more than the mean image" in page.section(text, "(v)")
  assert page.verdicts(text)["(v)"] == NONE


def test_many_decays_leave_a_page_wide_table(page, make, tmp_path):
  decays = tuple(np.linspace(0.1, 0.9, 9).round(1))
  run = make.run(tmp_path / "run", make.carriers(decays, attacks=("transpose", "dec")), samples=False)
  rows = page.table(page.section(write_claims([run], tmp_path / "results.md").read_text(), "(ii)"), "attack")
  shown = [name for name in rows.columns if name.startswith("LWLRD")]
  assert shown == [f"LWLRD {decay}{step}" for step in ("", " + scrub") for decay in (0.1, 0.5, 0.9)]
  by = rows.set_index("attack")["stopped by, of all 9 with scrub after"]
  assert by["transpose"] == "decay 0.5, 0.6, 0.7, 0.8, 0.9"
  assert by["dec"].startswith("decay 0.1, 0.2")
  assert rows.set_index("attack").loc["dec", "stopped by, of all 9 with no finishing step"] == "none"
