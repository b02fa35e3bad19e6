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
from lwlrd_jax.config import CARRIER_NAMES, SweepConfig, parse_names, parse_planes
from lwlrd_jax.runs.codec import Coding
from lwlrd_jax.runs.resolve import Resolved

_OTHER_CARRIERS: dict[str, Callable[[], Carrier]] = {
  "dead": Dead,
  "values": Values,
  "signs": Signs,
  "dictionary": Dictionary,
}


def make_attacks(config: SweepConfig, resolved: Resolved, coding: Coding | None) -> list[Attack]:
  """Every attack, DEC once for each of its carriers."""
  attacks: list[Attack] = []
  for name in resolved.attacks:
    if name == "transpose":
      attacks.append(resolved.transpose)
      continue
    assert coding is not None
    for carrier in parse_names("--carriers", config.dec.carriers, CARRIER_NAMES):
      attacks.append(
        DEC(
          stolen=resolved.transpose.stolen,
          carrier=make_carrier(carrier, *parse_planes(config.dec.planes)),
          code=coding.code,
          redundancy=parse_redundancy(config.dec.redundancy),
          internal=config.dec.scenario == "internal",
        )
      )
  return attacks


def make_carrier(name: str, low: int, high: int) -> Carrier:
  """A carrier by name, with these mantissa planes if it has a choice of them.

  >>> make_carrier("late", 0, 8)
  Mantissa(where='late', low=0, high=8)
  """
  return _OTHER_CARRIERS[name]() if name in _OTHER_CARRIERS else Mantissa(name, low, high)
