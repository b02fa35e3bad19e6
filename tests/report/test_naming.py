import pytest

from lwlrd_jax.analysis.verdict import judge
from lwlrd_jax.report.naming import long_name, short_name


def schedules(make, *rows):
  return judge(make.table([*make.controls(), *rows]), chance=1 / 2048, stolen=256).schedules


def lwlrd(make, **cells):
  steps = f"{cells.get('prepare')}-{cells.get('finish')}"
  return make.row("lwlrd", decay=0.8, lr_max=0.02, auc=0.8, reid=0, ssim=0.3, **cells) | {"member": steps}


@pytest.mark.parametrize(
  ("cells", "short", "long"),
  [
    ({}, "LWLRD 0.8", "LWLRD with decay 0.8 (lr_max 0.02)"),
    ({"finish": "scrub"}, "LWLRD 0.8 + scrub", "LWLRD with decay 0.8 (lr_max 0.02), then scrub"),
    ({"prepare": "scrub"}, "scrub + LWLRD 0.8", "scrub, then LWLRD with decay 0.8 (lr_max 0.02)"),
    (
      {"prepare": "prune", "finish": "noise+scrub"},
      "prune + LWLRD 0.8 + noise + scrub",
      "prune, then LWLRD with decay 0.8 (lr_max 0.02), then noise and scrub",
    ),
  ],
)
def test_steps_are_part_of_a_name(make, cells, short, long):
  others = [lwlrd(make), lwlrd(make, prepare="quantize", finish="quantize")]
  found = schedules(make, lwlrd(make, **cells), *(others if cells else others[1:]))
  assert short_name(found.iloc[0], found) == short
  assert long_name(found.iloc[0], found) == long


def test_on_figures_a_step_that_all_have_is_not_told(make):
  found = schedules(make, lwlrd(make, finish="scrub"), make.row("vanilla", lr_max=1e-4, finish="scrub", auc=0.8))
  assert short_name(found.iloc[0], found) == "LWLRD 0.8"
  assert long_name(found.iloc[0], found).endswith(", then scrub")


@pytest.mark.parametrize(
  ("cells", "told"),
  [
    ({"floor": 0.1}, "floor 0.1"),
    ({"granularity": "block"}, "by block"),
    ({"share": 0.25}, "share 0.25"),
    ({"share": 0.25, "overlap": "none"}, "share 0.25, overlap none"),
    ({"floor": 0.0, "granularity": "layer", "share": 1.0, "overlap": "any"}, ""),
  ],
)
def test_settings_are_told_where_they_are_unusual(make, cells, told):
  found = schedules(make, lwlrd(make, **cells), lwlrd(make, finish="scrub", **cells))
  suffix = f", {told}" if told else ""
  assert short_name(found.iloc[0], found) == f"LWLRD 0.8{suffix}"
  assert long_name(found.iloc[0], found) == f"LWLRD with decay 0.8 (lr_max 0.02{suffix})"


def test_empty_settings_are_the_usual_ones(make):
  usual = {"floor": 0.0, "granularity": "layer", "share": 1.0, "overlap": "any"}
  assert len(schedules(make, lwlrd(make, **usual), lwlrd(make, seed=1))) == 1
