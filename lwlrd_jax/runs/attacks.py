"""The attacks of a sweep, from its flags."""

from collections.abc import Callable

from lwlrd_jax.attacks.base import Attack
from lwlrd_jax.attacks.dec.attack import DEC
from lwlrd_jax.attacks.dec.carriers.base import Carrier
from lwlrd_jax.attacks.dec.carriers.dead import Dead
from lwlrd_jax.attacks.dec.carriers.dictionary import Dictionary
from lwlrd_jax.attacks.dec.carriers.mantissa import Mantissa
from lwlrd_jax.attacks.dec.carriers.signs import Signs
from lwlrd_jax.attacks.dec.carriers.values import Values
from lwlrd_jax.attacks.dec.redundancy import parse_redundancy
from lwlrd_jax.config import SweepConfig, parse_planes
from lwlrd_jax.runs.codec import Coding
from lwlrd_jax.runs.resolve import Resolved

_OTHER_CARRIERS: dict[str, Callable[[], Carrier]] = {
  "dead": Dead,
  "values": Values,
  "signs": Signs,
  "dictionary": Dictionary,
}


def make_attacks(config: SweepConfig, resolved: Resolved, coding: Coding | None) -> list[Attack]:
  """Every attack of a sweep, in the order of its flags."""
  return [_make_attack(name, config, resolved, coding) for name in resolved.attacks]


def _make_attack(name: str, config: SweepConfig, resolved: Resolved, coding: Coding | None) -> Attack:
  """One attack, by its name in the results table."""
  if name == "transpose":
    return resolved.transpose
  assert coding is not None
  carrier = make_carrier(name.removeprefix("dec-") if name != "dec" else "all", *parse_planes(config.dec.planes))
  return DEC(
    stolen=resolved.transpose.stolen,
    carrier=carrier,
    code=coding.code,
    redundancy=parse_redundancy(config.dec.redundancy),
    internal=config.dec.scenario == "internal",
  )


def make_carrier(name: str, low: int, high: int) -> Carrier:
  """A carrier by name, with these mantissa planes if it has a choice of them.

  >>> make_carrier("late", 0, 8)
  Mantissa(where='late', low=0, high=8)
  """
  return _OTHER_CARRIERS[name]() if name in _OTHER_CARRIERS else Mantissa(name, low, high)
