"""What the fields of a dataclass of flags hold, read from its annotations."""

import dataclasses
import types
import typing
from typing import Any, NamedTuple


class Kind(NamedTuple):
  """What a field holds.

  Attributes:
    base: str, int, float, bool or Path.
    optional: Whether it may be None.
    several: Whether its text is a comma list.
  """

  base: type
  optional: bool = False
  several: bool = False


def kinds_of(group: type) -> dict[str, Kind]:
  """The fields of a dataclass of flags."""
  hints = typing.get_type_hints(group, include_extras=True)
  return {field.name: _kind(hints[field.name]) for field in dataclasses.fields(group)}


def _kind(hint: Any) -> Kind:
  if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
    (inner,) = (part for part in typing.get_args(hint) if part is not type(None))
    return _kind(inner)._replace(optional=True)
  if typing.get_origin(hint) is typing.Annotated:
    return Kind(typing.get_args(hint)[0], several=True)
  if typing.get_origin(hint) is tuple:  # words that belong to no flag
    return Kind(typing.get_args(hint)[0], several=True)
  return Kind(hint)
