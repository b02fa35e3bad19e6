"""What a user can get wrong."""

import numpy as np
import pytest

from lwlrd_jax.config import checks
from lwlrd_jax.data.medmnist import info as medmnist_info
from lwlrd_jax.sweep import main

STOLEN = 16


def saved(tmp_path, **changes):
  """A small valid file with some arrays replaced, or left out where None."""
  images = np.random.default_rng(0).integers(0, 255, (40, 12, 12), np.uint8)
  labels = (np.arange(40) % 2)[:, None].astype(np.uint8)
  arrays = {f"{split}_{part}": array for split in ("train", "val", "test") for part, array in
            (("images", images), ("labels", labels))} | changes  # fmt: skip
  file = tmp_path / "file.npz"
  np.savez(file, **{name: array for name, array in arrays.items() if array is not None})
  return file


def refused(capsys, tmp_path, *arguments):
  """The one line that a mistake ends in."""
  capsys.readouterr()
  out = tmp_path / "never"
  named = [] if "--out" in arguments else ["--out", str(out)]
  assert main([*arguments, *named]) == 2
  assert not out.exists()
  said = capsys.readouterr()
  assert said.out == ""
  lines = said.err.strip().splitlines()
  assert len(lines) == 1, lines
  assert lines[0].startswith("error: --")
  return lines[0].removeprefix("error: ")


@pytest.mark.parametrize("decays", ["0:2", "0.9:0.1", "abc", ""])
def test_bad_decays(capsys, tmp_path, decays):
  assert refused(capsys, tmp_path, "--decays", decays).startswith("--decays")


@pytest.mark.parametrize(
  ("arguments", "said"),
  [
    (["--dataset", "nothing"], "--dataset nothing: "),
    (["--model", "transformer"], "--model transformer: not known; allowed: mlp, cnn"),
    (["--attacks", "transpose,fog"], "--attacks transpose,fog: 'fog' is not known; allowed: transpose, heavy"),
    (["--finish", "scrubb"], "--finish scrubb: "),
    (["--optimizer", "adamw"], "--optimizer adamw: "),
    (["--shape", "square"], "--shape square: "),
    (["--high-lrs", "0"], "--high-lrs 0: out of range; "),
    (["--high-lrs", "0.1", "--no-baselines"], "--high-lrs 0.1: goes with baselines only"),
    (["--seeds", "0"], "--seeds 0: "),
    (["--epochs", "-1"], "--epochs -1: "),
    (["--stolen", "0"], "--stolen 0: "),
    (["--stolen", "2049"], "--stolen 2049: the training set has 2048 images; allowed: 1 to 2048"),
    (["--npz", "x.npz"], "--npz x.npz: "),
    (["--dataset", "npz"], "--dataset npz: needs --npz"),
    (
      ["--track", "tensorboard,fog"],
      "--track tensorboard,fog: 'fog' is not known; allowed: tensorboard, wandb, mlflow",
    ),
    (["--dataset", "npz", "--npz", "nowhere.npz"], "--npz nowhere.npz: "),
    (["--dataset", "pneumoniamnist", "--image-size", "30"], "--image-size 30: "),
  ],
)
def test_bad_flags(capsys, tmp_path, arguments, said):
  assert refused(capsys, tmp_path, *arguments).startswith(said)


@pytest.mark.parametrize(
  ("tracker", "library"), [("tensorboard", "tensorboardX"), ("wandb", "wandb"), ("mlflow", "mlflow")]
)
def test_a_tracker_whose_library_is_not_there(capsys, tmp_path, monkeypatch, tracker, library):
  find_spec = checks.importlib.util.find_spec
  monkeypatch.setattr(checks.importlib.util, "find_spec", lambda name: None if name == library else find_spec(name))
  said = refused(capsys, tmp_path, "--track", tracker)
  assert said == f"--track {tracker}: {library} is not installed; its extra is: pip install -e '.[{tracker}]'"


def test_bad_files(capsys, tmp_path):
  def say(file):
    message = refused(capsys, tmp_path, "--dataset", "npz", "--npz", str(file))
    assert message.startswith(f"--npz {file}: ")
    return message

  other = tmp_path / "other.npz"
  other.write_bytes(b"not a zip")
  say(other)
  assert "pickle" in say(saved(tmp_path, train_images=np.array([{}], dtype=object)))
  assert "test_labels" in say(saved(tmp_path, test_labels=None))
  assert "NaN" in say(saved(tmp_path, train_images=np.full((40, 12, 12), np.nan, np.float32)))
  assert "class" in say(saved(tmp_path, train_labels=np.zeros((40, 1), np.uint8)))


@pytest.mark.parametrize("split", ["val", "test"])
@pytest.mark.parametrize("dry", [False, True])
def test_a_split_without_an_auc(capsys, tmp_path, split, dry):
  """Scrub, search and the choice of a schedule go by it."""
  file = saved(tmp_path, **{f"{split}_labels": np.ones((40, 1), np.uint8)})
  name = {"val": "validation", "test": "test"}[split]
  said = refused(capsys, tmp_path, "--dataset", "npz", "--npz", str(file), *(["--dry-run"] if dry else []))
  assert said == f"--npz {file}: no AUC can be computed on the {name} split; allowed: a split of at least two classes"
  findings = {f"{part}_labels": np.eye(3, dtype=np.uint8)[np.arange(40) % 3] for part in ("train", "val", "test")}
  findings[f"{split}_labels"] = np.tile(np.array([1, 0, 1], np.uint8), (40, 1))
  file = saved(tmp_path, **findings)
  said = refused(capsys, tmp_path, "--dataset", "npz", "--npz", str(file), "--labels", "findings")
  assert said.endswith("allowed: a split of at least one finding that some images have and others have not")


def test_resume_without_out(capsys):
  assert main(["--resume"]) == 2
  assert capsys.readouterr().err == "error: --resume: needs --out DIR, the stopped run\n"


def test_more_images_than_index_codes(capsys, tmp_path):
  count = 3000
  images = np.zeros((count, 12, 12), np.uint8)
  labels = (np.arange(count) == 0)[:, None].astype(np.uint8)
  file = saved(tmp_path, train_images=images, train_labels=labels)
  said = refused(capsys, tmp_path, "--dataset", "npz", "--npz", str(file), "--stolen", "2900")
  assert said.startswith("--stolen 2900: ")
  assert "index codes" in said


def test_existing_and_unwritable_out(capsys, tmp_path):
  (tmp_path / "there").mkdir()
  (tmp_path / "there" / "note").touch()
  assert refused(capsys, tmp_path, "--out", str(tmp_path / "there")).startswith(f"--out {tmp_path / 'there'}: exists")
  (tmp_path / "file").write_text("")
  out = tmp_path / "file" / "run"
  small = ("--dataset", "npz", "--npz", str(saved(tmp_path)), "--stolen", str(STOLEN), "--attacks", "transpose")
  assert "cannot be created" in refused(capsys, tmp_path, *small, "--out", str(out))


def test_wrong_checksum_and_no_network(capsys, tmp_path, monkeypatch):
  saved(tmp_path).rename(tmp_path / "breastmnist.npz")
  said = refused(capsys, tmp_path, "--dataset", "breastmnist", "--data-dir", str(tmp_path))
  assert "breastmnist.npz" in said
  assert medmnist_info.MEDMNIST["breastmnist"].md5[28] in said
  monkeypatch.setattr(medmnist_info, "_ADDRESS", "http://127.0.0.1:9")
  (tmp_path / "empty").mkdir()
  said = refused(capsys, tmp_path, "--dataset", "breastmnist", "--data-dir", str(tmp_path / "empty"))
  assert "http://127.0.0.1:9/breastmnist.npz" in said
  assert str(tmp_path / "empty") in said


@pytest.mark.realdata
def test_rebuilt_file_is_not_the_official_one_but_the_official_one_is(capsys, tmp_path, realdata):
  (tmp_path / "dermamnist.npz").symlink_to(realdata / "dermamnist_rebuilt_28.npz")
  assert "d20ee775b412ecf0188ff93fd8084a80" in refused(
    capsys, tmp_path, "--dataset", "dermamnist", "--data-dir", str(tmp_path)
  )


@pytest.mark.parametrize(
  ("arguments", "told"),
  [
    (("--carriers", "all,nowhere"), "--carriers all,nowhere: 'nowhere' is not known; allowed: all, early"),
    (("--planes", "5:40"), "--planes 5:40: out of range; allowed: N or LO:HI"),
    (("--finish", "scrub+bleach"), "--finish scrub+bleach: 'bleach' is not known; allowed: none"),
    (("--redundancy", "repeat-2"), "--redundancy repeat-2"),
    (("--carriers", "values", "--codec", "png"), "--carriers values: sends numbers"),
    (("--codec-steps", "8"), "--codec learned: 30 images to train the external codec on"),
    (
      ("--codec", "png", "--stolen", "160", "--planes", "22:23", "--redundancy", "repeat-99"),
      "--stolen 160: the payload of",
    ),
  ],
)
def test_mistakes_end_in_one_line(npz, tmp_path, capsys, arguments, told):
  out = tmp_path / "never"
  command = ["--dataset", "npz", "--npz", str(npz), "--attacks", "dec", "--stolen", str(STOLEN), "--out", str(out)]
  assert main([*command, *arguments]) == 2
  message = capsys.readouterr().err.splitlines()[-1]
  assert message.startswith(f"error: {told}")
  assert not out.exists()
