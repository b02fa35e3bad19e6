"""What each section says of two runs, against figures made of the table."""

import re

import pytest

from lwlrd_jax.analysis import bootstrap
from lwlrd_jax.analysis.outcomes import QUANTITIES
from lwlrd_jax.report import formats
from lwlrd_jax.report.load import load
from paper.claims import MARKER
from paper.fingerprint import fingerprint

DECAYS = (0.3, 0.5, 0.7)
ATTACKS = ("transpose", "dec", "dec-dead", "dec-signs")
MINUS = "\u2212"


def test_the_head(page, two):
  runs, file = two
  text = file.read_text()
  assert text.splitlines()[0] == MARKER
  assert "```\npython -m lwlrd_jax.sweep\n```" in text  # once, because both have it
  assert "Machine: 1 x cpu (cpu), matmul precision float32." in text
  rows = page.table(text, "run").set_index("run")
  assert rows.columns.tolist() == ["first", "second"]
  assert rows.loc["hash", "second"] == f"`{fingerprint(load(runs[1]))}`"
  assert rows.loc["stopped means", "first"] == "re-id ≤ 2.0 %, 5 of 256, SSIM ≤ 0.500"
  assert rows.loc["infections (seeds)"].tolist() == ["2", "1"]
  assert rows.loc["attacks", "second"] == "transpose, dec, dec-dead, dec-signs"
  assert "- first: Super-FT long, diverged (2 of 2 seeds) (transpose)" in text
  assert list(page.verdicts(text)) == ["(i)", "(ii)", "(iii)", "(iv)", "(v)", "Attackers"]


def test_vanilla(page, two):
  part = page.section(two[1].read_text(), "(i)")
  assert "**Holds.**" in part
  assert "leaves 5 of 5 working attacks unstopped." in part
  rows = page.table(part, "run")
  run = load(two[0][1])
  row = run.table[(run.table.attack == "dec") & (run.table.defense == "vanilla") & (run.table.finish == "none")].iloc[0]
  found = bootstrap.intervals([[run.outcomes.arrays[f"reid/{row.member}"]]], QUANTITIES["reid"])[0]
  cell = rows[(rows.run == "second") & (rows.attack == "dec")].iloc[0]
  assert cell["after vanilla, re-id %"] == formats.within(formats.percent, *found)
  assert cell["stopped?"] == "no"


def test_stopping(page, two):
  part = page.section(two[1].read_text(), "(ii)")
  assert "**Depends.**" in part
  assert "- first: LWLRD alone stops 1 of 1 working attack: transpose (decay 0.5, 0.7)." in part
  assert "LWLRD alone stops 1 of 4 working attacks: transpose (decay 0.5, 0.7)." in part
  assert "with scrub after stops 3 of 4 working attacks: transpose (decay 0.5, 0.7); dec and dec-dead (every" in part
  assert "survived by: plain attackers dec-signs; adaptive attackers none." in part
  rows = page.table(part, "attack", 1).set_index("attack")
  assert len(rows.columns) == 1 + 6
  run = load(two[0][1]).table
  for attack in ATTACKS:
    for decay in DECAYS:
      for finish, name in (("none", ""), ("scrub", " + scrub")):
        row = run[(run.attack == attack) & (run.decay == decay) & (run.finish == finish) & (run.defense == "lwlrd")]
        figure, ssim = float(row.reid.iloc[0]), float(row.ssim.iloc[0])
        cell = rows.loc[attack, f"LWLRD {formats.rate(decay)}{name}"]
        assert cell.strip("*").split()[0] == formats.percent(figure)
        assert cell.startswith("**") == (figure <= 0.02 and ssim <= 0.5)
  assert "In a model never infected, read as transpose is: 0 [0, 1.4]." in part


def test_utility(page, two):
  text = two[1].read_text()
  part = page.section(text, "(iii)")
  assert "- first: Where an attack is stopped, AUC is lower in 1 and not known well enough in 1 of 2 cases." in part
  rows = page.table(part, "attack", 1).set_index("attack")
  run = load(two[0][1])
  members = page.records(run, attack="dec")
  treated = next(row for row in members if (row["defense"], row["decay"], row["finish"]) == ("lwlrd", 0.5, "scrub"))
  untreated = next(row for row in members if row["defense"] == "untreated")
  gap = run.outcomes.difference("auc", [treated["member"]], [untreated["member"]])
  assert gap.value == pytest.approx(treated["auc"] - untreated["auc"], abs=1e-6)
  balanced = formats.score(treated["balanced_accuracy"] - untreated["balanced_accuracy"])
  expected = f"{formats.within(formats.score, *gap)}<br>balanced {balanced}<br>(stops it)"
  assert rows.loc["dec", "LWLRD 0.5 + scrub"] == expected
  assert "The best LWLRD schedule with scrub after, LWLRD 0.5 + scrub, changes AUC by" in part
  assert "; against vanilla fine-tuning with the same finishing steps by" in part
  assert page.summary(text, "(iii)")["depends or fails"] == (
    "lower: without finishing steps 3 of 4 cases, with 8 of 8 cases; "
    "not known well enough: without finishing steps 1 of 4 cases; largest drop 0.063"
  )
  assert rows.loc["dec", "never infected"].startswith("0.900 [")


def test_rivals(page, two):
  part = page.section(two[1].read_text(), "(iv)")
  assert "Against high-LR: wins (higher AUC); with scrub after wins (higher AUC)." in part
  # 0.008 lower, with an interval that reaches below 0.01.
  assert (
    "Against Super-FT: not known well enough (only LWLRD stops transpose, AUC may be lower by more than 0.01)." in part
  )
  assert "with scrub after mixed (lower AUC, only LWLRD stops transpose)" in part
  rows = page.table(part, "schedule", 1).set_index("schedule")
  assert rows.loc["LWLRD 0.5 + scrub", "attacks stopped"] == "3 of 4"
  assert rows.loc["LWLRD 0.5 + scrub", "lets through"] == "dec-signs 93.0"
  assert (
    page.table(part, "schedule").set_index("schedule").loc["Super-FT long"].iloc[0].startswith("not judged: diverged")
  )
  duel = page.table(part, "steps", 1).iloc[0]
  assert duel.tolist()[:4] == ["no finishing step", "LWLRD 0.5 (of 3)", "high-LR (of 1)", "1 to 1"]


def test_downstream(page, two):
  part = page.section(two[1].read_text(), "(v)")
  assert "- first: After LWLRD 0.5 alone, images are unusable (transpose)." in part
  assert "After LWLRD 0.5 + scrub, images are unusable (transpose, dec and dec-dead), of use (dec-signs)." in part
  assert re.search(r"mean image, 0\.500 \[[^]]+\] on noise and 0\.550 \[[^]]+\] on what a model never infected", part)
  rows = page.table(part, "attack", 1).set_index("attack")
  run = load(two[0][1])
  member = next(row["member"] for row in page.records(run, attack="dec") if row["defense"] == "untreated")
  floor = next(row["member"] for row in page.records(run, attack="none") if row["defense"] == "mean_image")
  gap = run.outcomes.difference("downstream_auc", [member], [floor])
  assert rows.loc["dec", "untreated"].endswith(f"<br>of use {formats.within(formats.score, *gap)}")
  unusable = [cell for cell in rows.to_numpy().ravel() if "**unusable**" in cell]
  for cell in unusable:
    low, high = cell.split("[")[2].rstrip("]").replace(MINUS, "-").split(", ")
    assert float(low) <= 0 <= float(high)


def test_figures(two):
  _, file = two
  folder = file.with_suffix("")
  copied = {path.name: path.read_bytes() for path in folder.iterdir()}
  assert copied == {"first-frontier.png": b"frontier"}
  text = file.read_text()
  assert "![Re-identification against AUC of every schedule of first](results/first-frontier.png)" in text
  assert "second: no figure (its report was not written)." in text
