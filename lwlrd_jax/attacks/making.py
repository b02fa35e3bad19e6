"""Makes attacks from what an attacker has: a function a family. Files of a user's own add further ones."""

import dataclasses
import hashlib
import importlib
from collections.abc import Callable
from typing import Any, TypeVar

from lwlrd_jax.attacks.base import Attack
from lwlrd_jax.attacks.dec import adaptive
from lwlrd_jax.attacks.dec.attack import DEC
from lwlrd_jax.attacks.dec.carriers.base import Carrier
from lwlrd_jax.attacks.dec.carriers.dead import Dead
from lwlrd_jax.attacks.dec.carriers.dictionary import Dictionary
from lwlrd_jax.attacks.dec.carriers.mantissa import Mantissa
from lwlrd_jax.attacks.dec.carriers.trained import Signs, Values
from lwlrd_jax.attacks.dec.redundancy import Redundancy
from lwlrd_jax.attacks.registry import ATTACKS, AttackInfo, register
from lwlrd_jax.attacks.transpose import Flat, Heavy, Rehearsed, Restorer, Transpose
from lwlrd_jax.errors import UserError
from lwlrd_jax.models.recipes import Recipe
from lwlrd_jax.models.task_training import TaskTraining
from lwlrd_jax.user.file import run_file
from lwlrd_jax.user.model_name import OwnModel, own_model

T = TypeVar("T", bound=Transpose)

_RELATIVES: dict[str, type[Transpose]] = {"transpose-heavy": Heavy, "transpose-flat": Flat}
_OTHER_CARRIERS: dict[str, type[Carrier]] = {"dead": Dead, "values": Values, "signs": Signs, "dictionary": Dictionary}


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Means:
  """What an attacker has.

  Attributes:
    stolen: Images to take.
    training: How models are trained on their task.
    recipe: Rates of this kind of network.
    public: Images of the same kind at hand from elsewhere.
    steps_of: Training steps of an infection that memorises so many images.
    check: Raises UserError where an attack cannot carry what it is to steal.
    code: How images become bits, of attacks that need a codec.
    planes: Mantissa planes that carry bits, from the first up to below the second.
    redundancy: How bits are protected.
    internal: Whether the codec's decoder has to be hidden too.
  """

  stolen: int
  training: TaskTraining
  recipe: Recipe
  public: int
  steps_of: Callable[[int], int]
  check: Callable[[Attack], None]
  code: Any = None
  planes: tuple[int, int] = (0, 8)
  redundancy: Redundancy
  internal: bool = False


def make_attack(name: str, means: Means) -> Attack:
  """Makes an attack by its name in the results table."""
  make = ATTACKS[name].family.make
  if isinstance(make, str):
    module, _, function = make.partition(":")
    make = getattr(importlib.import_module(module), function)
  return make(ATTACKS[name], means)


def load_attack(text: str) -> AttackInfo:
  """Registers an attack of a file.

  Args:
    text: FILE.py:NAME, where NAME is an `AttackInfo`.

  Raises:
    UserError: There is no such file or name, the file cannot be run, or the attack has a name that is taken.
  """
  allowed = "allowed: FILE.py:NAME, where NAME is a lwlrd_jax.attacks.registry.AttackInfo"
  own = own_model(text)
  if own is None or not own.file.is_file():
    raise UserError(f"`attack_file` {text}: there is no such file; {allowed}")
  info = getattr(run_file(own.file, "lwlrd_jax_attack", f"`attack_file` {text}"), own.name, None)
  if not isinstance(info, AttackInfo):
    raise UserError(f"`attack_file` {text}: the file has no {own.name}, or it is something else; {allowed}")
  try:
    register(dataclasses.replace(info, source=_digest(own)))
  except ValueError as error:
    raise UserError(f"`attack_file` {text}: {error}") from error
  return info


def _digest(own: OwnModel) -> str:
  return hashlib.sha256(own.file.read_bytes()).hexdigest()


def plain_transpose(means: Means) -> Transpose:
  """The Transpose attack as it is, with the rates of its network."""
  return Transpose(stolen=means.stolen, memory_lr=means.recipe.memory_lr, **dataclasses.asdict(means.training))


def transpose(info: AttackInfo, means: Means) -> Attack:
  """An attack of the Transpose family."""
  if info.name == "transpose-rehearsed":
    return _rehearsed(means)
  if info.name == "transpose-restorer":
    return _restorer(means)
  return _relative(_RELATIVES[info.name], means) if info.name in _RELATIVES else plain_transpose(means)


def _relative(kind: type[T], means: Means) -> T:
  """An attack trained as the plain one is; rates that a kind has of its own differ from the plain kind's as there."""
  training, rates, usual = means.training, means.recipe, Recipe()
  mine = kind(stolen=means.stolen, steps=training.steps, batch_size=training.batch_size, augment=training.augment)
  task_lr, memory_lr = rates.task_lr / usual.task_lr, rates.memory_lr / usual.memory_lr
  return dataclasses.replace(mine, task_lr=mine.task_lr * task_lr, memory_lr=mine.memory_lr * memory_lr)


def _rehearsed(means: Means) -> Rehearsed:
  """An attacker who expects what a defender does who says nothing else: decays count what they do in this network."""
  mine, recipe = _relative(Rehearsed, means), means.recipe
  low, high = (rate * recipe.lr_max / Recipe().lr_max for rate in mine.lrs)
  return dataclasses.replace(mine, lrs=(low, high), granularity=recipe.granularity)


def _restorer(means: Means) -> Restorer:
  """With as many pilots as index codes can number beside the stolen images, found by halving."""
  plain, pilots = _relative(Restorer, means), min(means.stolen, means.public)
  while True:
    attack = dataclasses.replace(plain, pilots=pilots, steps=means.steps_of(means.stolen + pilots))
    if pilots <= 1:
      return attack
    try:
      means.check(attack)
    except UserError:
      pilots //= 2
    else:
      return attack


def dec(info: AttackInfo, means: Means) -> Attack:
  """An attack of the DEC family."""
  if info.flag in adaptive.VARIANTS:
    return adaptive.VARIANTS[info.flag](means.stolen, means.code, means.internal)
  carrier = make_carrier(info.carrier, *means.planes)
  return DEC(means.stolen, carrier, means.code, means.redundancy, means.internal)


def make_carrier(name: str, low: int, high: int) -> Carrier:
  """A carrier by name, with these mantissa planes if it has a choice of them.

  >>> make_carrier("late", 0, 8)
  Mantissa(where='late', low=0, high=8)
  """
  return _OTHER_CARRIERS[name]() if name in _OTHER_CARRIERS else Mantissa(name, low, high)
