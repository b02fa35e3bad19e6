"""Configuration files: Python files that define CONFIG, or CONFIGS of several runs."""

import dataclasses
import math
import re
from pathlib import Path
from typing import Any, TypeVar

from lwlrd_jax.config.kinds import Kind, kinds_of
from lwlrd_jax.errors import UserError, shown
from lwlrd_jax.storage import in_home
from lwlrd_jax.user.file import run_file

T = TypeVar("T")

_NAMES = {str: "a str", int: "a whole number", float: "a number", bool: "True or False", Path: "a str or Path"}


def load_configs(file: Path, kind: type[T]) -> dict[str, T]:
  """`CONFIG`, under the name "", or `CONFIGS` of a Python file.

  Lists and tuples are taken for comma lists, str for paths, and NumPy's scalars and arrays for Python's.

  Raises:
    UserError: It cannot be read, or has neither of this kind, or both; or a name is not fit for a folder, or a field
      has a value of another type than its flag.
  """
  wanted = f"CONFIG = {kind.__name__}(...) or CONFIGS = {{name: {kind.__name__}(...)}}"
  if not file.is_file():
    raise UserError(f"--config {file}: no such file; allowed: a Python file with {wanted}")
  module = run_file(file, "lwlrd_jax_config", f"--config {file}")
  one, several = getattr(module, "CONFIG", None), getattr(module, "CONFIGS", None)
  configs: dict[Any, Any]
  if several is None:
    configs = {"": one}
  elif one is None and isinstance(several, dict) and several:
    configs = dict(several)
    for name in configs:
      if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z0-9][\w.-]*", name):
        raise UserError(f"--config {file}: '{name}' names a folder; allowed: letters, digits, '_', '.' and '-'")
  else:
    configs = {"": None}
  if not all(isinstance(config, kind) for config in configs.values()):
    raise UserError(f"--config {file}: allowed: a file with {wanted}")
  return {
    name: _converted(config, f"--config {file}: ", f"CONFIGS[{name!r}]." if name else "CONFIG.")
    for name, config in configs.items()
  }


def _converted(config: Any, file: str, place: str) -> Any:
  """A dataclass of flags with every value of its flag's type; of its groups likewise."""
  changes = {}
  for field in dataclasses.fields(config):
    value, where = getattr(config, field.name), f"{file}{place}{field.name}"
    if dataclasses.is_dataclass(field.default):
      group = type(field.default)
      if not isinstance(value, group):
        raise UserError(f"{where} is {_described(value)}; allowed: a {group.__name__}")
      changes[field.name] = _converted(value, file, f"{place}{field.name}.")
    else:
      changes[field.name] = _value(value, kinds_of(type(config))[field.name], where)
  return dataclasses.replace(config, **changes)


def _value(value: Any, kind: Kind, where: str) -> Any:
  if value is None and kind.optional:
    return None
  if type(value).__module__ == "numpy" and hasattr(value, "tolist"):
    value = value.tolist()
  if kind.several and isinstance(value, list | tuple) and value and all(_is_plain(entry) for entry in value):
    return ",".join(map(str, value))
  if kind.base is float and isinstance(value, int) and not isinstance(value, bool):
    return float(value) if abs(value) < 2**53 else math.inf
  if (kind.base is Path and isinstance(value, str | Path)) or (kind.base is str and isinstance(value, Path)):
    value = kind.base(value)
  if isinstance(value, kind.base) and not (kind.base is int and isinstance(value, bool)):
    try:
      return kind.base(in_home(str(value))) if isinstance(value, str | Path) else value
    except UserError as error:
      raise UserError(f"{where} is {error}") from None
  allowed = _NAMES[kind.base] + (", list or tuple" if kind.several else "") + (", or None" if kind.optional else "")
  near = f", such as {str(value)!r}" if kind.base is str and isinstance(value, int | float) else ""
  raise UserError(f"{where} is {_described(value)}; allowed: {allowed}{near}")


def _is_plain(entry: Any) -> bool:
  return isinstance(entry, str | int | float) and not isinstance(entry, bool)


def _described(value: Any) -> str:
  """A value and its type, as a message has them.

  >>> _described(0.5), _described(None)
  ('0.5 (float)', 'None')
  """
  return "None" if value is None else f"{shown(' '.join(repr(value).split()))} ({type(value).__name__})"
