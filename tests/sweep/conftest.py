"""A data set small enough to run the product on several times."""

import numpy as np
import pandas as pd
import pytest

from lwlrd_jax.report import figures
from tests.small_sweep import FEW, narrow

TRAIN, VAL, TEST = 160, 30, 60


@pytest.fixture(scope="session")
def npz(tmp_path_factory):
  """Three classes of smooth 12 x 12 pictures, told apart by their brightness, with noise."""
  rng = np.random.default_rng(0)
  arrays = {}
  for split, count in (("train", TRAIN), ("val", VAL), ("test", TEST)):
    labels = np.arange(count) % 3
    coarse = rng.uniform(0, 160, (count, 4, 4, 1)) + 30 * labels[:, None, None, None]
    arrays[f"{split}_images"] = np.kron(coarse, np.ones((1, 3, 3, 1))).astype(np.uint8)
    arrays[f"{split}_labels"] = labels[:, None].astype(np.uint8)
  file = tmp_path_factory.mktemp("data") / "small.npz"
  np.savez(file, **arrays)  # type: ignore[arg-type]
  return file


@pytest.fixture(scope="module", autouse=True)
def narrow_networks():
  """Sweeps of these tests have a narrow MLP; a module that needs the usual one has a fixture of this name."""
  with narrow():
    yield


@pytest.fixture(autouse=True)
def few_figures(monkeypatch):
  """A sweep of one test's own draws one figure; those that modules share draw all of them."""
  few = {name: module for name, module in figures._FIGURES.items() if name in FEW}
  monkeypatch.setattr(figures, "_FIGURES", few)


@pytest.fixture(scope="session")
def comparable():
  """Reads of a run's table what two runs of one command share."""
  return lambda path: pd.read_parquet(path / "results.parquet").drop(columns="seconds")


@pytest.fixture(scope="session")
def assert_same(comparable):
  """Two runs of one command have one table."""

  def check(first, second):
    pd.testing.assert_frame_equal(comparable(first), comparable(second), check_exact=True)

  return check
