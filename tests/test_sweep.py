"""The product end to end, on a data set small enough to run it several times."""

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

import lwlrd_jax
from lwlrd_jax.data import medmnist_info
from lwlrd_jax.runs.results import COLUMNS
from lwlrd_jax.sweep import main

TRAIN, STOLEN = 160, 16


@pytest.fixture(scope="module")
def npz(tmp_path_factory):
  """Three classes of smooth 12 x 12 pictures, told apart by their brightness, with noise."""
  rng = np.random.default_rng(0)
  arrays = {}
  for split, count in (("train", TRAIN), ("val", 30), ("test", 60)):
    labels = np.arange(count) % 3
    coarse = rng.uniform(0, 160, (count, 4, 4, 1)) + 30 * labels[:, None, None, None]
    arrays[f"{split}_images"] = np.kron(coarse, np.ones((1, 3, 3, 1))).astype(np.uint8)
    arrays[f"{split}_labels"] = labels[:, None].astype(np.uint8)
  file = tmp_path_factory.mktemp("data") / "small.npz"
  np.savez(file, **arrays)  # type: ignore[arg-type]
  return file


@pytest.fixture(scope="module")
def flags(npz):
  """A short sweep of few, small waves."""
  return [
    *("--dataset", "npz", "--npz", str(npz), "--decays", "0.3,0.7", "--stolen", str(STOLEN), "--show-stolen"),
    *("--attacks", "transpose"),
    *("--infect-steps", "150", "--epochs", "2", "--batch-size", "32", "--members-per-wave", "3"),
  ]


@pytest.fixture(scope="module")
def run(flags, tmp_path_factory):
  out = tmp_path_factory.mktemp("runs") / "first"
  assert main([*flags, "--out", str(out)]) == 0
  return out


def comparable(path):
  return pd.read_parquet(path / "results.parquet").drop(columns="seconds")


def test_table(run):
  table = lwlrd_jax.load_run(run).results
  assert list(table.columns) == list(COLUMNS)
  assert set(table.status) == {"ok"}
  assert table.defense.tolist() == [
    *("untreated", "clean", "mean_image", "originals", "noise_images"),
    *("lwlrd", "lwlrd", "vanilla", "high_lr", "reversed", "super_ft_long", "super_ft_short"),
  ]
  assert table.attack.tolist() == ["transpose", *["none"] * 4, *["transpose"] * 7]
  untreated, clean, mean = (table[table.defense == name].iloc[0] for name in ("untreated", "clean", "mean_image"))
  # Every bit of every weight; summed in f32.
  whole = 4 * sum(lwlrd_jax.load_run(run).config["layer_parameters"])
  assert untreated.surviving_bytes == pytest.approx(whole, rel=1e-6)
  assert untreated.reid > 0.5
  assert clean.reid < 0.3
  assert mean.reid == pytest.approx(1 / TRAIN)
  assert np.isnan(mean.auc)
  sets = table.defense.isin(["mean_image", "originals", "noise_images"])
  models = table[~sets]
  assert models.auc_val.between(0, 1).all()
  assert table[table.defense.isin(["originals", "noise_images"])].reid.isna().all()
  assert table.downstream_auc.between(0, 1).all()
  assert models.auc.between(0, 1).all()
  assert (models.ssim >= models.ssim_naive).all()
  assert untreated.ssim > mean.ssim


def test_figures_image_by_image_average_to_the_table_s(run):
  table = lwlrd_jax.load_run(run).results.set_index("member")
  outcomes = lwlrd_jax.load_run(run).outcomes
  for column in ("reid", "ssim", "psnr", "mse", "auc", "downstream_auc"):
    filled = table[column].dropna()
    assert set(filled.index) == {key.split("/")[1] for key in outcomes if key.split("/")[0] == column}
    for member, figure in filled.items():
      assert outcomes[f"{column}/{member}"].mean() == pytest.approx(figure, abs=1e-5)
      assert len(outcomes[f"{column}/{member}"]) == (60 if column in {"auc", "downstream_auc"} else STOLEN)


def test_directory_is_private_and_complete(run):
  assert run.stat().st_mode & 0o777 == 0o700
  config = json.loads((run / "config.json").read_text())
  assert config["config"]["decays"] == "0.3,0.7"
  assert config["fine_tuning"] == {"epochs": 2, "batch_size": 32}
  assert config["dataset"]["train"] == TRAIN
  assert set(config["members"]) < set(lwlrd_jax.load_run(run).results.member)
  assert (run / "report.html").stat().st_size > 1000
  assert list((run / "figures").glob("*.png"))


def test_same_command_same_table(run, flags, tmp_path):
  assert main([*flags, "--out", str(tmp_path / "again")]) == 0
  pd.testing.assert_frame_equal(comparable(tmp_path / "again"), comparable(run), check_exact=True)


def test_trained_anew_or_from_the_cache_is_the_same(run, flags, tmp_path, monkeypatch):
  monkeypatch.setenv("LWLRD_JAX_CACHE", str(tmp_path / "cache"))
  assert main([*flags, "--out", str(tmp_path / "again")]) == 0
  pd.testing.assert_frame_equal(comparable(tmp_path / "again"), comparable(run), check_exact=True)


def test_a_stopped_run_goes_on_from_its_last_wave(run, flags, tmp_path, monkeypatch):
  from lwlrd_jax.runs import members  # noqa: PLC0415

  out = tmp_path / "stopped"
  calls = []

  def stop_in_the_third_wave(*args, **kwargs):
    calls.append(1)
    if len(calls) == 3:
      raise KeyboardInterrupt
    return finetune(*args, **kwargs)

  finetune = members.finetune
  monkeypatch.setattr(members, "finetune", stop_in_the_third_wave)
  assert main([*flags, "--out", str(out)]) == 130
  before = comparable(out)
  assert len(before) == 5 + 5
  assert main([*flags, "--out", str(out)]) == 2  # not without --resume
  assert main([*flags[:-6], "--out", str(out), "--resume"]) == 2  # other flags
  assert main([*flags, "--out", str(out), "--resume"]) == 0
  assert len(calls) == 5
  pd.testing.assert_frame_equal(comparable(out), comparable(run), check_exact=True)


def test_restored_in_a_new_process_on_one_device_has_the_auc_of_its_row(run, npz):
  script = f"""
import jax, jax.numpy as jnp, numpy as np, lwlrd_jax
from sklearn.metrics import roc_auc_score
run = lwlrd_jax.load_run({str(run)!r})
model = run.restore(decay=0.7, attack="transpose")
data = np.load({str(npz)!r})
logits = model(jnp.asarray(data["test_images"] / 255, jnp.float32))
scores = np.asarray(jax.nn.softmax(logits))
labels = data["test_labels"][:, 0]
print(np.mean([roc_auc_score(labels == k, scores[:, k]) for k in range(3)]) - run.find(decay=0.7).auc)
secret = run.secret()
print(model.transpose(jnp.asarray(secret["secret"]["codes"])).shape, len(set(secret["stolen"].tolist())))
"""
  answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
  difference, rest = answer.stdout.splitlines()
  assert abs(float(difference)) < 1e-6
  assert rest == f"({STOLEN}, 12, 12, 1) {STOLEN}"


def test_find_wants_exactly_one_row(run):
  loaded = lwlrd_jax.load_run(run)
  assert loaded.find(defense="vanilla").lr_max == pytest.approx(1e-4)
  with pytest.raises(KeyError, match=r"2 members have defense=lwlrd; choose one of: transpose-lwlrd"):
    loaded.find(defense="lwlrd")
  with pytest.raises(KeyError, match=r"0 members have decay=0\.5"):
    loaded.find(decay=0.5)
  with pytest.raises(KeyError, match="no column decai"):
    loaded.find(decai=0.5)
  with pytest.raises(FileNotFoundError):
    loaded.restore(defense="mean_image")


def test_pictures_only_of_open_data_or_on_demand(run, flags, tmp_path):
  assert (run / "samples.npz").exists()
  kept = [flag for flag in flags if flag != "--show-stolen"]
  assert main([*kept, "--no-baselines", "--out", str(tmp_path / "r")]) == 0
  assert not (tmp_path / "r" / "samples.npz").exists()
  assert len(comparable(tmp_path / "r")) == 5 + 2


def test_overwrite_and_seeds_and_the_cnn(flags, tmp_path, capsys):
  out = tmp_path / "r"
  small = [*flags, "--no-baselines", "--infect-steps", "10", "--model", "cnn", "--seeds", "2", "--out", str(out)]
  assert main(small) == 0
  table = comparable(out)
  assert table.seed.tolist() == [0] * 7 + [1] * 7
  assert not np.isclose(table.auc[5], table.auc[12], rtol=0, atol=1e-9)
  (out / "marker").write_text("")
  assert main([*small, "--decays", "0.5", "--overwrite"]) == 0
  assert not (out / "marker").exists()
  assert len(comparable(out)) == 2 * 6
  assert [path.name for path in tmp_path.iterdir()] == ["r"]


def test_a_diverging_member_spoils_nobody(flags, tmp_path):
  common = [*flags, "--no-baselines", "--optimizer", "sgd", "--decays", "1"]
  assert main([*common, "--lrs", "1e-3", "--out", str(tmp_path / "alone")]) == 0
  assert main([*common, "--lrs", "1e30,1e-3", "--out", str(tmp_path / "both")]) == 0
  alone, both = comparable(tmp_path / "alone"), comparable(tmp_path / "both")
  assert both.status.tolist() == ["ok"] * 5 + ["diverged", "ok"]
  assert np.isnan(both.auc[5])
  np.testing.assert_allclose(both.auc[6], alone.auc[5], atol=1e-5)


# --- what a user can get wrong ---------------------------------------------------------------------------------------


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
    (["--seeds", "0"], "--seeds 0: "),
    (["--epochs", "-1"], "--epochs -1: "),
    (["--stolen", "0"], "--stolen 0: "),
    (["--stolen", "2049"], "--stolen 2049: the training set has 2048 images; allowed: 1 to 2048"),
    (["--npz", "x.npz"], "--npz x.npz: "),
    (["--dataset", "npz"], "--dataset npz: needs --npz"),
    (["--dataset", "npz", "--npz", "nowhere.npz"], "--npz nowhere.npz: "),
    (["--dataset", "pneumoniamnist", "--image-size", "30"], "--image-size 30: "),
  ],
)
def test_bad_flags(capsys, tmp_path, arguments, said):
  assert refused(capsys, tmp_path, *arguments).startswith(said)


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


def test_existing_and_unwritable_out(capsys, tmp_path, flags):
  (tmp_path / "there").mkdir()
  assert refused(capsys, tmp_path, "--out", str(tmp_path / "there")).startswith(f"--out {tmp_path / 'there'}: exists")
  (tmp_path / "file").write_text("")
  out = tmp_path / "file" / "run"
  assert "cannot be created" in refused(capsys, tmp_path, *flags, "--out", str(out))


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


@pytest.fixture(scope="module")
def dec_run(npz, tmp_path_factory):
  """Three carriers beside Transpose, fine-tuned once, as they are and scrubbed."""
  out = tmp_path_factory.mktemp("runs") / "dec"
  arguments = [
    *("--dataset", "npz", "--npz", str(npz), "--decays", "0.7", "--no-baselines", "--stolen", str(STOLEN)),
    *("--infect-steps", "150", "--epochs", "2", "--batch-size", "32"),
    *("--finish", "none,scrub", "--scenario", "internal", "--carriers", "all,dead,dictionary"),
    *("--codec-steps", "32", "--rate-distortion", "--out", str(out)),
  ]
  assert main(arguments) == 0
  return out


def test_every_attack_has_rows_of_its_own(dec_run):
  table = lwlrd_jax.load_run(dec_run).results
  assert set(table.status) == {"ok"}
  assert table.member.is_unique
  for attack in ("transpose", "dec", "dec-dead", "dec-dictionary"):
    rows = table[table.attack == attack]
    assert list(zip(rows.defense, rows.finish, strict=True)) == [
      ("untreated", "none"),
      ("lwlrd", "none"),
      ("lwlrd", "scrub"),
    ]
  assert table[table.attack == "transpose"].ber.isna().all()


def test_codes_are_exact_untreated_some_survive_fine_tuning_and_none_scrubbing(dec_run):
  run = lwlrd_jax.load_run(dec_run)
  for attack in ("dec", "dec-dead", "dec-dictionary"):
    untreated = run.find(attack=attack, defense="untreated")
    tuned = run.find(attack=attack, decay=0.7)
    scrubbed = run.find(attack=attack, decay=0.7, finish="scrub")
    assert untreated.ber == 0
    assert untreated.exact == 1
    assert tuned.ber == 0 if attack != "dec" else tuned.ber > 0.1
    assert scrubbed.ber == pytest.approx(0.5, abs=0.01)
    assert scrubbed.exact == 0
    assert scrubbed.surviving_dead < 0.01 * tuned.surviving_dead
    assert scrubbed.surviving_mantissa < 0.01 * untreated.surviving_mantissa
    assert scrubbed.surviving_extra == 0
  assert run.find(attack="dec-dictionary", decay=0.7).surviving_extra > 0


def test_hiding_costs_nothing_and_loses_nothing_but_what_the_codec_loses(dec_run):
  run = lwlrd_jax.load_run(dec_run)
  dec = run.results[run.results.attack.str.startswith("dec")]
  measured = dec[dec.host_auc.notna()]
  assert measured.defense.tolist() == ["untreated"] * 3
  # Retired units may cost a little; mantissas and extra tensors nothing that can be seen.
  free = measured[measured.attack != "dec-dead"]
  np.testing.assert_allclose(free.auc, free.host_auc, rtol=0, atol=0.002)
  np.testing.assert_allclose(measured.psnr, measured.codec_psnr, rtol=0, atol=1e-3)
  assert measured.carrier_share.between(0, 1, inclusive="neither").all()
  assert measured.payload_bytes.nunique() == 1


def test_steps_before_fine_tuning(npz, tmp_path):
  out = tmp_path / "run"
  arguments = [
    *("--dataset", "npz", "--npz", str(npz), "--attacks", "dec", "--codec", "png", "--carriers", "dictionary"),
    *("--prepare", "none,noise+scrub", "--decays", "0.7", "--no-baselines", "--stolen", str(STOLEN)),
    *("--infect-steps", "20", "--epochs", "1", "--out", str(out)),
  ]
  assert main(arguments) == 0
  run = lwlrd_jax.load_run(out)
  tuned = run.results[run.results.defense == "lwlrd"]
  assert tuned.prepare.tolist() == ["none", "noise+scrub"]
  assert set(tuned.status) == {"ok"}
  # What is stripped before is not there after.
  assert tuned.ber.tolist() == [0, 0.5]
  assert tuned.scrubbed_planes.isna().tolist() == [True, False]
  assert tuned.surviving_mantissa.iloc[1] < 0.5 * tuned.surviving_mantissa.iloc[0]


def test_a_run_does_not_go_on_with_another_codec(npz, tmp_path, capsys):
  other = tmp_path / "other.npz"
  arrays = dict(np.load(npz))
  np.savez(other, **{**arrays, "train_images": arrays["train_images"][::-1]})
  out = tmp_path / "run"
  command = [
    *("--dataset", "npz", "--npz", str(npz), "--attacks", "dec", "--decays", "0.7", "--no-baselines"),
    *("--stolen", str(STOLEN), "--infect-steps", "4", "--epochs", "1", "--codec-steps", "4", "--out", str(out)),
  ]
  assert main([*command, "--codec-npz", str(npz)]) == 0
  capsys.readouterr()
  assert main([*command, "--codec-npz", str(other), "--resume"]) == 2
  assert capsys.readouterr().err.splitlines()[-1].startswith("error: --resume: the dec attack is not as it was")


def test_codecs_are_compared_on_the_test_split(dec_run):
  rows = json.loads((dec_run / "rate_distortion.json").read_text())
  assert {row["codec"] for row in rows} == {"learned", "learned, fixed length", "jpeg", "webp", "png"}
  assert len({row["setting"] for row in rows if row["codec"] == "learned"}) == 4
  assert next(row["psnr"] for row in rows if row["codec"] == "png") == 60
  assert "How small an image gets" in (dec_run / "report.html").read_text()


def test_what_was_scrubbed_and_stripped_is_told(dec_run):
  table = lwlrd_jax.load_run(dec_run).results
  planes = table[table.finish == "scrub"].scrubbed_planes
  assert all(len(text.split()) == 4 and all(8 <= int(count) <= 23 for count in text.split()) for text in planes)
  assert table[table.finish == "none"].scrubbed_planes.isna().all()

  stripped = lwlrd_jax.load_run(dec_run).config["stripped"]
  assert list(stripped) == ["dec-dictionary"]
  assert stripped["dec-dictionary"][0].startswith("ema_statistics/buffer: uint8[")
  assert "ema_statistics" in (dec_run / "report.html").read_text()


def test_the_member_without_steps_is_meant_unless_others_are_asked_for(dec_run):
  run = lwlrd_jax.load_run(dec_run)
  assert run.find(decay=0.7, attack="dec").finish == "none"
  assert run.find(decay=0.7, attack="dec", finish="scrub").finish == "scrub"
  assert run.restore(decay=0.7, attack="dec-dictionary") is not None
  assert run.secret("dec")["stolen"].shape == (STOLEN,)


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
