"""Every benchmark runs, in a size that says nothing; those of PyTorch are left out."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def _run(*words: str) -> str:
  command = [sys.executable, "-m", *words]
  return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=600).stdout


def test_memorise():
  said = _run("benchmarks.memorise", "--model", "mlp", "--steps", "45", "--images", "16")
  assert "mlp, 28 px, 16 images, 45 steps at 0.003: SSIM 0." in said


def test_utility():
  said = _run("benchmarks.utility", "--model", "mlp", "--epochs", "2", "--augment", "dihedral", "--seeds", "2")
  assert said.count("mlp, phantom, dihedral, 2 epochs at 0.001, seed ") == 2


def test_streaming():
  said = _run(
    *("benchmarks.streaming", "--model", "mlp", "--image-size", "28", "--images", "200"),
    *("--members", "1", "--steps", "5", "--rounds", "1"),
  )
  assert "the same models" in said


def test_population(tmp_path):
  _run(
    *("benchmarks.population", "--models", "mlp", "--members", "1,2", "--steps", "4", "--rounds", "1"),
    *("--batch-size", "8", "--engines", "lwlrd_jax,jax-loop", "--json", str(tmp_path / "rows.json")),
    *("--plot", str(tmp_path / "plot.png")),
  )
  rows = json.loads((tmp_path / "rows.json").read_text())
  assert [(row["engine"], row["members"]) for row in rows] == [
    (engine, members) for members in (1, 2) for engine in ("lwlrd_jax", "jax-loop")
  ]
  for row in rows:
    assert row["model"] == "mlp"
    assert row["member_steps_per_s"] == pytest.approx(4 * row["members"] / row["seconds"][0])
    assert row["loss_difference"] < 2e-3
  assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow  # starts from nothing, several times
def test_cold_start():
  said = _run(
    "benchmarks.cold_start", "--attacks", "transpose", "--stolen", "8", "--infect-steps", "2", "--decays", "0.5"
  )
  assert "median of those again: " in said


@pytest.mark.slow  # compiles a ResNet of standard size in several forms
def test_convolutions():
  flags = ("--members", "2", "--batch-size", "2", "--steps", "1", "--rounds", "1")
  command = [sys.executable, "-m", "benchmarks.convolutions", *flags]
  said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=600).stderr
  assert "resnet18, between: " in said
