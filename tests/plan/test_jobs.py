import numpy as np
import pytest

from lwlrd_jax.config import KEEP, Start
from lwlrd_jax.defenses.plan import Defense
from lwlrd_jax.plan.jobs import Job, Wave, controls_of, table_order, waves_of

ATTACKS = ("transpose", "dec")


def _job(decay, steps=3, optimizer="adam", prepare=(), finishes=((),), start=KEEP):
  schedule = np.ones((steps, 2), np.float32)
  return Job(start, Defense("lwlrd", decay, 0.1, 1, "cosine", optimizer, 32, schedule), prepare, finishes)


def test_members_are_named_by_everything_that_tells_them_apart():
  job = _job(0.5, prepare=("noise",), finishes=((), ("prune", "scrub")))
  assert job.members(ATTACKS[0], 1) == {
    "transpose-lwlrd-lr0.1-d0.5-after-noise-s1": (),
    "transpose-lwlrd-lr0.1-d0.5-after-noise-then-prune+scrub-s1": ("prune", "scrub"),
  }


def test_shared_controls_go_with_the_first_attack():
  assert controls_of(ATTACKS[0], ATTACKS, 2)[0] == "transpose-untreated-s2"
  assert "clean-s2" in controls_of(ATTACKS[0], ATTACKS, 2)
  assert controls_of(ATTACKS[1], ATTACKS, 2) == ("dec-untreated-s2",)


def test_the_table_has_every_member_once():
  jobs = [_job(0.5), _job(0.7, finishes=((), ("scrub",)))]
  order = table_order(ATTACKS[:1], jobs, seeds=2)
  assert len(order) == len(set(order)) == 2 * (5 + 3)
  assert order.index("transpose-untreated-s0") < order.index("transpose-lwlrd-lr0.1-d0.5-s0")


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
def test_waves_hold_what_one_program_trains(limit):
  jobs = [
    _job(0.5),
    _job(0.6, steps=4),
    _job(0.7),
    _job(0.8, optimizer="sgd"),
    _job(0.9),
    _job(0.1, prepare=("noise",)),
    _job(0.2, start=Start("redraw")),
    _job(0.3, start=Start("distil")),
  ]
  waves = [wave.jobs for wave in waves_of({0: jobs}, limit)]
  assert {job.defense.decay for wave in waves for job in wave} == {job.defense.decay for job in jobs}
  for wave in waves:
    assert len(wave) <= limit
    of_program = {(job.start.kind == "distil", job.defense.optimizer, len(job.defense.schedule)) for job in wave}
    assert len(of_program) == 1
  assert len(waves) == {1: 8, 2: 6, 3: 5, 100: 4}[limit]


@pytest.mark.parametrize(
  ("jobs", "seeds", "workers", "waves"), [(9, 1, 4, 4), (9, 10, 32, 30), (3, 1, 8, 3), (9, 2, 1, 2)]
)
def test_there_are_waves_for_all_who_work(jobs, seeds, workers, waves):
  each = [_job(0.1 * i) for i in range(jobs)]
  dealt = waves_of(dict.fromkeys(range(seeds), each), 100, workers=workers)
  assert len(dealt) == waves
  assert sorted((wave.seed, job.defense.decay) for wave in dealt for job in wave.jobs) == [
    (seed, job.defense.decay) for seed in range(seeds) for job in each
  ]
  sizes = [len(wave.jobs) for wave in dealt]
  assert max(sizes) - min(sizes) <= 1


def test_members_that_have_come_differently_far_are_in_waves_of_their_own():
  each = [_job(0.1 * i) for i in range(6)]
  waves = waves_of({0: each}, 100, reached=lambda seed, job: 2 if job in each[3:] else 0)
  assert [[each.index(job) for job in wave.jobs] for wave in waves] == [[0, 1, 2], [3, 4, 5]]


def test_halves_of_a_wave():
  wave = Wave(3, tuple(_job(0.1 * i) for i in range(5)))
  first, second = wave.halves()
  assert (first.seed, second.seed) == (3, 3)
  assert first.jobs + second.jobs == wave.jobs
  assert (len(first.jobs), len(second.jobs)) == (2, 3)
