"""What a field of flags may hold: its type says so, and what it is given is read and checked once, when it is made."""

import dataclasses
import functools
import math
import types
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from lwlrd_jax.config import reading
from lwlrd_jax.config.values import TRACKERS, Direction, Listed, Planes, Redundancy, Size, Start
from lwlrd_jax.errors import UserError, not_known, shown
from lwlrd_jax.storage import in_home

_LARGEST_COUNT = 2**31 - 1
_TYPES = {str: "a str", int: "a whole number", float: "a number", bool: "True or False", Path: "a str or Path"}


class Reads(NamedTuple):
  """Annotation of a field whose values, of the type `kind`, are read from a flag's text."""

  kind: type
  read: Callable[[str, str], Any]  # of the flag and its text
  several: bool = True  # whether the text is a comma list, for which a list or tuple may stand


class Range(NamedTuple):
  """Annotation of a field whose values are numbers from `low` to `high`, both allowed."""

  low: float
  high: float = math.inf


class Kind(NamedTuple):
  """What a field holds: any value of `base`, or what the other attributes allow."""

  base: type  # str, int, float, bool or Path; of fields with `reads`, str
  optional: bool = False  # whether None is allowed
  choices: tuple[str, ...] = ()
  range: Range | None = None
  reads: Reads | None = None

  @property
  def metavar(self) -> str:
    """What stands for the value in `--help`."""
    if self.reads:
      return "LIST" if self.reads.several else "VALUE"
    return f"{{{','.join(self.choices)}}}" if self.choices else self.base.__name__.upper()

  def value(self, flag: str, given: Any) -> Any:
    """The value of a given value or text; NumPy's scalars and arrays count as Python's, lists as comma lists.

    Raises:
      UserError: It is of another type, or not allowed; `flag` names the field.
    """
    if given is None and self.optional:
      return None
    if type(given).__module__ == "numpy" and hasattr(given, "tolist"):
      given = given.tolist()
    if self.reads is not None:
      if self.reads.kind is not int and isinstance(given, self.reads.kind):
        return given
      if isinstance(given, int) and issubclass(self.reads.kind, int):
        given = str(given)
      if self.reads.several and isinstance(given, list | tuple) and given and all(map(_is_plain, given)):
        given = ",".join(map(_joined, given))
      if isinstance(given, str):
        return self.reads.read(flag, given)
    if self.base is float and isinstance(given, int) and not isinstance(given, bool):
      given = float(given) if abs(given) < 2**53 else math.inf
    if (self.base is Path and isinstance(given, str | Path)) or (self.base is str and isinstance(given, Path)):
      given = self.base(given)
    if self.reads is not None or not isinstance(given, self.base) or (self.base is int and isinstance(given, bool)):
      raise UserError(f"{flag} is {described(given)}; allowed: {self._allowed(given)}")
    self._check(flag, given)
    try:
      return self.base(in_home(str(given))) if isinstance(given, str | Path) else given
    except UserError as error:
      raise UserError(f"{flag} {error}") from None

  def _allowed(self, given: Any) -> str:
    allowed = _TYPES[self.base] + (", list or tuple" if self.reads and self.reads.several else "")
    near = f", such as {str(given)!r}" if self.base is str and isinstance(given, int | float) else ""
    return f"{allowed}{', or None' if self.optional else ''}{near}"

  def _check(self, flag: str, given: Any) -> None:
    if self.choices and given not in self.choices:
      raise not_known(flag, given, self.choices)
    if self.range is None or (self.range.low <= given <= self.range.high and math.isfinite(given)):
      return
    low, high = self.range
    if self.base is int:
      raise UserError(f"{flag} {given}: allowed: whole numbers from {low} to {high:,}")
    raise UserError(f"{flag} {given}: allowed: {low} " + (f"to {high}" if high < math.inf else "and more"))


class Flags:
  """Dataclasses of flags: what they are given becomes what their fields hold."""

  def __post_init__(self):
    for name, kind in kinds_of(type(self)).items():
      flag = f"--{name.replace('_', '-')}"
      object.__setattr__(self, name, kind.value(flag, getattr(self, name)))


def kinds_of(group: type) -> dict[str, Kind]:
  """The fields of a dataclass of flags."""
  return _kinds_of(group)


@functools.cache
def _kinds_of(group: Any) -> dict[str, Kind]:
  hints = typing.get_type_hints(group, include_extras=True)
  return {field.name: _kind(hints[field.name]) for field in dataclasses.fields(group)}


def described(value: Any) -> str:
  """A value and its type, as a message has them.

  >>> described(0.5), described(None)
  ('0.5 (float)', 'None')
  """
  return "None" if value is None else f"{shown(' '.join(repr(value).split()))} ({type(value).__name__})"


def _kind(hint: Any) -> Kind:
  if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
    (inner,) = (part for part in typing.get_args(hint) if part is not type(None))
    return _kind(inner)._replace(optional=True)
  if typing.get_origin(hint) is Annotated:
    inner, about = typing.get_args(hint)
    return Kind(str, reads=about) if isinstance(about, Reads) else _kind(inner)._replace(range=about)
  if typing.get_origin(hint) is Literal:
    return Kind(str, choices=typing.get_args(hint))
  if typing.get_origin(hint) is tuple:  # words that belong to no flag
    return Kind(typing.get_args(hint)[0])
  return Kind(hint)


def _is_plain(entry: Any) -> bool:
  if isinstance(entry, tuple):
    return all(isinstance(part, str) for part in entry)
  return isinstance(entry, str | int | float) and not isinstance(entry, bool)


def _joined(entry: Any) -> str:
  return ("+".join(entry) or "none") if isinstance(entry, tuple) else str(entry)


def _one_of(*allowed: str) -> Callable[[str, str], Listed]:
  return functools.partial(reading.read_names, allowed=allowed)


Count = Annotated[int, Range(1, _LARGEST_COUNT)]
Share = Annotated[float, Range(0.0, 1.0)]
Positive = Annotated[float, Range(0.0)]
Decays = Annotated[tuple[float, ...], Reads(Listed, reading.read_decays)]
Rates = Annotated[tuple[float, ...], Reads(Listed, reading.read_lrs)]
Lengths = Annotated[tuple[float, ...], Reads(Listed, reading.read_lengths)]
Floors = Annotated[tuple[float, ...], Reads(Listed, reading.read_floors)]
Words = Annotated[tuple[str, ...], Reads(Listed, reading.read_words)]
Directions = Annotated[tuple[Direction, ...], Reads(Listed, _one_of(*typing.get_args(Direction)))]
Finishes = Annotated[tuple[tuple[str, ...], ...], Reads(Listed, reading.read_finish)]
Starts = Annotated[tuple[Start, ...], Reads(Listed, reading.read_start)]
MaxBytes = Annotated[int, Reads(Size, reading.read_size, several=False)]
Trackers = Annotated[tuple[str, ...], Reads(Listed, _one_of(*TRACKERS))]
PlaneRange = Annotated[Planes, Reads(Planes, reading.read_planes, several=False)]
Protection = Annotated[Redundancy, Reads(Redundancy, reading.read_redundancy, several=False)]
Strategy = Annotated[Literal["auto", "loop", "vmap"] | int, Reads(int, reading.read_strategy, several=False)]
