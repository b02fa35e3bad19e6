"""`--dry-run`: what would be done is what is done, and nothing is."""

import re

import pandas as pd
import pytest

from lwlrd_jax.engine import memory
from lwlrd_jax.setup import forecast
from lwlrd_jax.sweep import main


def test_members_and_waves_are_those_of_the_run(npz, tmp_path, capsys):
  flags = [
    *("--dataset", "npz", "--npz", str(npz)),
    *("--attacks", "transpose", "--finish", "none", "--stolen", "8", "--infect-steps", "40"),
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
  # Inside there are enough images for one; outside, of this data set, there are not.
  command = ["--dataset", "npz", "--npz", str(npz), "--stolen", "8", "--scenario", "internal", "--no-baselines"]
  assert main([*command, "--decays", "0.5", "--dry-run", "--seeds", "2"]) == 0
  said = capsys.readouterr().out
  assert "2 attacks (transpose, dec), seeds: 2" in said
  assert "payload of dec: its size is not known before the image codec is trained" in said
  assert not (tmp_path / "models").exists()


def test_waves_that_do_not_fit_are_told_as_halves(npz, monkeypatch, capsys):
  command = ["--dataset", "npz", "--npz", str(npz), "--stolen", "8", "--decays", "0.1:0.9:8", "--no-baselines"]
  command += ["--attacks", "transpose", "--finish", "none"]
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


NET = """
from flax import nnx

class Net(nnx.Module):
  def __init__(self, image_shape, num_outputs, *, rngs):
    self.last = nnx.Linear(image_shape[0] * image_shape[1] * image_shape[2], num_outputs, rngs=rngs)

  def __call__(self, images):
    return self.last(images.reshape(len(images), -1))
"""


@pytest.mark.parametrize(
  ("flags", "said"),
  [
    (["--attacks", "transpose"], "--attacks transpose: {net}:Net has no method transpose"),
    (["--attacks", "dec"], "--codec learned: 30 images to train the external codec on"),
    (["--attacks", "dec", "--codec", "png", "--stolen", "100"], "--stolen 100: the payload of dec takes "),
    (
      ["--attacks", "dec", "--scenario", "internal", "--stolen", "100", "--planes", "1"],
      "--stolen 100: the payload of dec takes at least ",
    ),
    (
      ["--attacks", "dec", "--scenario", "internal", "--carriers", "values", "--stolen", "100"],
      "--stolen 100: the payload of dec-values takes at least ",
    ),
    (["--attacks", "dec", "--codec", "png", "--carriers", "dead"], "--attacks dec-dead: no layer of this network has"),
    (["--attacks", "dec", "--codec", "png", "--stolen", "161"], "--stolen 161: the training set has 160 images"),
  ],
)
def test_what_a_run_would_be_refused_for(npz, tmp_path, monkeypatch, capsys, flags, said):
  monkeypatch.setenv("LWLRD_JAX_CACHE", str(tmp_path / "cache"))
  net = tmp_path / "net.py"
  net.write_text(NET)
  command = ["--dataset", "npz", "--npz", str(npz), "--stolen", "8", "--model", f"{net}:Net", *flags]
  assert main([*command, "--dry-run"]) == 2
  told = capsys.readouterr()
  assert told.out == ""
  (line,) = told.err.splitlines()
  assert line.startswith("error: " + said.format(net=net))
  if "at least" not in said:  # else the codec is trained first, and says more exactly how much it is
    assert main([*command, "--out", str(tmp_path / "never")]) == 2
    assert capsys.readouterr().err.splitlines() == [line]


def test_a_folder_that_a_run_would_be_refused(npz, tmp_path, capsys):
  command = ["--dataset", "npz", "--npz", str(npz), "--dry-run", "--out"]
  (tmp_path / "note").touch()
  for flags, said in (
    ([str(tmp_path)], f"--out {tmp_path}: exists; "),
    ([str(tmp_path), "--overwrite"], f"--out {tmp_path}: holds something that is no run"),
    ([str(tmp_path), "--resume"], f"--resume --out {tmp_path}: no run there"),
    ([str(tmp_path / "note" / "r")], f"--out {tmp_path / 'note' / 'r'}: cannot be created (Not a directory)"),
  ):
    assert main([*command, *flags]) == 2
    assert capsys.readouterr().err.startswith(f"error: {said}")
