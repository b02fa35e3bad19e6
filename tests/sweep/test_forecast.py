"""`--dry-run`: what would be done is what is done, and nothing is."""

import re

import pandas as pd

from lwlrd_jax.engine import memory
from lwlrd_jax.runs import forecast
from lwlrd_jax.sweep import main


def test_members_and_waves_are_those_of_the_run(npz, tmp_path, capsys):
  flags = [
    *("--dataset", "npz", "--npz", str(npz), "--attacks", "transpose", "--stolen", "8", "--infect-steps", "40"),
    *("--decays", "0.1:0.9:5", "--epochs", "2", "--batch-size", "32", "--members-per-wave", "3"),
    *("--out", str(tmp_path / "r")),
  ]
  assert main([*flags, "--dry-run"]) == 0
  said = capsys.readouterr().out
  assert not (tmp_path / "r").exists()
  assert main(flags) == 0
  table = pd.read_parquet(tmp_path / "r" / "results.parquet")
  controls = table.decay.isna() & table.lr_max.isna()
  assert f"members: {(~controls).sum()}, and {controls.sum()} controls" in said
  # Program by program: members a wave times waves.
  rows = [re.split(r"\s*│\s*", line.strip("│ \n")) for line in said.splitlines() if line.startswith("│")]
  assert sum(int(row[3]) * int(row[4]) for row in rows) == (~controls).sum()
  assert f"{len(rows)} programs to compile" in said
  assert all(re.fullmatch(r"[\d.]+ (MB|GB)", row[5]) for row in rows)


def test_a_codec_is_not_trained_for_it(npz, tmp_path, monkeypatch, capsys):
  monkeypatch.setenv("LWLRD_JAX_CACHE", str(tmp_path))
  assert main(["--dataset", "npz", "--npz", str(npz), "--stolen", "8", "--dry-run", "--seeds", "2"]) == 0
  assert "2 attacks (transpose, dec), seeds: 2" in capsys.readouterr().out
  assert not (tmp_path / "models").exists()


def test_waves_that_do_not_fit_are_told_as_halves(npz, monkeypatch, capsys):
  command = ["--dataset", "npz", "--npz", str(npz), "--stolen", "8", "--decays", "0.1:0.9:8", "--no-baselines"]
  sizes = []
  taken_by = memory.taken_by

  def listen(compiled):
    sizes.append(taken_by(compiled))
    return sizes[-1]

  monkeypatch.setattr(forecast, "taken_by", listen)
  assert main([*command, "--dry-run"]) == 0
  assert re.search(r"│ 8 +│ 1 +│", capsys.readouterr().out)
  monkeypatch.setattr(forecast, "free_on_device", lambda: sizes[0] - 1)
  assert main([*command, "--dry-run"]) == 0
  assert re.search(r"│ 4 +│ 2 +│", capsys.readouterr().out)
