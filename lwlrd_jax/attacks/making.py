"""Makes attacks by name, built-in ones and those of a user's own files."""

import dataclasses
import hashlib

from lwlrd_jax.attacks.base import Attack, Means
from lwlrd_jax.attacks.dec import adaptive
from lwlrd_jax.attacks.dec.attack import DEC
from lwlrd_jax.attacks.dec.carriers.base import Carrier
from lwlrd_jax.attacks.dec.carriers.dead import Dead
from lwlrd_jax.attacks.dec.carriers.dictionary import Dictionary
from lwlrd_jax.attacks.dec.carriers.mantissa import Mantissa
from lwlrd_jax.attacks.dec.carriers.trained import Signs, Values
from lwlrd_jax.attacks.registry import ATTACKS, AttackInfo, register
from lwlrd_jax.attacks.transpose import KINDS
from lwlrd_jax.errors import UserError
from lwlrd_jax.user.file import run_file
from lwlrd_jax.user.model_name import own_model

_OTHER_CARRIERS: dict[str, type[Carrier]] = {"dead": Dead, "values": Values, "signs": Signs, "dictionary": Dictionary}


def make_attack(name: str, means: Means) -> Attack:
  """Makes an attack by its name in the results table."""
  info = ATTACKS[name]
  if info.family.make is not None:
    return info.family.make(info, means)
  if name in KINDS:
    return KINDS[name].make(means)
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


def load_attack(text: str) -> AttackInfo:
  """Registers an attack of a file: FILE.py:NAME, where NAME is an `AttackInfo`.

  Raises UserError if there is no such file or name, the file cannot be run, or the attack has a name that is taken.
  """
  given = f"`attack_file` {text}"
  allowed = "allowed: FILE.py:NAME, where NAME is a lwlrd_jax.attacks.registry.AttackInfo"
  own = own_model(text)
  if own is None or not own.file.is_file():
    raise UserError(f"{given}: there is no such file; {allowed}")
  info = getattr(run_file(own.file, "lwlrd_jax_attack", given), own.name, None)
  if not isinstance(info, AttackInfo):
    raise UserError(f"{given}: the file has no {own.name}, or it is something else; {allowed}")
  try:
    register(dataclasses.replace(info, source=hashlib.sha256(own.file.read_bytes()).hexdigest()))
  except ValueError as error:
    raise UserError(f"{given}: {error}") from error
  return info
