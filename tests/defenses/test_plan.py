import collections

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lwlrd_jax.defenses.plan import Grid, plan_defenses, steps_per_epoch
from lwlrd_jax.engine.optimizer import INNER


def _plan(train_size=2600, depths=(0, 1, 2, 3), **changes):
  settings = {
    "decays": (0.9, 0.1, 0.5),
    "lrs": (0.03, 0.01),
    "epochs": 2,
    "batch_size": 128,
    "optimizer": "adam",
    "shape": "linear",
    "baselines": True,
    **changes,
  }
  grid = Grid(**{"high_lrs": settings["lrs"], **settings})
  swept, baselines = plan_defenses(grid, task_lr=1e-3, train_size=train_size, depths=depths)
  return swept + baselines


def test_contents():
  plan = _plan()
  assert collections.Counter(defense.name for defense in plan) == {
    "lwlrd": 6,
    "vanilla": 1,
    "high_lr": 2,
    "reversed": 2,
    "super_ft_long": 1,
    "super_ft_short": 1,
  }
  assert [defense.name for defense in plan[:6]] == ["lwlrd"] * 6
  assert {(defense.lr_max, defense.decay) for defense in plan[:6]} == {
    (lr, decay) for lr in (0.03, 0.01) for decay in (0.9, 0.1, 0.5)
  }
  steps = 2 * (2600 // 128)
  shape = [1 - t / steps for t in range(steps)]
  for defense in plan:
    assert defense.optimizer in INNER
    assert defense.schedule.dtype == np.float32
    assert defense.schedule.max() == pytest.approx(defense.lr_max)
    assert len(defense.schedule) == defense.epochs * steps_per_epoch(2600, defense.batch_size)
    if defense.name.startswith("super"):
      continue
    assert (defense.epochs, defense.batch_size, defense.optimizer, defense.shape) == (2, 128, "adam", "linear")
    power = {"lwlrd": range(4), "reversed": range(3, -1, -1)}.get(defense.name, [0] * 4)
    expected = [[defense.lr_max * s * (defense.decay or 1) ** p for p in power] for s in shape]
    np.testing.assert_allclose(defense.schedule, expected, rtol=1e-5)


def test_high_lr_has_rates_of_its_own():
  plan = _plan(high_lrs=(0.2, 0.05, 0.001))
  high = [defense for defense in plan if defense.name == "high_lr"]
  assert [defense.lr_max for defense in high] == [0.2, 0.05, 0.001]
  assert all(len(set(row)) == 1 for defense in high for row in defense.schedule.tolist())
  others = [[d.label for d in each if d.name != "high_lr"] for each in (plan, _plan())]
  assert others[0] == others[1]


def test_vanilla_is_a_tenth_of_the_training_rate():
  vanilla = next(defense for defense in _plan() if defense.name == "vanilla")
  assert vanilla.lr_max == pytest.approx(1e-4)
  assert vanilla.decay is None


def test_reversed_stands_at_the_median_decay():
  assert {defense.decay for defense in _plan() if defense.name == "reversed"} == {0.5}


def test_floors_are_a_third_axis_of_lwlrd_alone():
  plan = _plan(floors=(0.0, 0.2))
  grid = [defense for defense in plan if defense.name == "lwlrd"]
  assert {(defense.lr_max, defense.decay, defense.floor) for defense in grid} == {
    (lr, decay, floor) for lr in (0.03, 0.01) for decay in (0.9, 0.1, 0.5) for floor in (0.0, 0.2)
  }
  for defense in grid:
    shares = [max(defense.decay**depth, defense.floor) for depth in range(4)]
    np.testing.assert_allclose(defense.schedule[0], np.multiply(defense.lr_max, shares), rtol=1e-5)
  assert all(defense.floor == 0 for defense in plan if defense.name != "lwlrd")
  labels = [defense.label for defense in plan]
  assert len(set(labels)) == len(labels)
  assert "lwlrd-lr0.03-d0.5" in labels
  assert "lwlrd-lr0.03-d0.5-f0.2" in labels


def test_decay_by_block_is_of_lwlrd_and_reversed():
  plan = _plan(depths=(0, 0, 1, 1), granularity="block")
  by_name = {defense.name: defense for defense in plan if defense.decay in {None, 0.5}}
  np.testing.assert_allclose(by_name["lwlrd"].schedule[0], [0.01, 0.01, 0.005, 0.005], rtol=1e-5)
  np.testing.assert_allclose(by_name["reversed"].schedule[0], [0.005, 0.005, 0.01, 0.01], rtol=1e-5)
  np.testing.assert_allclose(by_name["high_lr"].schedule[0], [0.01] * 4, rtol=1e-5)
  assert {defense.schedule.shape[1] for defense in plan} == {4}
  assert by_name["lwlrd"].label == "lwlrd-lr0.01-d0.5-block"
  assert by_name["high_lr"].label == "high_lr-lr0.01"


def test_labels_of_a_plain_sweep():
  """Names of members in finished runs: a stopped run is resumed by them."""
  assert [defense.label for defense in _plan(decays=(0.5,), lrs=(0.02,))] == [
    "lwlrd-lr0.02-d0.5",
    "vanilla-lr0.0001",
    "high_lr-lr0.02",
    "reversed-lr0.02-d0.5",
    "super_ft_long-lr2.5",
    "super_ft_short-lr0.1",
  ]


def test_without_baselines():
  assert {defense.name for defense in _plan(baselines=False)} == {"lwlrd"}


@pytest.mark.parametrize(
  ("name", "batch", "epochs", "first", "base", "tops", "optimizer"),
  [
    ("super_ft_long", 128, 100, 40, 3e-2, (2.5, 0.05), "sgd-clip"),
    ("super_ft_short", 256, 6, 3, 3e-4, (0.1, 1e-3), "momentum-wd-clip"),
  ],
)
def test_super_finetuning_presets(name, batch, epochs, first, base, tops, optimizer):
  """Sha et al.'s two settings: epochs, phases, triangles of 10 steps up and 10 down."""
  defense = next(defense for defense in _plan() if defense.name == name)
  assert (defense.batch_size, defense.epochs, defense.optimizer) == (batch, epochs, optimizer)
  assert defense.decay is None
  per_epoch = 2600 // batch
  rates = defense.schedule
  assert rates.shape == (epochs * per_epoch, 4)
  assert (rates == rates[:, :1]).all()
  for phase, top in zip((rates[: first * per_epoch, 0], rates[first * per_epoch :, 0]), tops, strict=True):
    np.testing.assert_allclose(phase[::20], base, rtol=1e-5)
    np.testing.assert_allclose(phase[10::20], top, rtol=1e-5)
    np.testing.assert_allclose(phase[5::20], (base + top) / 2, rtol=1e-5)
    np.testing.assert_allclose(phase[15::20], (base + top) / 2, rtol=1e-5)
    assert phase.max() == pytest.approx(top)
    assert phase.min() == pytest.approx(base)


@settings(max_examples=25, deadline=None)
@given(
  decays=st.lists(st.integers(1, 1000), min_size=1, max_size=6, unique=True),
  lrs=st.lists(st.sampled_from([1e-4, 1e-3, 0.01, 0.03, 0.1, 2.5]), min_size=1, max_size=4, unique=True),
)
def test_labels_are_unique_and_fit_for_file_names(decays, lrs):
  plan = _plan(decays=tuple(decay / 1000 for decay in decays), lrs=tuple(lrs), train_size=50)
  labels = [defense.label for defense in plan]
  assert len(set(labels)) == len(labels)
  assert all(label.replace("-", "").replace(".", "").replace("_", "").isalnum() for label in labels)


@given(size=st.integers(1, 3000), batch=st.integers(1, 3000))
def test_steps_per_epoch(size, batch):
  whole = sum(1 for start in range(0, size, batch) if start + batch <= size)
  assert steps_per_epoch(size, batch) == (whole or 1)
