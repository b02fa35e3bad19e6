"""An attack of a file, swept beside the built-in ones."""

import json
from pathlib import Path

import numpy as np
import pytest

import lwlrd_jax
from lwlrd_jax.attacks.registry import ATTACKS, FLAGS
from lwlrd_jax.sweep import main
from tests.small_sweep import narrow

EXAMPLE = Path(__file__).parents[2] / "examples" / "add_an_attack.py"


@pytest.fixture
def registered():
  """What tests register is forgotten."""
  yield
  for registry in (ATTACKS, FLAGS):
    registry.pop("mosaic", None)


@pytest.fixture(scope="module")
def npz(tmp_path_factory):
  rng = np.random.default_rng(0)
  arrays = {}
  for split in ("train", "val", "test"):
    labels = np.arange(64) % 2
    arrays[f"{split}_images"] = (rng.uniform(0, 160, (64, 12, 12)) + 90 * labels[:, None, None]).astype(np.uint8)
    arrays[f"{split}_labels"] = labels[:, None].astype(np.uint8)
  file = tmp_path_factory.mktemp("data") / "small.npz"
  np.savez(file, **arrays)  # type: ignore[arg-type]
  return file


def test_the_example_stands_in_the_table_and_is_short(npz, tmp_path, registered, capsys):
  assert len(EXAMPLE.read_text().splitlines()) <= 60
  flags = ["--dataset", "npz", "--npz", str(npz), "--attacks", "transpose", "--stolen", "8", "--infect-steps", "40"]
  flags += ["--finish", "none", "--epochs", "1", "--decays", "0.5", "--no-baselines", "--batch-size", "32"]
  flags += ["--attack-file", f"{EXAMPLE}:MOSAIC", "--out", str(tmp_path / "r")]
  with narrow():
    assert main(flags) == 0
  table = lwlrd_jax.load_run(tmp_path / "r").results
  ours = table[table.attack == "mosaic"].set_index("defense")
  assert set(ours.index) == {"untreated", "lwlrd"}
  assert (ours.status == "ok").all()
  assert ours.ssim["untreated"] > table[table.defense == "mean_image"].ssim.iloc[0]
  assert 0.5 < ours.reid["untreated"] <= 1
  assert ours.reid["lwlrd"] <= ours.reid["untreated"]
  config = json.loads((tmp_path / "r" / "config.json").read_text())
  assert config["attacks"] == ["transpose", "mosaic"]
  assert len(config["infection"]["mosaic"]["source"]) == 64  # another file is another attack to the cache
  assert "coarse pictures as weights" in (tmp_path / "r" / "report.html").read_text()
  capsys.readouterr()
  with narrow():
    assert main([*flags, "--resume"]) == 0
  assert "fine-tuning" not in capsys.readouterr().err


@pytest.mark.parametrize(
  ("text", "name", "said"),
  [
    ("X = 3\n", "X", "the file has no X, or it is something else; allowed: FILE.py:NAME"),
    ("", "X", "the file has no X"),
    ("1 +", "X", "SyntaxError: "),
    (
      "from lwlrd_jax.attacks.registry import AttackInfo, Family\nX = AttackInfo('dec', Family(print), 'x')\n",
      "X",
      "the name dec is taken; allowed: another one",
    ),
  ],
)
def test_mistakes_are_one_line(tmp_path, capsys, text, name, said):
  file = tmp_path / "mine.py"
  file.write_text(text)
  assert main(["--attack-file", f"{file}:{name}", "--out", str(tmp_path / "r")]) == 2
  err = capsys.readouterr().err
  assert err.startswith(f"error: --attack-file {file}:{name}: ")
  assert said in err
  assert err.count("\n") == 1
  assert main(["--attack-file", "nowhere.py:X"]) == 2
  assert capsys.readouterr().err.startswith("error: --attack-file nowhere.py:X: there is no such file; allowed: ")
