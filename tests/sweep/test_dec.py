"""The product end to end, against DEC."""

import json

import numpy as np
import pytest

import lwlrd_jax
from lwlrd_jax.sweep import main
from tests.small_sweep import narrow

STOLEN = 8


@pytest.fixture(scope="module", autouse=True)
def narrow_networks(tmp_path_factory):
  """Not as narrow as elsewhere: payloads need room. So models are kept apart from those of other modules."""
  with pytest.MonkeyPatch.context() as patch, narrow(256):
    patch.setenv("LWLRD_JAX_CACHE", str(tmp_path_factory.mktemp("cache")))
    yield


@pytest.fixture(scope="module")
def dec_run(npz, tmp_path_factory):
  """Three carriers beside Transpose, fine-tuned once, as they are and scrubbed."""
  out = tmp_path_factory.mktemp("runs") / "dec"
  arguments = [
    *("--dataset", "npz", "--npz", str(npz), "--decays", "0.7", "--no-baselines", "--stolen", str(STOLEN)),
    *("--infect-steps", "150", "--epochs", "2", "--batch-size", "32"),
    *("--finish", "none,scrub", "--scenario", "internal", "--carriers", "all,dead,dictionary"),
    *("--codec-steps", "8", "--rate-distortion", "--out", str(out)),
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
    *("--dataset", "npz", "--npz", str(npz)),
    *("--attacks", "dec", "--finish", "none", "--codec", "png", "--carriers", "dictionary"),
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
    *("--dataset", "npz", "--npz", str(npz)),
    *("--attacks", "dec", "--finish", "none", "--decays", "0.7", "--no-baselines"),
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
