"""Figures by image of a run: means over attacks."""

import numpy as np
import pytest

from lwlrd_jax.analysis.bootstrap import UNKNOWN
from lwlrd_jax.analysis.outcomes import Outcomes

RANDOM = np.random.default_rng(0)
ATTACKS, SEEDS, IMAGES = ("transpose", "dec"), (0, 1, 2), 100
SAMPLES = {
  f"auc/{attack}-{side}-{seed}": RANDOM.uniform(size=IMAGES).astype(np.float32)
  for attack in ATTACKS
  for side in ("ours", "others")
  for seed in SEEDS
}
OUTCOMES = Outcomes(SAMPLES, {name.removeprefix("auc/"): int(name[-1]) for name in SAMPLES})


def members(side, attacks=ATTACKS, seeds=SEEDS):
  return [[f"{attack}-{side}-{seed}" for seed in seeds] for attack in attacks]


def test_a_mean_over_attacks_pairs_infections_and_images():
  found = OUTCOMES.mean_difference("auc", members("ours"), members("others"))
  gaps = [
    SAMPLES[f"auc/{attack}-ours-{seed}"].mean() - SAMPLES[f"auc/{attack}-others-{seed}"].mean()
    for attack in ATTACKS
    for seed in SEEDS
  ]
  assert found.value == pytest.approx(np.mean(gaps), abs=1e-6)
  assert found.low < found.value < found.high
  # Of one attack it is that attack's.
  one = OUTCOMES.mean_difference("auc", members("ours", ["dec"]), members("others", ["dec"]))
  assert one == OUTCOMES.difference("auc", *members("ours", ["dec"]), *members("others", ["dec"]))


def test_a_mean_over_attacks_is_of_all_their_infections_or_none():
  some = [*members("ours", ["transpose"]), *members("ours", ["dec"], seeds=(0, 2))]
  assert OUTCOMES.mean_difference("auc", some, members("others")) is UNKNOWN


def test_a_mean_over_no_attacks_is_unknown():
  assert OUTCOMES.mean_difference("auc", [], []) is UNKNOWN
  assert OUTCOMES.mean_difference("auc", [["nobody"]], members("others", ["dec"])) is UNKNOWN
