import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lwlrd_jax.report.summary import REID_FLOOR, judge, pareto_front


def verdict(make, rows, *, chance=1 / 2048, stolen=256):
  return judge(make.table(rows), chance=chance, stolen=stolen)


def lwlrd(make, decay, *, lr_max=0.03, **figures):
  return make.row("lwlrd", decay=decay, lr_max=lr_max, **{"auc": 0.8, "reid": 0.0, "ssim": 0.4} | figures)


def test_the_highest_auc_of_those_that_stop_the_attack_wins(make):
  rows = [lwlrd(make, 0.3, auc=0.87, reid=0.5), lwlrd(make, 0.5, auc=0.84), lwlrd(make, 0.7, auc=0.82)]
  found = verdict(make, make.controls() + rows)
  assert found.case == "winner"
  assert found.chosen.decay == 0.5
  assert found.schedules.stops.tolist() == [False, True, True]


@pytest.mark.parametrize(
  ("figures", "stops"),
  [
    ({"reid": REID_FLOOR}, True),
    ({"reid": REID_FLOOR + 1e-6}, False),
    ({"ssim": 0.5}, True),  # the mean image's 0.45 and the margin
    ({"ssim": 0.501}, False),
    ({"reid": math.nan}, False),
    ({"ssim": math.nan}, False),
    ({"auc": math.nan}, False),
    ({"status": "diverged"}, False),
    ({"status": "failed: out of memory"}, False),
  ],
)
def test_stopping_needs_both_floors_and_complete_figures(make, figures, stops):
  found = verdict(make, [*make.controls(), lwlrd(make, 0.5, **figures)])
  assert found.schedules.stops.tolist() == [stops]


def test_chance_raises_the_limit_when_few_images_are_there(make):
  # 1 of 10 by chance; with 40 stolen, two standard errors more.
  found = verdict(make, [*make.controls(), lwlrd(make, 0.5, reid=0.19)], chance=0.1, stolen=40)
  assert found.floors.reid_limit == pytest.approx(0.1 + 2 * math.sqrt(0.1 * 0.9 / 40))
  assert found.case == "winner"


def test_ties_go_to_the_lower_leakage(make):
  rows = [lwlrd(make, 0.3, reid=0.01), lwlrd(make, 0.5, ssim=0.39), lwlrd(make, 0.7, ssim=0.38)]
  assert verdict(make, make.controls() + rows).chosen.decay == 0.7


def test_nothing_stops(make):
  rows = [lwlrd(make, 0.3, reid=0.5, auc=0.9), lwlrd(make, 0.5, reid=0.4, auc=0.7)]
  found = verdict(make, make.controls() + rows)
  assert (found.case, found.chosen.decay) == ("none_stops", 0.5)


def test_nothing_is_stopped_without_the_mean_image(make):
  controls = [row for row in make.controls() if row["defense"] != "mean_image"]
  found = verdict(make, [*controls, lwlrd(make, 0.5)])
  assert found.case == "no_floor"
  assert not found.schedules.stops.any()


def test_an_attack_that_does_not_work_proves_nothing(make):
  controls = [{**row, "reid": 0.0, "ssim": 0.3} if row["defense"] == "untreated" else row for row in make.controls()]
  assert verdict(make, [*controls, lwlrd(make, 0.5)]).case == "attack_failed"


def test_no_schedule_judged(make):
  assert verdict(make, [*make.controls(), lwlrd(make, 0.5, status="diverged")]).case == "none_judged"
  assert verdict(make, make.controls()).case == "no_defences"
  assert verdict(make, []).case == "no_defences"


def test_seeds_are_averaged_before_choosing(make):
  rows = [*make.controls(seed=0), *make.controls(seed=1)]
  rows += [lwlrd(make, 0.5, seed=seed, auc=auc) for seed, auc in ((0, 0.9), (1, 0.7))]
  rows += [lwlrd(make, 0.7, seed=seed, auc=0.81, reid=reid) for seed, reid in ((0, 0.0), (1, 0.03))]
  found = verdict(make, rows)
  assert (found.chosen.decay, found.chosen.seeds) == (0.7, 2)
  assert found.chosen.reid == pytest.approx(0.015)
  assert found.chosen.reid_worst == pytest.approx(0.03)


def test_one_diverged_seed_disqualifies(make):
  rows = [lwlrd(make, 0.5, seed=0), lwlrd(make, 0.5, seed=1, status="diverged"), lwlrd(make, 0.7, auc=0.7)]
  found = verdict(make, make.controls() + rows)
  assert found.chosen.decay == 0.7
  assert found.schedules.status.tolist() == ["diverged (1 of 2 seeds)", "ok"]


def test_a_winner_stops_every_attack_and_is_known_by_its_worst(make):
  rows = make.controls() + make.controls(attack="dec")[:1]
  rows += [lwlrd(make, 0.5, auc=0.85), lwlrd(make, 0.5, auc=0.85, attack="dec", reid=0.6)]
  rows += [lwlrd(make, 0.7, auc=0.8), lwlrd(make, 0.7, auc=0.78, attack="dec", reid=0.01)]
  rows += [lwlrd(make, 0.9, auc=0.9)]  # not run under the other attack
  found = verdict(make, rows)
  assert found.attacks == ["transpose", "dec"]
  assert (found.chosen.decay, found.chosen.attack) == (0.7, "dec")
  assert (found.chosen.auc, found.chosen.reid) == (0.78, 0.01)
  assert found.schedules.judged.tolist() == [True, True, False]


def test_rates_and_decays_are_different_schedules(make):
  rows = [lwlrd(make, decay, lr_max=lr) for lr in (0.01, 0.03) for decay in (0.5, 0.7)]
  rows.append(make.row("high_lr", lr_max=0.03, auc=0.6, reid=0, ssim=0.3))
  assert len(verdict(make, make.controls() + rows).schedules) == 5


POINTS = st.lists(st.tuples(st.sampled_from([0, 0.25, 0.5, 1, math.nan]), st.sampled_from([0.5, 0.7, 0.9, math.nan])))


@given(POINTS)
def test_pareto_front_against_brute_force(points):
  def beaten(i):
    reid, auc = points[i]
    return any((r <= reid and a >= auc) and (r < reid or a > auc) for r, a in points)

  reid = np.array([r for r, _ in points], float)
  auc = np.array([a for _, a in points], float)
  finite = [math.isfinite(r) and math.isfinite(a) for r, a in points]
  expected = [finite[i] and not beaten(i) for i in range(len(points))]
  assert pareto_front(reid, auc).tolist() == expected


def test_steps_on_the_weights_are_different_schedules(make):
  rows = [
    lwlrd(make, 0.5, prepare=before, finish=after) | {"member": f"{before}-{after}"}
    for before in ("none", "scrub")
    for after in ("none", "scrub", "noise+scrub")
  ]
  assert len(verdict(make, make.controls() + rows).schedules) == 6


def test_who_stops_most_attacks_is_named_if_none_stops_all(make):
  rows = make.controls() + make.controls(attack="dec")[:1]
  # The lower worst re-identification loses against the attack that is stopped.
  rows += [lwlrd(make, 0.3, reid=0.3), lwlrd(make, 0.3, reid=0.3, attack="dec")]
  rows += [lwlrd(make, 0.5, auc=0.7), lwlrd(make, 0.5, auc=0.7, attack="dec", reid=0.9)]
  rows += [lwlrd(make, 0.7, auc=0.8), lwlrd(make, 0.7, auc=0.8, attack="dec", reid=0.95)]
  found = verdict(make, rows)
  assert (found.case, found.chosen.decay, found.chosen.through) == ("none_stops", 0.7, ("dec",))
  assert (found.chosen.reid_attack, found.chosen.reid) == ("dec", 0.95)


def test_stopping_a_failed_attack_counts_for_nothing(make):
  rows = make.controls() + [{**row, "reid": 0.0, "ssim": 0.1} for row in make.controls(attack="dec")[:1]]
  rows += [lwlrd(make, 0.3, reid=0.3, auc=0.7), lwlrd(make, 0.3, attack="dec")]
  rows += [lwlrd(make, 0.5, reid=0.9, auc=0.8), lwlrd(make, 0.5, attack="dec")]
  found = verdict(make, rows)
  assert (found.working_attacks, found.chosen.decay) == (["transpose"], 0.3)


def test_what_survives_is_of_one_attack(make):
  rows = make.controls() + make.controls(attack="dec")[:1]
  rows[-1]["surviving_bytes"] = 36e6
  rows += [lwlrd(make, 0.5, surviving_bytes=9e6, surviving_dead=1e6)]
  rows += [lwlrd(make, 0.5, attack="dec", surviving_bytes=12e6, surviving_dead=0.0)]
  chosen = verdict(make, rows).chosen
  assert (chosen.surviving_bytes, chosen.surviving_dead) == (12e6, 1e6)  # of dead weights, the most under any attack
  assert chosen.surviving_share == pytest.approx(12 / 36)
