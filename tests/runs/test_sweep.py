"""What processes of one run may differ in."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from lwlrd_jax.config import FineTuning, SweepConfig
from lwlrd_jax.errors import UserError
from lwlrd_jax.runs import sweep
from lwlrd_jax.team import Team


class Second(Team):
  """The second of two processes, which receives what the first one said."""

  count, index = 2, 1

  def __init__(self, said: str):
    self._said = said

  def say(self, name: str, make: Callable[[], str]) -> str:
    assert json.loads(make()).keys() == json.loads(self._said).keys()
    return self._said


class First(Team):
  """Keeps what it says."""

  said = ""

  def say(self, name: str, make: Callable[[], str]) -> str:
    self.said = make()
    return self.said


def check(own: SweepConfig, own_digest: str, first: SweepConfig, first_digest: str) -> None:
  """Compares a process with what the first one says of itself."""

  def described(config: SweepConfig, digest: str) -> dict[str, Any]:
    return {"config": config.flat(), "model": "mlp", "dataset": {"sha256": digest}}

  team = First()
  sweep._check_same(described(first, first_digest), team)
  sweep._check_same(described(own, own_digest), Second(team.said))


def test_the_same():
  check(SweepConfig(), "a", SweepConfig(), "a")


def test_other_images():
  with pytest.raises(UserError, match=r"^process 1 has other images and labels than process 0: b, not a$"):
    check(SweepConfig(), "b", SweepConfig(), "a")


def test_other_flags():
  other = SweepConfig(tuning=FineTuning(epochs=4))
  with pytest.raises(UserError, match=r"^process 1 has other epochs than process 0: 4, not 3$"):
    check(other, "a", SweepConfig(tuning=FineTuning(epochs=3)), "a")
