"""What several runs say of the paper's claims."""

import json
import math
import shutil
import subprocess
import sys
from typing import Any

import numpy as np
import pandas as pd
import pytest

from lwlrd_jax.errors import UserError
from lwlrd_jax.report import bootstrap, formats
from lwlrd_jax.report.bootstrap import Interval
from lwlrd_jax.report.claims import MARKER, utility, write_claims
from lwlrd_jax.report.claims.finding import overall
from lwlrd_jax.report.claims.fingerprint import fingerprint
from lwlrd_jax.report.load import Run, load

DECAYS = (0.3, 0.5, 0.7)
ATTACKS = ("transpose", "dec", "dec-dead", "dec-signs")
NONE = "not measured"
MINUS = "\u2212"


def section(text, title):
  """A section's text, from its heading to the next of the same level."""
  found = [part for part in text.split("\n## ") if part.startswith(title)]
  assert len(found) == 1, title
  return found[0]


def records(run: Run, attack: str) -> list[dict[Any, Any]]:
  return run.table[run.table.attack == attack].to_dict("records")


def figures(text):
  """Of a single run: the second column of the table of runs, by the first."""
  rows = table(text, "run")
  return dict(zip(rows.iloc[:, 0], rows.iloc[:, 1], strict=True))


def table(text, first, number=0):
  """A table as a DataFrame: one of those whose first header is `first`."""
  blocks = [block.splitlines() for block in text.split("\n\n") if block.startswith(f"| {first} |")]
  lines = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in blocks[number]]
  return pd.DataFrame(lines[2:], columns=lines[0])


def verdicts(text):
  rows = table(text, "claim")
  return dict(zip(rows.claim.str.split().str[0], rows.verdict.str.strip("*"), strict=True))


def summary(text, claim):
  rows = table(text, "claim")
  return rows[rows.claim.str.startswith(claim)].iloc[0]


def rows_of(make, attacks, *, lwlrd=(), vanilla=0.97, high_lr=(0.7, 0.0), seeds=1, decays=(0.3, 0.6)):
  """A small run: attacks that LWLRD stops (those in `lwlrd`) at no cost, and two rivals."""
  rows = []
  for seed in range(seeds):
    rows += [make.row("clean", auc=0.9, reid=0.0, ssim=0.15, seed=seed)]
    rows += [make.row("mean_image", reid=0.0005, ssim=0.45, seed=seed)]
    for attack in attacks:
      common = {"seed": seed, "attack": attack}
      rows.append(make.row("untreated", auc=0.88, reid=0.98, ssim=0.97, **common))
      rows.append(make.row("vanilla", lr_max=1e-4, auc=0.88, reid=vanilla, ssim=0.3 + vanilla / 2, **common))
      rows.append(make.row("high_lr", lr_max=0.03, auc=high_lr[0], reid=high_lr[1], ssim=0.4, **common))
      for decay in decays:
        reid = 0.0 if attack in lwlrd else 0.8
        rows.append(make.row("lwlrd", lr_max=0.03, decay=decay, auc=0.88, reid=reid, ssim=0.35 + reid / 2, **common))
  return rows


@pytest.fixture(scope="module")
def two(make, tmp_path_factory):
  """Two runs, one of them with several attacks and finishing steps, and what is written of them."""
  folder = tmp_path_factory.mktemp("claims")
  first = make.run(folder / "first", make.worth(make.sweep(DECAYS, seeds=2)), outcomes=True, samples=False)
  rows = make.worth(make.carriers(DECAYS, attacks=ATTACKS))
  second = make.run(folder / "second", rows, outcomes=True, samples=False)
  (first / "figures").mkdir()
  (first / "figures" / "frontier.png").write_bytes(b"frontier")
  (first / "figures" / "reconstructions.png").write_bytes(b"somebody")
  file = write_claims([first, second], folder / "results.md")
  return [first, second], file


def test_the_head(two):
  runs, file = two
  text = file.read_text()
  assert text.splitlines()[0] == MARKER
  assert "```\npython -m lwlrd_jax.sweep\n```" in text  # once, because both have it
  assert "Machine: 1 x cpu (cpu), matmul precision float32." in text
  rows = table(text, "run").set_index("run")
  assert rows.columns.tolist() == ["first", "second"]
  assert rows.loc["hash", "second"] == f"`{fingerprint(load(runs[1]))}`"
  assert rows.loc["stopped means", "first"] == "re-id ≤ 2.0 %, SSIM ≤ 0.500"
  assert rows.loc["infections (seeds)"].tolist() == ["2", "1"]
  assert rows.loc["attacks", "second"] == "transpose, dec, dec-dead, dec-signs"
  assert "- first: Super-FT long, diverged (2 of 2 seeds) (transpose)" in text
  assert list(verdicts(text)) == ["(i)", "(ii)", "(iii)", "(iv)", "(v)", "Attackers"]


def test_vanilla(two):
  part = section(two[1].read_text(), "(i)")
  assert "**Holds.**" in part
  assert "leaves 5 of 5 working attacks unstopped." in part
  rows = table(part, "run")
  run = load(two[0][1])
  row = run.table[(run.table.attack == "dec") & (run.table.defense == "vanilla") & (run.table.finish == "none")].iloc[0]
  found = bootstrap.share_interval([run.outcomes.arrays[f"reid/{row.member}"]])
  cell = rows[(rows.run == "second") & (rows.attack == "dec")].iloc[0]
  assert cell["after vanilla, re-id %"] == formats.within(formats.percent, *found)
  assert cell["stopped?"] == "no"


def test_stopping(two):
  part = section(two[1].read_text(), "(ii)")
  assert "**Depends.**" in part
  assert "- first: LWLRD alone stops 1 of 1 working attack: transpose (decay 0.5, 0.7)." in part
  assert "LWLRD alone stops 1 of 4 working attacks: transpose (decay 0.5, 0.7)." in part
  assert "with scrub after stops 3 of 4 working attacks: transpose (decay 0.5, 0.7); dec and dec-dead (every" in part
  assert "survived by: plain attackers dec-signs; adaptive attackers none." in part
  rows = table(part, "attack", 1).set_index("attack")
  assert len(rows.columns) == 1 + 6 + 1
  run = load(two[0][1]).table
  for attack in ATTACKS:
    for decay in DECAYS:
      for finish, name in (("none", ""), ("scrub", " + scrub")):
        row = run[(run.attack == attack) & (run.decay == decay) & (run.finish == finish) & (run.defense == "lwlrd")]
        figure, ssim = float(row.reid.iloc[0]), float(row.ssim.iloc[0])
        cell = rows.loc[attack, f"LWLRD {formats.rate(decay)}{name}"]
        assert cell.strip("*").split()[0] == formats.percent(figure)
        assert cell.startswith("**") == (figure <= 0.02 and ssim <= 0.5)
  assert set(rows["clean model (measured chance)"]) == {"0 [0, 1.4]"}


def test_utility(two):
  text = two[1].read_text()
  part = section(text, "(iii)")
  assert "- first: Where an attack is stopped, AUC is lower in 2 of 2 cases." in part
  rows = table(part, "attack", 1).set_index("attack")
  run = load(two[0][1])
  members = records(run, attack="dec")
  treated = next(row for row in members if (row["defense"], row["decay"], row["finish"]) == ("lwlrd", 0.5, "scrub"))
  untreated = next(row for row in members if row["defense"] == "untreated")
  gap = run.outcomes.difference("auc", [treated["member"]], [untreated["member"]])
  assert gap.value == pytest.approx(treated["auc"] - untreated["auc"], abs=1e-6)
  balanced = formats.score(treated["balanced_accuracy"] - untreated["balanced_accuracy"])
  expected = f"{formats.within(formats.score, *gap)}<br>balanced {balanced}<br>(stops it)"
  assert rows.loc["dec", "LWLRD 0.5 + scrub"] == expected
  assert "The best LWLRD schedule with scrub after, LWLRD 0.5 + scrub, has at worst" in part
  assert "by up to 0.063" in summary(text, "(iii)")["depends or fails"]


def test_rivals(two):
  part = section(two[1].read_text(), "(iv)")
  assert "Against high-LR: wins (higher AUC); with scrub after wins (higher AUC)." in part
  assert "Against Super-FT: wins (stops more attacks)" in part
  rows = table(part, "schedule", 1).set_index("schedule")
  assert rows.loc["LWLRD 0.5 + scrub", "attacks stopped"] == "3 of 4"
  assert rows.loc["LWLRD 0.5 + scrub", "lets through"] == "dec-signs 93.0"
  assert table(part, "schedule").set_index("schedule").loc["Super-FT long"].iloc[0].startswith("not judged: diverged")
  duel = table(part, "steps", 1).iloc[0]
  assert duel.tolist()[:4] == ["no finishing step", "LWLRD 0.5", "high-LR", "1 to 1"]


def test_downstream(two):
  part = section(two[1].read_text(), "(v)")
  assert "- first: After LWLRD 0.5 alone, the images of 1 of 1 attack are unusable." in part
  assert "After LWLRD 0.5 + scrub, the images of 3 of 4 attacks (transpose, dec, dec-dead) are unusable" in part
  rows = table(part, "attack", 1).set_index("attack")
  run = load(two[0][1])
  member = next(row["member"] for row in records(run, attack="dec") if row["defense"] == "untreated")
  floor = next(row["member"] for row in records(run, attack="none") if row["defense"] == "mean_image")
  gap = run.outcomes.difference("downstream_auc", [member], [floor])
  assert rows.loc["dec", "untreated"].endswith(f"<br>difference {formats.within(formats.score, *gap)}")
  unusable = [cell for cell in rows.to_numpy().ravel() if "**unusable**" in cell]
  for cell in unusable:
    low, high = cell.split("[")[2].rstrip("]").replace(MINUS, "-").split(", ")
    assert float(low) <= 0 <= float(high)


def test_adaptive(make, tmp_path):
  rows = rows_of(make, ("transpose", "dec", "dec-late", "dec-redundant"), lwlrd=("dec",))
  for row in rows:
    if row["attack"] == "dec-redundant":
      row["stolen"] = 8
      if row["defense"] == "lwlrd":
        row["reid"] = 0.25
  run = make.run(tmp_path / "run", rows, outcomes=True, samples=False)
  text = write_claims([run], tmp_path / "results.md").read_text()
  part = section(text, "Attackers")
  assert "dec-late is harder than dec under 2 of 2 schedules; dec-redundant is weaker than dec-late under 2" in part
  cells = table(part, "attacker").set_index("attacker")
  assert cells.loc["dec-redundant", "LWLRD 0.3"].startswith(
    f"25.0 (2 of 8)<br>plain 80.0 (204.8 of 256)<br>weaker {MINUS}55"
  )
  assert "**harder** 80.0 [" in cells.loc["dec-late", "LWLRD 0.3"]
  assert verdicts(text)["Attackers"] == "depends"
  assert figures(text)["images stolen"] == "256 (dec-redundant 8)"


def test_few_images_are_not_sure(make, tmp_path):
  rows = rows_of(make, ("transpose",), lwlrd=("transpose",))
  for row in rows:
    row["stolen"] = 8 if row["attack"] == "transpose" else None
  run = make.run(tmp_path / "run", rows, outcomes=True, samples=False)
  part = section(write_claims([run], tmp_path / "results.md").read_text(), "(ii)")
  assert "| **0 [0, 36.9]** (?) |" in part  # of Clopper and Pearson: 1 - 0.025 ** (1 / 8)
  assert "stops 1 of 1 working attack: transpose (?) (every schedule)." in part


def test_everything_holds(make, tmp_path):
  runs = []
  for name, seeds in (("one", 1), ("other", 2)):
    rows = make.worth(
      rows_of(make, ("transpose", "dec", "dec-late"), lwlrd=("transpose", "dec", "dec-late"), seeds=seeds)
    )
    runs.append(make.run(tmp_path / name, rows, outcomes=True, samples=False))
  text = write_claims(runs, tmp_path / "results.md").read_text()
  assert set(verdicts(text).values()) == {"holds"}
  assert set(table(text, "claim")["depends or fails"]) == {""}
  assert "LWLRD 0.3 stops all at once" in text
  assert "AUC is kept to within 0.01 in 6 of 6 cases" in section(text, "(iii)")


def test_everything_fails(make, tmp_path):
  rows = rows_of(make, ("transpose", "dec", "dec-late"), vanilla=0.0, high_lr=(0.88, 0.0))
  for row in rows:
    if row["defense"] == "lwlrd":
      row["auc"] = 0.6
      row["reid"] = 0.9 if row["attack"] == "dec-late" else 0.3
  run = make.run(tmp_path / "run", make.worth(rows), outcomes=True, samples=False)
  text = write_claims([run], tmp_path / "results.md").read_text()
  assert {claim for claim, verdict in verdicts(text).items() if verdict != "fails"} == {"(iii)"}
  assert set(table(text, "claim")["holds"]) == {""}
  assert "It does stop run: transpose, dec, dec-late." in text
  assert "survived by: plain attackers transpose and dec; adaptive attackers dec-late." in text
  assert "Against high-LR: loses (stops fewer attacks)." in text
  assert "Against Super-FT: not measured." in text
  # Nothing is bought, so that there is nothing to be paid for.
  assert "not measured (no schedule shown stops an attack)" in section(text, "(iii)")
  assert "the images of no attack are unusable; difference to the mean image: transpose 0.0" in text


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
def test_duels(make, tmp_path, ours: tuple[float, float], theirs, result):
  rows = rows_of(make, ("transpose",), high_lr=theirs, decays=(0.5,))
  for row in rows:
    if row["defense"] == "lwlrd":
      row["auc"], row["reid"] = ours
      row["ssim"] = 0.4
  run = make.run(tmp_path / "run", rows, outcomes=True, samples=False)
  part = section(write_claims([run], tmp_path / "results.md").read_text(), "(iv)")
  assert f"Against high-LR: {result}." in part
  assert table(part, "steps").iloc[0, -1] == result


def test_stopped_by_one_schedule_each(make, tmp_path):
  rows = rows_of(make, ("transpose", "dec"), decays=(0.3, 0.6))
  for row in rows:
    if row["defense"] == "lwlrd" and (row["decay"] == 0.3) == (row["attack"] == "dec"):
      row["reid"], row["ssim"] = 0.0, 0.3
  run = make.run(tmp_path / "run", rows, outcomes=True, samples=False)
  text = write_claims([run], tmp_path / "results.md").read_text()
  assert verdicts(text)["(ii)"] == "depends"
  assert "no one schedule stops every attack" in summary(text, "(ii)")["depends or fails"]


def test_ssim_alone_keeps_an_attack_alive(make, tmp_path):
  rows = rows_of(make, ("transpose",), lwlrd=("transpose",), decays=(0.5,))
  for row in rows:
    if row["defense"] == "lwlrd":
      row["ssim"] = 0.6
    if row["defense"] == "vanilla":
      row["reid"] = 0.02002
  run = make.run(tmp_path / "run", rows, samples=False)
  text = write_claims([run], tmp_path / "results.md").read_text()
  assert "| 0<br>SSIM 0.600 |" in section(text, "(ii)")
  assert "| 2.0 (above) | no |" in section(text, "(i)")


def test_without_figures_by_image(make, tmp_path):
  run = make.run(tmp_path / "run", make.worth(make.sweep(DECAYS)), samples=False)
  text = write_claims([run], tmp_path / "results.md").read_text()
  assert [verdicts(text)[claim] for claim in ("(i)", "(ii)", "(iii)", "(v)")] == ["holds", "holds", NONE, NONE]
  assert "not measured (the run has no figures by image, so no intervals)" in section(text, "(iii)")
  assert "nan" not in text.lower()


def test_without_a_floor(make, tmp_path):
  rows = [row for row in make.sweep(DECAYS) if row["defense"] != "mean_image"]
  run = make.run(tmp_path / "run", rows, outcomes=True, samples=False)
  text = write_claims([run], tmp_path / "results.md").read_text()
  for claim in ("(i)", "(ii)", "(iv)", "(v)"):
    assert verdicts(text)[claim] == NONE
  assert text.count("without the mean-image control nothing can be called stopped") == 3
  assert "**0" not in section(text, "(ii)")
  assert figures(text)["stopped means"] == "none (no mean-image control)"


def test_pieces_that_are_missing(make, tmp_path):
  rows = rows_of(make, ("transpose", "dec"), lwlrd=("transpose",))
  no_vanilla = [row for row in rows if row["defense"] != "vanilla"]
  runs = [
    make.run(tmp_path / "no-vanilla", no_vanilla, outcomes=True, samples=False),
    make.run(tmp_path / "no-lwlrd", [row for row in rows if row["defense"] != "lwlrd"], samples=False),
    make.run(tmp_path / "controls", [row for row in rows if row["attack"] == "none"], samples=False),
    make.run(tmp_path / "empty", [], samples=False),
  ]
  text = write_claims(runs, tmp_path / "results.md").read_text()
  part = section(text, "(i)")
  assert "leaves 2 of 2 working attacks unstopped." in part
  assert "Not measured: no-vanilla (no vanilla fine-tuning was run), controls (no attack was run) and empty" in part
  assert table(part, "run").iloc[0].tolist()[-2:] == [NONE, NONE]
  assert "- no-lwlrd: not measured (no LWLRD schedule was run)." in section(text, "(ii)")
  assert "- no-lwlrd: not measured (no LWLRD schedule could be judged)." in section(text, "(iv)")
  assert "- empty: not measured" in section(text, "(v)")
  for run in runs:  # each alone, too
    assert write_claims([run], tmp_path / "alone.md").read_text().startswith(MARKER)


def test_an_attack_that_does_not_work(make, tmp_path):
  rows = rows_of(make, ("transpose", "dec"), lwlrd=("transpose", "dec"))
  for row in rows:
    if row["defense"] == "untreated" and row["attack"] == "dec":
      row["reid"], row["ssim"] = 0.0, 0.2
  run = make.run(tmp_path / "run", rows, outcomes=True, samples=False)
  part = section(write_claims([run], tmp_path / "results.md").read_text(), "(i)")
  assert "leaves 1 of 1 working attack unstopped." in part
  assert table(part, "run")["stopped?"].tolist() == ["no", "attack does not work untreated"]


def test_members_that_are_not_ok(make, tmp_path):
  rows = rows_of(make, ("transpose",), lwlrd=("transpose",), seeds=2)
  lost = next(row for row in rows if row["defense"] == "lwlrd" and row["decay"] == 0.3 and row["seed"] == 1)
  lost |= {"status": "diverged", "auc": None, "reid": None, "ssim": None, "accuracy": None, "balanced_accuracy": None}
  lost |= {"ssim_naive": None, "psnr": None, "mse": None}
  run = make.run(tmp_path / "run", rows, outcomes=True, samples=False)
  text = write_claims([run], tmp_path / "results.md").read_text()
  assert "- run: LWLRD 0.3, diverged (1 of 2 seeds) (transpose)" in text
  cell = table(section(text, "(ii)"), "attack").set_index("attack").loc["transpose", "LWLRD 0.3"]
  assert cell.startswith("0 [0, 1.4] †")
  assert "stops 1 of 1 working attack: transpose (decay 0.6)." in text


def test_worthless_originals_tell_nothing(make, tmp_path):
  rows = make.worth(make.sweep(DECAYS))
  for row in rows:
    if row["defense"] == "originals":
      row["downstream_auc"] = 0.53
  run = make.run(tmp_path / "run", rows, outcomes=True, samples=False)
  text = write_claims([run], tmp_path / "results.md").read_text()
  assert "even the true originals are worth no more than the mean image" in section(text, "(v)")
  assert verdicts(text)["(v)"] == NONE


def test_worse_than_the_mean_image_is_not_unusable(make, tmp_path):
  rows = make.worth(make.sweep(DECAYS))
  for row in rows:
    if row["defense"] == "lwlrd":
      row["downstream_auc"] = 0.3  # turned around, it would be of use
  run = make.run(tmp_path / "run", rows, outcomes=True, samples=False)
  part = section(write_claims([run], tmp_path / "results.md").read_text(), "(v)")
  assert "**Fails.**" in part
  assert "unusable**" not in part


def test_many_decays_leave_a_page_wide_table(make, tmp_path):
  decays = tuple(np.linspace(0.1, 0.9, 9).round(1))
  run = make.run(tmp_path / "run", make.carriers(decays, attacks=("transpose", "dec")), samples=False)
  rows = table(section(write_claims([run], tmp_path / "results.md").read_text(), "(ii)"), "attack")
  shown = [name for name in rows.columns if name.startswith("LWLRD")]
  assert shown == [f"LWLRD {decay}{step}" for step in ("", " + scrub") for decay in (0.1, 0.5, 0.9)]
  by = rows.set_index("attack")["stopped by, of all 9 with scrub after"]
  assert by["transpose"] == "decay 0.5, 0.6, 0.7, 0.8, 0.9"
  assert by["dec"].startswith("decay 0.1, 0.2")
  assert rows.set_index("attack").loc["dec", "stopped by, of all 9 with no finishing step"] == "none"


def test_the_hash(make, tmp_path):
  rows = make.sweep(DECAYS)

  def of(changed, sha="0" * 64):
    run = make.run(tmp_path / "run", changed, samples=False)
    config = json.loads((run / "config.json").read_text())
    config["dataset"]["sha256"] = sha
    (run / "config.json").write_text(json.dumps(config))
    found = fingerprint(load(run))
    shutil.rmtree(run)
    return found

  first = of(rows)
  assert len(first) == 12
  assert int(first, 16) >= 0
  assert of([row | {"seconds": 3.0} for row in reversed(rows)]) == first
  nudged = [dict(row) for row in rows]
  nudged[3]["auc"] += 1e-15
  assert len({first, of(nudged), of(rows[:-1]), of(rows, "1" * 64)}) == 4


def test_the_same_runs_give_the_same_bytes(two, tmp_path):
  runs, file = two
  again = write_claims(runs, tmp_path / "results.md")
  assert again.read_bytes() == file.read_bytes()
  assert write_claims(runs, again).read_bytes() == file.read_bytes()  # over its own


def test_figures(two):
  _, file = two
  folder = file.with_suffix("")
  assert {path.name: path.read_bytes() for path in folder.iterdir()} == {"first-frontier.png": b"frontier"}
  text = file.read_text()
  assert "![Re-identification against AUC of every schedule of first](results/first-frontier.png)" in text
  assert "second: no figure (its report was not written)." in text


def test_stale_figures_go_and_others_stay(two, tmp_path):
  runs, _ = two
  folder = tmp_path / "results"
  folder.mkdir()
  for name in ("old-frontier.png", "mine.png"):
    (folder / name).write_bytes(b"")
  write_claims(runs[:1], tmp_path / "results.md")
  assert {path.name for path in folder.iterdir()} == {"first-frontier.png", "mine.png"}


def test_runs_of_one_name_and_other_commands(make, tmp_path):
  rows = rows_of(make, ("transpose",), decays=(0.5,))
  runs = [make.run(tmp_path / name / "run", rows, samples=False) for name in ("a", "b")]
  config = json.loads((runs[1] / "config.json").read_text())
  config["command"] = "python -m lwlrd_jax.sweep --npz /home/someone/set.npz --out=/data/x --note a/b"
  config["git_commit"] = "0123456789abcdef"
  (runs[1] / "config.json").write_text(json.dumps(config))
  text = write_claims(runs, tmp_path / "results.md").read_text()
  assert table(text, "run").columns.tolist() == ["run", "a/run", "b/run"]
  assert "python -m lwlrd_jax.sweep --npz …/set.npz --out=…/x --note a/b  # b/run" in text
  assert "someone" not in text
  assert "| git commit | none | 0123456789ab |" in text


def test_mistakes_are_one_line(two, tmp_path):
  runs, _ = two
  foreign = tmp_path / "README.md"
  foreign.write_text("# Mine\n")
  broken = tmp_path / "broken"
  broken.mkdir()
  for given, file, words in (
    (runs, foreign, "was not written by this program"),
    (runs, tmp_path, "was not written by this program"),
    (runs, tmp_path / "nowhere" / "results.md", "cannot be written"),
    ([], tmp_path / "a.md", "RUN: none given"),
    ([runs[0], runs[0]], tmp_path / "a.md", "given twice"),
    ([broken], tmp_path / "a.md", "config.json is missing"),
    ([tmp_path / "gone"], tmp_path / "a.md", "no such folder"),
  ):
    with pytest.raises(UserError, match=words) as caught:
      write_claims(given, file)
    assert "\n" not in str(caught.value)
  assert foreign.read_text() == "# Mine\n"
  assert not (tmp_path / "a.md").exists()
  assert not (tmp_path / "nowhere").exists()


def test_it_needs_no_jax():
  code = "import sys, lwlrd_jax.report.claims; sys.exit('jax' in sys.modules)"
  assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_one_word_for_many_cases():
  assert overall(3, 0, 0) == "holds"
  assert overall(0, 2, 0) == "depends"
  assert overall(0, 0, 1) == "fails"


@pytest.mark.parametrize(
  ("interval", "side"),
  [
    ((0.0, -0.004, 0.005), utility.KEPT),
    ((-0.006, -0.009, -0.002), utility.KEPT),  # lower, by no more than may be lost
    ((-0.03, -0.05, -0.01), utility.LOWER),
    ((-0.021, -0.059, 0.014), utility.OPEN),  # not to be told from 0, nor from a great loss
    ((math.nan, math.nan, math.nan), ""),
  ],
)
def test_utility_is_kept_where_the_whole_interval_is_within_the_margin(interval, side):
  assert utility._Case("somewhere", Interval(*interval), 0.0, stops=True).side == side
