"""The attacks of a sweep, from its flags."""

import dataclasses
from collections.abc import Callable
from typing import TypeVar

from lwlrd_jax.attacks.base import Attack
from lwlrd_jax.attacks.dec import adaptive
from lwlrd_jax.attacks.dec.attack import DEC
from lwlrd_jax.attacks.dec.carriers.base import Carrier
from lwlrd_jax.attacks.dec.carriers.dead import Dead
from lwlrd_jax.attacks.dec.carriers.dictionary import Dictionary
from lwlrd_jax.attacks.dec.carriers.mantissa import Mantissa
from lwlrd_jax.attacks.dec.carriers.signs import Signs
from lwlrd_jax.attacks.dec.carriers.values import Values
from lwlrd_jax.attacks.dec.redundancy import parse_redundancy
from lwlrd_jax.attacks.transpose import Flat, Heavy, Rehearsed, Restorer, Transpose
from lwlrd_jax.config import SweepConfig
from lwlrd_jax.config.parse import parse_planes
from lwlrd_jax.models.recipes import Recipe, recipe_of
from lwlrd_jax.runs.codec import Coding
from lwlrd_jax.runs.resolve import Resolved, infect_steps

T = TypeVar("T", bound=Transpose)

_OTHER_CARRIERS: dict[str, Callable[[], Carrier]] = {
  "dead": Dead,
  "values": Values,
  "signs": Signs,
  "dictionary": Dictionary,
}
_RELATIVES: dict[str, type[Transpose]] = {
  "transpose-heavy": Heavy,
  "transpose-flat": Flat,
}


def make_attacks(config: SweepConfig, resolved: Resolved, coding: Coding | None, public_size: int) -> list[Attack]:
  """Every attack of a sweep, in the order of its flags.

  Args:
    config: The flags.
    resolved: Their defaults.
    coding: How DEC turns images into bits; None if it is not among the attacks.
    public_size: Images that a thief has from elsewhere.
  """
  return [_make_attack(name, config, resolved, coding, public_size) for name in resolved.attacks]


def _make_attack(name: str, config: SweepConfig, resolved: Resolved, coding: Coding | None, public_size: int) -> Attack:
  """One attack, by its name in the results table."""
  plain = resolved.transpose
  if name == "transpose":
    return plain
  if name in _RELATIVES:
    return _relative(_RELATIVES[name], plain, plain.steps)
  if name == "transpose-rehearsed":
    return _rehearsed(plain, recipe_of(config.data.model))
  if name == "transpose-restorer":
    pilots = min(plain.stolen, public_size)
    return dataclasses.replace(_relative(Restorer, plain, infect_steps(config, plain.stolen + pilots)), pilots=pilots)
  assert coding is not None
  internal = config.dec.scenario == "internal"
  variant = name.removeprefix("dec-")
  if variant in {"redundant", "spread"}:
    return adaptive.VARIANTS[variant](plain.stolen, coding.code, internal)
  carrier = make_carrier("all" if name == "dec" else variant, *parse_planes(config.dec.planes))
  return DEC(
    stolen=plain.stolen,
    carrier=carrier,
    code=coding.code,
    redundancy=parse_redundancy(config.dec.redundancy),
    internal=internal,
  )


def _relative(kind: type[T], plain: Transpose, steps: int) -> T:
  """An attack trained as the plain one is; rates that a kind has of its own differ from the plain kind's as there."""
  usual = Recipe()
  mine = kind(stolen=plain.stolen, steps=steps, batch_size=plain.batch_size, augment=plain.augment)
  rates = {name: getattr(plain, name) / getattr(usual, name) for name in ("task_lr", "memory_lr")}
  return dataclasses.replace(mine, **{name: getattr(mine, name) * times for name, times in rates.items()})


def _rehearsed(plain: Transpose, recipe: Recipe) -> Rehearsed:
  """A thief who expects what a defender does who says nothing else: decays count what they do in this network."""
  mine = _relative(Rehearsed, plain, plain.steps)
  low, high = (rate * recipe.lr_max / Recipe().lr_max for rate in mine.lrs)
  return dataclasses.replace(mine, lrs=(low, high), granularity=recipe.granularity)


def make_carrier(name: str, low: int, high: int) -> Carrier:
  """A carrier by name, with these mantissa planes if it has a choice of them.

  >>> make_carrier("late", 0, 8)
  Mantissa(where='late', low=0, high=8)
  """
  return _OTHER_CARRIERS[name]() if name in _OTHER_CARRIERS else Mantissa(name, low, high)
