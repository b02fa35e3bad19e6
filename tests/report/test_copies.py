"""Copies in the training split, as a report tells of them."""

import json

import pytest

from lwlrd_jax.errors import UserError
from lwlrd_jax.report.load import load
from lwlrd_jax.report.page import render


@pytest.fixture
def run_with(make, tmp_path):
  """Writes a run of 2048 training images whose data set is described so."""

  def write(**dataset):
    run = make.run(tmp_path / "run", make.sweep((0.5,)))
    config = json.loads((run / "config.json").read_text())
    config["dataset"] |= dataset
    (run / "config.json").write_text(json.dumps(config))
    return run

  return write


def test_chance_is_one_of_all_distinct_images(run_with):
  run = load(run_with(distinct=40, copies=2008))
  assert run.chance == 1 / 40
  # Guessing, and two standard errors of 256 images: more than the usual 2 %.
  assert run.verdict.floors.limit("transpose") == pytest.approx(0.025 + 2 * (0.025 * 0.975 / 256) ** 0.5)
  page = render(run, [])
  assert "2008 of 2048 training images are copies of another; they count as one with it." in page
  assert "guessing reaches 2.5 %" in page


@pytest.mark.parametrize("dataset", [{}, {"distinct": 2048, "copies": 0}], ids=["earlier version", "no copies"])
def test_without_copies_nothing_is_said(run_with, dataset):
  run = load(run_with(**dataset))
  assert run.chance == 1 / 2048
  assert "copies of another" not in render(run, [])


@pytest.mark.parametrize("distinct", [0, 2049, "all", None, True])
def test_a_number_that_cannot_be(run_with, distinct):
  with pytest.raises(UserError, match=r"config.json: dataset.distinct is .*; allowed: 1 to dataset.train"):
    load(run_with(distinct=distinct))
