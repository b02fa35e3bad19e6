"""The file itself: its hash, its bytes, its figures, and what it refuses."""

import json
import shutil
import subprocess
import sys

import pytest

from lwlrd_jax.errors import UserError
from lwlrd_jax.report.load import load
from paper.__main__ import main
from paper.claims import write_claims
from paper.fingerprint import fingerprint

DECAYS = (0.3, 0.5, 0.7)


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


def test_the_command(two, tmp_path, capsys):
  runs, file = two
  assert main([*map(str, runs), "--out", str(tmp_path / "results.md")]) == 0
  assert capsys.readouterr().out == f"{tmp_path / 'results.md'}\n"
  assert (tmp_path / "results.md").read_bytes() == file.read_bytes()
  assert main(["--out", str(tmp_path / "other.md")]) == 2
  assert capsys.readouterr().err == "error: RUN: none given; allowed: one or more run directories\n"


def test_stale_figures_go_and_others_stay(two, tmp_path):
  runs, _ = two
  folder, file = tmp_path / "results", tmp_path / "results.md"
  folder.mkdir()
  for name in ("my-frontier.png", "mine.png"):
    (folder / name).write_bytes(b"")
  write_claims(runs[:1], file)
  assert {path.name for path in folder.iterdir()} == {
    "first-frontier.png",
    "my-frontier.png",
    "mine.png",
  }
  write_claims(runs[1:], file)  # which has no figure
  assert {path.name for path in folder.iterdir()} == {"my-frontier.png", "mine.png"}


def test_runs_of_one_name_and_other_commands(page, rows_of, make, tmp_path):
  rows = rows_of(("transpose",), decays=(0.5,))
  runs = [make.run(tmp_path / name / "run", rows, samples=False) for name in ("a", "b")]
  config = json.loads((runs[1] / "config.json").read_text())
  config["command"] = "python -m lwlrd_jax.sweep --npz /home/someone/set.npz --out=/data/x --note a/b"
  config["git_commit"] = "0123456789abcdef"
  (runs[1] / "config.json").write_text(json.dumps(config))
  text = write_claims(runs, tmp_path / "results.md").read_text()
  assert page.table(text, "run").columns.tolist() == ["run", "a/run", "b/run"]
  assert "python -m lwlrd_jax.sweep --npz …/set.npz --out=…/x --note a/b  # b/run" in text
  assert "someone" not in text
  assert "| git commit, at the start | none | 0123456789ab |" in text


def test_mistakes_are_one_line(two, tmp_path):
  runs, _ = two
  foreign = tmp_path / "README.md"
  foreign.write_text("# Mine\n")
  (tmp_path / "folder.md").mkdir()
  broken = tmp_path / "broken"
  broken.mkdir()
  for given, file, words in (
    (runs, foreign, "was not written by this program"),
    (runs, tmp_path / "folder.md", "was not written by this program"),
    (runs, tmp_path / "nowhere" / "results.md", "cannot be written"),
    (runs, tmp_path / "results", "needs a suffix"),
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
  assert not (tmp_path / "results").exists()


def test_it_needs_no_jax():
  code = "import sys, paper; sys.exit('jax' in sys.modules)"
  assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
