"""What processes of one run may differ in."""

import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from lwlrd_jax.config import FineTuning, SweepConfig
from lwlrd_jax.errors import UserError
from lwlrd_jax.runs import execute


@pytest.fixture
def check(monkeypatch):
  """Compares a process with what the first one says of itself."""

  def setting(digest: str) -> Any:
    data = SimpleNamespace(image_shape=(12, 12, 1), num_outputs=3)
    return SimpleNamespace(data=data, origin=SimpleNamespace(digest=digest))

  def compare(own: SweepConfig, own_digest: str, first: SweepConfig, first_digest: str) -> None:
    said: list[str] = []

    def say(make: Callable[[], str]) -> str:
      said.append(make())
      return said[0]

    monkeypatch.setattr(execute.processes, "say", say)
    execute._check_same(first, setting(first_digest))
    monkeypatch.setattr(execute.processes, "index", lambda: 1)
    execute._check_same(own, setting(own_digest))
    assert json.loads(said[0]).keys() == json.loads(said[1]).keys()

  return compare


def test_the_same(check):
  check(SweepConfig(), "a", SweepConfig(), "a")


def test_other_images(check):
  with pytest.raises(UserError, match=r"^process 1 has other images and labels than process 0: b, not a$"):
    check(SweepConfig(), "b", SweepConfig(), "a")


def test_other_flags(check):
  other = SweepConfig(tuning=FineTuning(epochs=4))
  with pytest.raises(UserError, match=r"^process 1 has other epochs than process 0: 4, not 3$"):
    check(other, "a", SweepConfig(tuning=FineTuning(epochs=3)), "a")
