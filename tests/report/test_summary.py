import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lwlrd_jax.analysis.outcomes import Outcomes
from lwlrd_jax.analysis.verdict import BOUNDED, REID_FLOOR, Limits, judge, pareto_front
from lwlrd_jax.report.figures import cost
from lwlrd_jax.report.load import load
from lwlrd_jax.report.sentences import sentences

LIMITS = Limits()


def verdict(make, rows, *, chance=1 / 2048, stolen=256, limits=LIMITS):
  return judge(make.table(rows), chance=chance, stolen=stolen, limits=limits)


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


def test_an_attack_is_stopped_in_every_infection_or_not_at_all(make):
  """A mean over infections would let one through whose images are recognised."""
  rows = [row for seed in range(3) for row in make.controls(seed=seed)]
  rows += [lwlrd(make, 0.5, seed=seed, reid=reid) for seed, reid in enumerate((0.0, 0.0, 0.05))]
  found = verdict(make, rows)
  assert found.schedules.reid.iloc[0] < 0.02
  assert found.case == "none_stops"


def test_seeds_are_averaged_before_choosing(make):
  rows = [*make.controls(seed=0), *make.controls(seed=1)]
  rows += [lwlrd(make, 0.5, seed=seed, auc=auc) for seed, auc in ((0, 0.9), (1, 0.7))]
  rows += [lwlrd(make, 0.7, seed=seed, auc=0.81, reid=reid) for seed, reid in ((0, 0.0), (1, 0.015))]
  found = verdict(make, rows)
  assert (found.chosen.decay, found.chosen.seeds) == (0.7, 2)
  assert found.chosen.reid == pytest.approx(0.0075)
  assert found.chosen.reid_worst == pytest.approx(0.015)


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


def test_each_attack_has_the_limit_of_its_own_images(make):
  rows = make.controls() + [row | {"stolen": 8} for row in make.controls(attack="dec-redundant")[:1]]
  rows += [lwlrd(make, 0.5, reid=0.04), lwlrd(make, 0.5, reid=0.04, attack="dec-redundant", stolen=8)]
  found = verdict(make, rows, chance=1 / 500, stolen=1000)
  assert found.floors.limit("transpose") == REID_FLOOR
  assert found.floors.limit("dec-redundant") == pytest.approx(0.002 + 2 * math.sqrt(0.002 * 0.998 / 8))
  assert found.averaged[found.averaged.defense == "lwlrd"].stops.tolist() == [False, False]
  rows = [{**row, "reid": 0.03} if row["defense"] == "lwlrd" else row for row in rows]
  assert verdict(make, rows, chance=1 / 500, stolen=1000).schedules.through.tolist() == [("transpose",)]


def test_of_eight_images_stopped_means_none(make):
  rows = make.controls(stolen=8)
  for reid, stops in ((0.0, True), (1 / 8, False)):
    assert verdict(make, [*rows, lwlrd(make, 0.5, reid=reid, stolen=8)]).schedules.stops.tolist() == [stops]


@pytest.mark.parametrize(("missing", "split", "decay"), [(False, "validation", 0.7), (True, "test", 0.5)])
def test_the_validation_split_chooses_where_all_have_it(make, missing, split, decay):
  rows = [lwlrd(make, 0.5, auc=0.84, auc_val=0.80), lwlrd(make, 0.7, auc=0.82, auc_val=0.81)]
  rows.append(lwlrd(make, 0.3, reid=0.5, auc_val=None if missing else 0.9))
  found = verdict(make, make.controls() + rows)
  assert (found.split, found.chosen.decay) == (split, decay)


def test_an_unjudged_schedule_does_not_keep_the_validation_split_from_choosing(make):
  rows = [lwlrd(make, 0.5, auc_val=0.8), lwlrd(make, 0.7, status="diverged")]
  assert verdict(make, make.controls() + rows).split == "validation"


def test_downstream_controls_are_neither_floors_nor_schedules(make):
  rows = make.sweep((0.5, 0.7))
  before, after = verdict(make, rows), verdict(make, make.worth(rows))
  assert after.floors == before.floors
  assert (after.attacks, len(after.schedules)) == (before.attacks, len(before.schedules))
  assert after.chosen.members == before.chosen.members


def test_intervals_are_around_the_figures(make):
  rows = make.worth(make.sweep((0.3, 0.5), seeds=3))
  table = make.table(rows)
  outcomes = Outcomes(make.outcomes(rows), dict(zip(table.member, table.seed, strict=True)))
  found = judge(table, chance=1 / 2048, stolen=256, outcomes=outcomes)
  for name in BOUNDED:
    known = found.averaged[found.averaged[name].notna() & (found.averaged.defense != "mean_image")]
    assert (known[f"{name}_low"] <= known[name] + 1e-6).all()
    assert (known[f"{name}_high"] >= known[name] - 1e-6).all()
    assert found.averaged[found.averaged[name].isna()][f"{name}_low"].isna().all()
  assert not judge(table, chance=1 / 2048, stolen=256).averaged.auc_low.notna().any()


def test_an_interval_needs_every_infection(make):
  rows = make.sweep((0.5,), seeds=2)
  outcomes = {name: array for name, array in make.outcomes(rows).items() if not name.endswith("-0.5-s1")}
  table = make.table(rows)
  found = judge(
    table, chance=1 / 2048, stolen=256, outcomes=Outcomes(outcomes, dict(zip(table.member, table.seed, strict=True)))
  )
  lacking = found.averaged[[any(member.endswith("-0.5-s1") for member in some) for some in found.averaged.members]]
  assert lacking.auc_low.isna().all()
  assert found.averaged[found.averaged.defense == "vanilla"].auc_low.notna().all()


def again(make, start, compute, certified, **figures):
  """A row of retraining; utility as good as the untreated model's unless it is given."""
  cells = {"auc": 0.88, "balanced_accuracy": 0.48, "reid": 0.0, "ssim": 0.4, "lr_max": 1e-3} | figures
  cells |= {"member": f"transpose-retrain-{start}-{compute}", "start": start, "epochs": compute * 20}
  return make.row("retrain", compute=compute, certified_bytes=certified, **cells)


def starts(make):
  whole = 18e6
  return [
    *make.controls(),
    lwlrd(make, 0.5, auc=0.87, balanced_accuracy=0.48, compute=0.08, certified_bytes=whole, start="keep"),
    again(make, "shrink-0.1", 0.3, 4000.0, auc=0.875),
    again(make, "redraw", 0.34, 0.0, balanced_accuracy=0.40),
    again(make, "redraw", 1.0, 0.0, auc=0.90),
  ]


def test_balanced_accuracy_counts_half(make):
  found = verdict(make, starts(make))
  assert found.schedules.lost.tolist() == pytest.approx([0.01, 0.005, 0.04, 0.0])
  assert found.schedules.keeps.tolist() == [True, True, False, True]
  assert (found.chosen.start, found.chosen.compute) == ("redraw", 1.0)


def test_what_can_be_afforded(make):
  found = verdict(make, starts(make))
  assert [found.affordable(budget)["start"] for budget in (0.1, 0.35, 1.0)] == ["keep", "shrink-0.1", "redraw"]
  assert found.affordable(0.05) is None
  told = dict(sentences(found, stolen=256))
  assert "for at most 10\u00a0% of the original training: LWLRD with decay 0.5" in told["By compute"]
  assert "certified 4.0\u00a0kB); for at most 100\u00a0% of the original training: retraining (" in told["By compute"]
  assert told["Certified"].startswith(
    "Whatever the attack, known or not, at most 0\u00a0B of what was hidden can leave."
  )


@pytest.mark.parametrize(
  ("limit", "start", "compute"), [(5000, "redraw", 1.0), (0, "redraw", 1.0), (None, "redraw", 1.0)]
)
def test_only_what_is_certified_may_win(make, limit, start, compute):
  found = verdict(make, starts(make), limits=Limits(bytes=limit))
  assert (found.case, found.chosen.start, found.chosen.compute) == ("winner", start, compute)
  assert (found.affordable(0.1) is None) == (limit is not None)
  assert found.affordable(0.35)["start"] == ("redraw" if limit == 0 else "shrink-0.1")


def test_nothing_may_be_certified_for_so_little(make):
  rows = [row for row in starts(make) if row.get("start") != "redraw"]
  found = verdict(make, rows, limits=Limits(bytes=800))
  assert (found.case, found.chosen.start) == ("none_certified", "shrink-0.1")
  told = dict(sentences(found, stolen=256))
  assert "is certified to carry at most 800\u00a0B" in told["Verdict"]
  assert "is certified for least: 4.0\u00a0kB." in told["Verdict"]


def test_a_table_without_compute_and_certificate_is_judged_as_ever(make):
  found = verdict(make, [*make.controls(), lwlrd(make, 0.5)], limits=Limits(bytes=800))
  assert (found.case, found.affordable(1.0)) == ("none_certified", None)
  assert "certified for least: nothing." in dict(sentences(found, stolen=256))["Verdict"]
  assert verdict(make, [*make.controls(), lwlrd(make, 0.5)]).case == "winner"


def test_utility_against_compute(make, tmp_path):
  rows = [*starts(make), again(make, "distil", 0.2, 500.0, auc=0.5, balanced_accuracy=0.1, reid=0.5)]
  figure = cost.draw(load(make.run(tmp_path / "run", rows, samples=False)))
  assert figure is not None
  (axes,) = figure.axes
  assert {text.get_text() for text in axes.texts} == {"0 B", "4.0 kB", "500 B"}
  lines = [line for line in axes.lines if len(np.asarray(line.get_xdata())) == 1]
  x, y = (np.array([np.asarray(line.get_data()[i])[0] for line in lines]) for i in (0, 1))
  assert sorted(set(x.round(2))) == [0.08, 0.2, 0.3, 0.34, 1.0]
  bottom, top = axes.get_ylim()
  assert ((y > top) & (y <= bottom)).all()  # what ruins the model too
  assert x[[line.get_markerfacecolor() == "white" for line in lines]].tolist() == [0.2]
  assert cost.draw(load(make.run(tmp_path / "old", make.sweep((0.5,)), samples=False))) is None


def test_a_bound_is_the_largest_of_all_infections(make):
  rows = [*make.controls(), *make.controls(seed=1)]
  rows += [
    again(make, "distil", 0.3, size, seed=seed) | {"member": f"m{seed}"} for seed, size in enumerate((300.0, 500.0))
  ]
  found = verdict(make, rows, limits=Limits(bytes=400))
  assert (found.case, found.chosen.certified_bytes) == ("none_certified", 500.0)
