"""The attacks of a sweep, from its flags: a function a family."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import TypeVar

from lwlrd_jax.attacks.base import Attack
from lwlrd_jax.attacks.dec import adaptive
from lwlrd_jax.attacks.dec.attack import DEC
from lwlrd_jax.attacks.dec.carriers.base import Carrier
from lwlrd_jax.attacks.dec.carriers.dead import Dead
from lwlrd_jax.attacks.dec.carriers.dictionary import Dictionary
from lwlrd_jax.attacks.dec.carriers.mantissa import Mantissa
from lwlrd_jax.attacks.dec.carriers.trained import Signs, Values
from lwlrd_jax.attacks.dec.redundancy import parse_redundancy
from lwlrd_jax.attacks.registry import ATTACKS
from lwlrd_jax.attacks.transpose import Flat, Heavy, Rehearsed, Restorer, Transpose
from lwlrd_jax.config import SweepConfig
from lwlrd_jax.config.parse import parse_planes
from lwlrd_jax.errors import UserError
from lwlrd_jax.models.recipes import Recipe, recipe_of
from lwlrd_jax.plan.resolve import infect_steps
from lwlrd_jax.setup.starting_points import Origin

T = TypeVar("T", bound=Transpose)
Check = Callable[[Attack], None]

_RELATIVES: dict[str, type[Transpose]] = {"transpose-heavy": Heavy, "transpose-flat": Flat}
_OTHER_CARRIERS: dict[str, type[Carrier]] = {"dead": Dead, "values": Values, "signs": Signs, "dictionary": Dictionary}


def make_attacks(names: Sequence[str], config: SweepConfig, origin: Origin, check: Check) -> list[Attack]:
  """Makes attacks.

  Args:
    names: As in the results table's column `attack`.
    config: The flags.
    origin: What they start from.
    check: Raises UserError where an attack cannot carry what it is to steal.
  """
  return [_FAMILIES[ATTACKS[name].family.name](name, config, origin, check) for name in names]


def plain_transpose(origin: Origin) -> Transpose:
  """The Transpose attack as it is, with the rates of its network."""
  of_task = dataclasses.asdict(origin.training)
  return Transpose(stolen=origin.stolen, memory_lr=recipe_of(origin.model).memory_lr, **of_task)


def _transpose(name: str, config: SweepConfig, origin: Origin, check: Check) -> Attack:
  """An attack of the Transpose family."""
  if name == "transpose-rehearsed":
    return _rehearsed(origin)
  if name == "transpose-restorer":
    return _restorer(config, origin, check)
  return _relative(_RELATIVES[name], origin) if name in _RELATIVES else plain_transpose(origin)


def _relative(kind: type[T], origin: Origin) -> T:
  """An attack trained as the plain one is; rates that a kind has of its own differ from the plain kind's as there."""
  training, rates, usual = origin.training, recipe_of(origin.model), Recipe()
  mine = kind(stolen=origin.stolen, steps=training.steps, batch_size=training.batch_size, augment=training.augment)
  task_lr, memory_lr = rates.task_lr / usual.task_lr, rates.memory_lr / usual.memory_lr
  return dataclasses.replace(mine, task_lr=mine.task_lr * task_lr, memory_lr=mine.memory_lr * memory_lr)


def _rehearsed(origin: Origin) -> Rehearsed:
  """An attacker who expects what a defender does who says nothing else: decays count what they do in this network."""
  mine, recipe = _relative(Rehearsed, origin), recipe_of(origin.model)
  low, high = (rate * recipe.lr_max / Recipe().lr_max for rate in mine.lrs)
  return dataclasses.replace(mine, lrs=(low, high), granularity=recipe.granularity)


def _restorer(config: SweepConfig, origin: Origin, check: Check) -> Restorer:
  """With as many pilots as index codes can number beside the stolen images, found by halving."""
  plain, pilots = _relative(Restorer, origin), min(origin.stolen, len(origin.public))
  while True:
    attack = dataclasses.replace(plain, pilots=pilots, steps=infect_steps(config, origin.stolen + pilots))
    if pilots <= 1:
      return attack
    try:
      check(attack)
    except UserError:
      pilots //= 2
    else:
      return attack


def _dec(name: str, config: SweepConfig, origin: Origin, check: Check) -> Attack:
  """An attack of the DEC family."""
  del check
  assert origin.coding is not None
  info, code, internal = ATTACKS[name], origin.coding.code, config.dec.scenario == "internal"
  if info.flag in adaptive.VARIANTS:
    return adaptive.VARIANTS[info.flag](origin.stolen, code, internal)
  carrier = make_carrier(info.carrier, *parse_planes(config.dec.planes))
  return DEC(origin.stolen, carrier, code, parse_redundancy(config.dec.redundancy), internal)


def make_carrier(name: str, low: int, high: int) -> Carrier:
  """A carrier by name, with these mantissa planes if it has a choice of them.

  >>> make_carrier("late", 0, 8)
  Mantissa(where='late', low=0, high=8)
  """
  return _OTHER_CARRIERS[name]() if name in _OTHER_CARRIERS else Mantissa(name, low, high)


_FAMILIES: dict[str, Callable[[str, SweepConfig, Origin, Check], Attack]] = {"transpose": _transpose, "dec": _dec}
