import json
import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lwlrd_jax.analysis.verdict import Limits
from lwlrd_jax.search.result import Result, describe, front, recommend
from lwlrd_jax.search.space import Candidate

# Few distinct values, so that ties are common.
_through = st.sampled_from([(), (), ("a",), ("b",), ("a", "b")])
_shares = st.sampled_from([0.0, 0.01, 0.02, 0.05, 0.3, 1.0])


@st.composite
def tables(draw):
  """Results of distinct candidates; some are not ok, some not numbers."""
  rows = []
  for i in range(draw(st.integers(0, 8))):
    drop = draw(st.one_of(st.sampled_from([-0.01, 0.0, 0.01, 0.02, 0.2]), st.just(math.nan)))
    reid = {"a": draw(_shares), "b": draw(_shares)}
    status = draw(st.sampled_from(["ok", "ok", "ok", "diverged"]))
    candidate = Candidate(0.1 + i / 100, 0.02, 12, "cosine", finish=("scrub",))
    rows.append(Result(candidate, drop, 0.5, 0.8, reid, 0.1, draw(_through), status))
  return rows


def _usable(rows):
  return [row for row in rows if row.status == "ok" and not math.isnan(row.auc_drop_val)]


@given(rows=tables())
def test_front(rows):
  def figures(row):
    return np.array([row.auc_drop_val, len(row.through), max(row.reid_by_attack.values())])

  def beaten(row):
    mine = figures(row)
    return any((figures(other) <= mine).all() and (figures(other) < mine).any() for other in _usable(rows))

  found = front(rows)
  assert {row.candidate for row in found} == {row.candidate for row in _usable(rows) if not beaten(row)}
  assert [row.auc_drop_val for row in found] == sorted(row.auc_drop_val for row in found)
  assert front(rows[::-1]) == found


@given(rows=tables(), limit=st.sampled_from([-0.05, 0.0, 0.01, 0.03]))
def test_recommendation(rows, limit):
  found = recommend(rows, Limits(limit))
  assert recommend(rows[::-1], Limits(limit)) == found
  assert found.reason.endswith(".")
  within = [row for row in _usable(rows) if row.auc_drop_val <= limit]
  if not within:
    assert found.result is None
    return
  ours = found.result
  assert ours is not None
  assert ours in within
  fewest = min(len(row.through) for row in within)
  assert ours.stops is (fewest == 0)
  if fewest == 2:  # all
    assert all((ours.reid, ours.auc_drop_val) <= (row.reid, row.auc_drop_val) for row in within)
    return
  assert len(ours.through) == fewest
  closest = [row for row in within if len(row.through) == fewest]
  assert all((ours.auc_drop_val, ours.reid) <= (row.auc_drop_val, row.reid) for row in closest)


@given(rows=tables(), limit=st.sampled_from([-0.05, 0.0, 0.03]))
def test_record(rows, limit):
  found = json.loads(json.dumps(describe(rows, rounds=3, limits=Limits(limit)), allow_nan=False))
  assert (found["rounds"], found["tried"], found["max_auc_drop"]) == (3, len(rows), limit)
  assert found["failed"] == len(rows) - len(_usable(rows))
  labels = [entry["label"] for entry in found["front"]]
  assert len(set(labels)) == len(labels)
  assert {row.candidate.label for row in front(rows)} <= set(labels)
  chosen = recommend(rows, Limits(limit)).result
  assert [entry["recommended"] for entry in found["front"]].count(True) == (chosen is not None)
  if chosen is None:
    assert found["recommended"] is None
  else:
    entry = found["front"][found["recommended"]]
    assert entry["recommended"]
    assert entry["label"] == chosen.candidate.label


def test_a_record():
  """Less leakage and less loss, but by an SSIM that is too high: the other one does not stop the attack."""
  stops = Result(Candidate(0.7, 0.02, 12, "cosine", 0.1), 0.02, 0.03, 0.8, {"a": 0.01}, 0.0, ())
  beats = Result(Candidate(0.5, 0.02, 6, "linear"), 0.01, 0.0, 0.81, {"a": 0.0}, 0.2, ("a",))
  found = describe([stops, beats], rounds=1, limits=Limits(0.03))
  assert [entry["decay"] for entry in found["front"]] == [0.5, 0.7]
  assert found["recommended"] == 1
  assert found["front"][1] == {
    "label": "lwlrd-lr0.02-d0.7-f0.1-e12-cosine",
    "defense": "lwlrd",
    "decay": 0.7,
    "lr_max": 0.02,
    "epochs": 12,
    "shape": "cosine",
    "floor": 0.1,
    "granularity": "layer",
    "start": "keep",
    "finish": "none",
    "auc_drop": 0.03,
    "auc_drop_val": 0.02,
    "bacc_drop": None,
    "bacc_drop_val": None,
    "lost": 0.02,
    "compute": 0.0,
    "certified_bytes": None,
    "auc": 0.8,
    "reid": 0.01,
    "reid_by_attack": {"a": 0.01},
    "through": [],
    "recommended": True,
  }


def test_reasons():
  one = Result(Candidate(0.5, 0.02, 12, "cosine"), 0.012, 0.0, 0.8, {"a": 0.25}, 0.0, ("a",))
  limit = "of AUC and 0.02 of balanced accuracy on the validation split."
  none = f"No schedule that was tried stops every attack and loses at most 0.02 {limit}"
  assert (
    recommend([one], Limits(0.02)).reason
    == f"{none} Least is let through by lwlrd-lr0.02-d0.5-e12-cosine: 25.0% re-identified."
  )
  assert (
    recommend([one], Limits(0.01)).reason
    == "No schedule that was tried loses at most 0.01 of AUC and 0.02 of balanced accuracy on the validation split."
  )
  two = Result(Candidate(0.7, 0.02, 12, "cosine"), 0.015, 0.0, 0.8, {"a": 1.0, "b": 0.0, "c": 0.0}, 0.0, ("a",))
  more = Result(Candidate(0.5, 0.02, 12, "cosine"), 0.01, 0.0, 0.8, {"a": 1.0, "b": 0.9, "c": 0.0}, 0.0, ("a", "b"))
  assert recommend([two, more], Limits(0.02)).reason == (
    f"{none} Most are stopped by lwlrd-lr0.02-d0.7-e12-cosine: 2 of 3, all but a (100.0% re-identified)."
  )
