import json
import re

import pytest

from lwlrd_jax.report.__main__ import main
from lwlrd_jax.report.compare import against, differing, write_comparison
from lwlrd_jax.report.compare import read_runs as read

MINUS = "\u2212"
DECAYS = (0.3, 0.5, 0.7)


def edit(run, **changes):
  config = json.loads((run / "config.json").read_text())
  for name, value in changes.items():
    config[name] = config[name] | value if isinstance(value, dict) else value
  (run / "config.json").write_text(json.dumps(config))


def worse(rows, by):
  return [row | {"auc": row["auc"] - by} if row["attack"] != "none" and row["auc"] else row for row in rows]


@pytest.fixture
def runs(make, tmp_path):
  """The same sweep, and one that is a little worse, with another number of epochs."""
  rows = make.sweep(DECAYS, seeds=3)
  first = make.run(tmp_path / "first", rows, samples=False, outcomes=True)
  second = make.run(tmp_path / "second", worse(rows, 0.02), samples=False, outcomes=True)
  edit(second, config={"epochs": 9})
  return first, second


def test_the_page(runs, tmp_path):
  out = write_comparison([*runs], tmp_path / "comparison.html")
  text = out.read_text()
  assert not re.search(r"https?://|@import|url\(|<script", text)
  assert text.count('<img src="data:image/png;base64,') == 1
  assert '<code>epochs</code></th><td class="value">not said</td><td class="value">9</td>' in text
  assert "LWLRD with decay 0.5 (lr_max 0.03)" in text
  assert re.search(r"<td>0\.8[35]\d \[0\.\d+, 0\.\d+\]</td>", text)
  assert "second and first have 9 rows in common: AUC is not distinguishable in 1 of 9 and" in text  # the clean one
  assert "nan" not in text
  write_comparison([*runs], out)  # one of ours may be replaced


def test_the_same_data_infections_and_attacks_are_paired(runs):
  found = against(*read([*runs]).items())
  assert all(pairs for _, _, pairs, _ in found.rows)
  by_name = {name: gaps for name, _, _, gaps in found.rows}
  auc, reid = by_name["LWLRD 0.5"]
  assert re.fullmatch(rf"{MINUS}0\.020 \[{MINUS}0\.0\d\d, {MINUS}0\.0\d\d\]", auc.text)
  assert (auc.same, reid.same) == (False, True)
  assert {"untreated", "clean"} <= set(by_name)
  assert not {"mean image", "Super-FT long"} & set(by_name)


@pytest.mark.parametrize(
  "changes",
  [
    {"dataset": {"sha256": "1" * 64}},
    {"infection": {"transpose": {"steps": 5}}},
    {"stolen": 128},
  ],
)
def test_others_are_not(runs, changes):
  edit(runs[1], **changes)
  unpaired = against(*read([*runs]).items())
  assert not any(pairs for _, _, pairs, _ in unpaired.rows)
  # Test images of two data sets: 0.02 is no longer told from nothing.
  assert next(gaps for name, _, _, gaps in unpaired.rows if name == "LWLRD 0.5")[0].same


def test_other_infections_are_not_paired(make, tmp_path):
  rows = make.sweep(DECAYS)
  runs = [
    make.run(tmp_path / "one", rows, samples=False, outcomes=True),
    make.run(tmp_path / "three", make.sweep(DECAYS, seeds=3), samples=False, outcomes=True),
  ]
  assert not any(pairs for _, _, pairs, _ in against(*read(runs).items()).rows)
  page = write_comparison(runs, tmp_path / "page.html").read_text()
  assert "With one infection: the interval is over images only." in page


def test_without_outcomes_there_are_differences_alone(make, tmp_path):
  rows = make.sweep(DECAYS)
  runs = [make.run(tmp_path / name, rows, samples=False) for name in ("a", "b")]
  found = against(*read(runs).items())
  assert found.text.endswith("without figures by image, what differs by chance cannot be said.")
  assert {gap.text for _, _, _, gaps in found.rows for gap in gaps} == {"0.000", "0"}
  assert not any(gap.same for _, _, _, gaps in found.rows for gap in gaps)


def test_nothing_in_common_and_nothing_judged(make, tmp_path):
  other = [row for row in make.carriers((0.5,), attacks=("dec",)) if row["defense"] == "lwlrd"]
  runs = [
    make.run(tmp_path / "a", make.sweep(DECAYS), samples=False),
    make.run(tmp_path / "b", other, samples=False),
    make.run(tmp_path / "c", [], samples=False),
  ]
  page = write_comparison(runs, tmp_path / "page.html").read_text()
  assert page.count("have no schedule in common under the same attack") == 2
  assert "no defence was run" in page


def test_a_decay_is_the_same_whatever_its_last_digit(make, tmp_path):
  runs = [
    make.run(tmp_path / str(i), [*make.controls(), make.row("lwlrd", decay=decay, lr_max=0.03, auc=0.8)], samples=False)
    for i, decay in enumerate((0.3, 0.1 + 0.2))
  ]
  assert "LWLRD 0.3" in [name for name, _, _, _ in against(*read(runs).items()).rows]


def test_runs_of_one_name(make, tmp_path):
  runs = [make.run(tmp_path / folder / "run", make.controls(), samples=False) for folder in "ab"]
  assert list(read(runs)) == ["a/run", "b/run"]


def test_only_what_differs_is_listed():
  first = {
    "config": {"epochs": 6, "out": "a", "lrs": [0.1], "track": "none"},
    "started": "x",
    "members": {},
    "stolen": 9,
  }
  second = {
    "config": {"epochs": 6, "out": "b", "lrs": [0.1, 0.2], "seeds": 3, "track": "wandb"},
    "started": "y",
    "stolen": 9,
  }
  assert differing([first, second]) == [("lrs", ["0.1", "0.1, 0.2"]), ("seeds", ["not said", "3"])]


def test_command_line(make, tmp_path, capsys):
  runs = [make.run(tmp_path / name, make.controls(), samples=False) for name in ("first", "second")]
  out = tmp_path / "other.html"
  assert main([*map(str, runs), "--out", str(out)]) == 0
  assert capsys.readouterr().out.split() == [*(str(run / "report.html") for run in runs), str(out)]
  assert "Runs compared" in out.read_text()


@pytest.mark.parametrize(
  ("arguments", "said"),
  [
    (["first", "second", "--out", "notes.txt"], "notes.txt: exists and is no comparison"),
    (["first", "second", "--out", "first"], "first: exists and is no comparison"),
    (["first", "second", "--out", "nowhere/page.html"], "nowhere/page.html: its folder does not exist"),
    (["first", "first"], "given twice"),
    (["first", "--out", "page.html"], "--out page.html: only with two or more runs"),
    (["first", "nothing"], "nothing: no such folder"),
  ],
)
def test_mistakes_are_one_line(make, tmp_path, capsys, monkeypatch, arguments, said):
  monkeypatch.chdir(tmp_path)
  for name in ("first", "second"):
    make.run(tmp_path / name, make.controls(), samples=False)
  (tmp_path / "notes.txt").write_text("mine")
  assert main(arguments) == 2
  error = capsys.readouterr().err
  assert error.startswith("error: ")
  assert error.count("\n") == 1
  assert said in error
  assert (tmp_path / "notes.txt").read_text() == "mine"
  assert not (tmp_path / "comparison.html").exists()
  # Nothing was written for a command that could not be carried out, but where a run turns out to be none.
  assert (tmp_path / "first" / "report.html").exists() == ("no such folder" in said)
