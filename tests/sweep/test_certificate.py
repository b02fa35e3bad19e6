"""No attack gets more through than is certified, whatever a defence begins from."""

import math

import numpy as np
import pytest

import lwlrd_jax
from lwlrd_jax.attacks.registry import ATTACKS
from lwlrd_jax.sweep import main
from tests.small_sweep import narrow, write_images

STARTS = "redraw,shrink-0.1,shrink-0.05:0.5,distil"
# How many standard errors above chance count as something that got through.
SURE = 4.0


@pytest.fixture(scope="module", autouse=True)
def narrow_networks():
  """Narrow, and yet wide enough for the payload of every attack."""
  with narrow(256):
    yield


def entropy(p):
  return 0.0 if p in (0, 1) else -p * math.log2(p) - (1 - p) * math.log2(1 - p)


def measured_bytes(row, payload_bits, train):
  """What an attack got through for sure: by its bit error rate, and by the identities of re-identified images."""
  by_bits = by_images = 0.0
  if math.isfinite(row.ber) and payload_bits:
    wrong = min(0.5, row.ber + SURE * 0.5 / math.sqrt(payload_bits))
    by_bits = payload_bits * (1 - entropy(wrong))
  chance = 1 / train
  sure = row.reid - chance - SURE * math.sqrt(max(row.reid, chance) * (1 - chance) / row.stolen)
  if sure > 0:
    by_images = sure * row.stolen * math.log2(train)
  return max(by_bits, by_images) / 8


@pytest.mark.slow
def test_no_attack_gets_more_through_than_is_certified(tmp_path):
  npz = write_images(tmp_path / "images.npz", train=160, val=80, test=60)
  flags = {info.flag for info in ATTACKS.values() if info.flag}
  carriers = {info.carrier for info in ATTACKS.values() if info.carrier}
  out = tmp_path / "run"
  code = main(
    [
      *("--dataset", "npz", "--npz", str(npz), "--out", str(out), "--attacks", ",".join(sorted(flags | {"dec"}))),
      *("--carriers", ",".join(sorted(carriers)), "--codec-steps", "20", "--stolen", "8"),
      *("--infect-steps", "60", "--infect-batch-size", "16", "--batch-size", "32", "--start", STARTS),
      *("--directions", "none", "--no-baselines", "--retrain", "0.3", "--finish", "none,scrub,quantize"),
    ]
  )
  assert code == 0
  run = lwlrd_jax.load_run(out)
  table, train = run.results, run.config["dataset"]["distinct"]
  assert set(table.attack) >= set(ATTACKS)
  payloads = table[table.defense == "untreated"].set_index("attack").payload_bytes
  rows = table[table.certified_bytes.notna() & (table.status == "ok")]
  assert {str(start).split("-")[0] for start in rows.start.dropna()} == {"redraw", "shrink", "distil"}
  through = {}
  for _, row in rows.iterrows():
    sent = payloads.get(row.attack, np.nan)
    found = measured_bytes(row, 0 if math.isnan(sent) else 8 * int(sent), train)
    assert found <= row.certified_bytes, row.member
    through[row.member] = found
  # The measure is one that shows what does get through.
  untreated = [member for member in through if "untreated" in member]
  assert sum(through[member] > 0 for member in untreated) > len(untreated) / 2
  assert (rows[rows.start == "redraw"].certified_bytes == 0).all()
  # Of all attacks a redrawn model is the same: nothing of the infected one is left in it.
  redrawn = rows[(rows.start == "redraw") & (rows.finish == "none")]
  assert len(redrawn) == len(set(table.attack) - {"none"})
  assert redrawn.auc.nunique() == 1
