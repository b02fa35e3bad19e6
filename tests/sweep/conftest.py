"""A data set small enough to run the product on several times."""

import pandas as pd
import pytest

from lwlrd_jax.report import figures
from lwlrd_jax.runs import members
from tests.small_sweep import FEW, narrow, write_images


@pytest.fixture(scope="session")
def npz(tmp_path_factory):
  return write_images(tmp_path_factory.mktemp("data") / "small.npz", train=160, val=30, test=60)


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


@pytest.fixture
def stop_in_wave(monkeypatch):
  """stop_in_wave(n) interrupts the nth fine-tuning from then on; it returns a list with an entry for each."""

  def interrupt(nth):
    finetune, calls = members.finetune, []

    def stopping(*args, **kwargs):
      calls.append(1)
      if len(calls) == nth:
        raise KeyboardInterrupt
      return finetune(*args, **kwargs)

    monkeypatch.setattr(members, "finetune", stopping)
    return calls

  return interrupt
