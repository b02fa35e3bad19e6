import dataclasses
import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from lwlrd_jax.config import KEEP, Start
from lwlrd_jax.defenses.schedules import SHAPES
from lwlrd_jax.search.space import DIMENSIONS, Candidate, Space

SPACE = Space(epochs=(6, 12, 24), units=4, finishes=((), ("scrub",), ("noise", "scrub")))

points = st.lists(st.floats(0, 1, exclude_max=True), min_size=DIMENSIONS, max_size=DIMENSIONS)
spaces = st.builds(
  Space,
  epochs=st.lists(st.integers(1, 30), min_size=1, max_size=3, unique=True).map(tuple),
  units=st.integers(2, 9),
  finishes=st.sampled_from([((),), (("scrub",), ())]),
  decays=st.tuples(st.floats(0.01, 1), st.floats(0.01, 1)).map(lambda ends: tuple(sorted(ends))),
  lrs=st.tuples(st.floats(1e-5, 1), st.floats(1e-5, 1)).map(lambda ends: tuple(sorted(ends))),
  shapes=st.lists(st.sampled_from(SHAPES), min_size=1, unique=True).map(tuple),
  floors=st.lists(st.floats(0, 1), min_size=1, max_size=4, unique=True).map(tuple),
  granularity=st.sampled_from(["layer", "block"]),
)


def defense_of(candidate, units=4):
  return candidate.to_defense(batch_size=128, optimizer="adam", train_size=500, depth_of_layer=range(units))


@given(space=spaces, point=points)
def test_bounds(space, point):
  found = space.at(point)
  for candidate in (found, *space.anchors()):
    assert space.decays[0] <= candidate.decay <= space.decays[1]
    assert space.lrs[0] <= candidate.lr_max <= space.lrs[1]
    assert candidate.epochs in space.epochs
    assert candidate.shape in space.shapes
    assert candidate.floor in space.floors
    assert candidate.finish in space.finishes
    assert candidate.granularity == space.granularity
    assert space.canonical(candidate) == candidate


@given(space=spaces, decay=st.floats(0, 1), rate=st.floats(0, 1), floor=st.integers(0, 3))
def test_one_schedule_is_written_one_way(space, decay, rate, floor):
  """Whatever is rewritten is the same schedule, but for the rounding."""
  low, high = space.decays
  raw = Candidate(
    low + decay * (high - low),
    space.lrs[0] + rate * (space.lrs[1] - space.lrs[0]),
    space.epochs[0],
    space.shapes[0],
    space.floors[floor % len(space.floors)],
  )
  # Not below the bounds by an ulp or two.
  raw = dataclasses.replace(raw, decay=min(max(raw.decay, low), high), lr_max=min(raw.lr_max, space.lrs[1]))
  before, after = (defense_of(candidate, space.units).schedule for candidate in (raw, space.canonical(raw)))
  # Half a unit of the second digit is 5 % of the first, for the rate and for every factor of the decay.
  np.testing.assert_allclose(after, before, rtol=1.06**space.units - 1)


def test_idle_floors_and_decays_are_one_candidate():
  def written(decay, floor):
    found = SPACE.canonical(Candidate(decay, 0.02, 12, "cosine", floor))
    return found.decay, found.floor

  assert written(0.9, 0.3) == (0.9, 0.0)  # 0.9**3 is above the floor
  assert written(0.4, 0.1) == (0.4, 0.1)  # 0.4**3 is not
  assert written(0.1, 0.3) == written(0.25, 0.3) == (0.3, 0.3)


def test_rounding():
  found = SPACE.canonical(Candidate(0.512345, 0.0123456, 12, "cosine"))
  assert (found.decay, found.lr_max) == (0.51, 0.012)


def test_points_reach_every_corner():
  low, high = SPACE.at([0.0] * DIMENSIONS), SPACE.at([math.nextafter(1, 0)] * DIMENSIONS)
  assert (low.decay, low.lr_max, low.epochs, low.shape, low.floor, low.finish) == (0.05, 1e-3, 6, "constant", 0.0, ())
  assert (high.decay, high.lr_max, high.epochs, high.shape) == (1.0, 0.1, 24, "cosine")
  assert high.finish == ("noise", "scrub")
  assert SPACE.at([0.0, 0.5, 0.4, 0.4, 0.4, 0.4, 0.4]) == Candidate(0.05, 0.01, 12, "linear", 0.03, ("scrub",))


def test_anchors_are_the_usual_schedules():
  assert {(a.decay, a.lr_max, a.epochs, a.shape, a.floor, a.finish) for a in SPACE.anchors()} == {
    (decay, 0.02, 12, "cosine", 0.0, ("scrub",)) for decay in (0.3, 0.5, 0.7)
  }
  narrow = Space(epochs=(5,), units=3, decays=(0.6, 0.8), lrs=(0.05, 0.1), shapes=("linear",), finishes=((),))
  assert narrow.anchors() == [Candidate(0.7, 0.05, 5, "linear")]
  assert Space(epochs=(4, 8, 16), units=3, usual_epochs=16).anchors()[0].epochs == 16


def test_anchors_have_every_start():
  starts = (KEEP, Start("redraw"), Start("shrink", 0.1, 0.1))
  anchors = dataclasses.replace(SPACE, starts=starts, task_lr=2e-3).anchors()
  assert [(a.start, a.decay, a.lr_max) for a in anchors] == [
    (starts[0], 0.5, 0.02),
    (starts[1], 1.0, 2e-3),
    (starts[2], 1.0, 2e-3),
  ]
  assert anchors[2].label == "lwlrd-lr0.002-d1-e12-cosine-from-shrink-0.1-then-scrub"


def test_labels_tell_candidates_apart():
  rng = np.random.default_rng(0)
  candidates = list(dict.fromkeys(SPACE.at(rng.random(DIMENSIONS).tolist()) for _ in range(5000)))
  assert len(candidates) > 3000
  assert len({candidate.label for candidate in candidates}) == len(candidates)
  # Those that differ in their finishing steps alone share a fine-tuning, and nothing else does.
  schedules = {dataclasses.replace(candidate, finish=()) for candidate in candidates}
  assert len({defense_of(candidate).label for candidate in schedules}) == len(schedules)
  assert all(c.label.replace("-", "").replace(".", "").replace("+", "").isalnum() for c in candidates)
  assert all(candidate.label.startswith(defense_of(candidate).label) for candidate in candidates[:50])


@settings(max_examples=30)
@given(point=points)
def test_defense(point):
  candidate = dataclasses.replace(SPACE.at(point), granularity="block")
  found = candidate.to_defense(batch_size=64, optimizer="sgd", train_size=200, depth_of_layer=(0, 0, 1, 2, 3, 3))
  assert found.schedule.shape == (candidate.epochs * 3, 6)
  assert found.schedule.dtype == np.float32
  shares = [max(candidate.decay**depth, candidate.floor) for depth in (0, 0, 1, 2, 3, 3)]
  np.testing.assert_allclose(found.schedule[0], np.multiply(candidate.lr_max, shares), rtol=1e-5)
  told = (found.name, found.decay, found.lr_max, found.epochs, found.shape, found.floor, found.granularity)
  assert told == (
    "lwlrd",
    candidate.decay,
    candidate.lr_max,
    candidate.epochs,
    candidate.shape,
    candidate.floor,
    "block",
  )
  assert (found.batch_size, found.optimizer) == (64, "sgd")
