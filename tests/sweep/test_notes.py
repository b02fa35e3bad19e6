"""How a data set was read is printed, by a dry run as well."""

import numpy as np

from lwlrd_jax.sweep import main


def test_a_dry_run_says_how_labels_were_read_and_how_many_copies_there_are(tmp_path, capsys):
  rng = np.random.default_rng(0)
  arrays = {}
  for split in ("train", "val", "test"):
    images = rng.integers(0, 256, (24, 12, 12), np.uint8)
    arrays[f"{split}_images"] = np.repeat(images, 2, axis=0)
    arrays[f"{split}_labels"] = np.eye(5, dtype=np.uint8)[np.arange(48) // 2 % 2 * 3]
  np.savez(tmp_path / "own.npz", **arrays)  # type: ignore[arg-type]
  flags = ["--dataset", "npz", "--npz", str(tmp_path / "own.npz"), "--stolen", "8", "--attacks", "transpose"]
  assert main([*flags, "--decays", "0.5", "--no-baselines", "--dry-run"]) == 0
  said = capsys.readouterr().out.splitlines()
  assert said[0].endswith(
    "one-hot rows, read as classes, one a column; --labels findings takes the columns for findings"
  )
  assert said[1].endswith("the labels 0, 3 are 2 classes; other numbers have no image and get no output")
  assert said[2] == "24 of 48 training images are copies of another, exact or near; they count as one"
