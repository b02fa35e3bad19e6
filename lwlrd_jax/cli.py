"""Command lines: flags from dataclasses, and every mistake as one line."""

import argparse
import contextlib
import importlib.util
import io
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import tyro

from lwlrd_jax.errors import UserError

T = TypeVar("T")


def parse_command_line(kind: type[T], arguments: Sequence[str], *, program: str) -> T:
  """Reads flags into a frozen dataclass; `--help` prints them in groups and exits.

  Args:
    kind: The dataclass.
    arguments: The command line's words.
    program: What the user types before them.

  Returns:
    An instance.

  Raises:
    UserError: A word that is no flag, or a value that is not of the flag's type.
  """
  return _parse(kind, arguments, program)


def parse_configs(kind: type[T], arguments: Sequence[str], *, program: str) -> dict[str, T]:
  """Reads flags into one or several frozen dataclasses, as `parse_command_line` does.

  `--config FILE` names a Python file that says what the flags' defaults are: `CONFIG` for one run, `CONFIGS`, a dict by
  name, for a study of several. Flags given beside it win in all of them.

  Returns:
    Instances by name; a single one has the name "".

  Raises:
    UserError: As `parse_command_line`, or as `load_configs`.
  """
  # Looked for first and by itself: everything else is read with its values as defaults.
  finder = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
  finder.add_argument("--config", type=Path)
  with contextlib.suppress(argparse.ArgumentError):
    file = finder.parse_known_args(arguments)[0].config
    if file is not None:
      configs = load_configs(file, kind)
      return {name: _parse(kind, arguments, program, default=config) for name, config in configs.items()}
  return {"": _parse(kind, arguments, program)}


def load_configs(file: Path, kind: type[T]) -> dict[str, T]:
  """`CONFIG`, under the name "", or `CONFIGS` of a Python file.

  Raises:
    UserError: It cannot be read, or has neither of this kind, or both; or a name is not fit for a folder.
  """
  wanted = f"CONFIG = {kind.__name__}(...) or CONFIGS = {{name: {kind.__name__}(...)}}"
  if not file.is_file():
    raise UserError(f"--config {file}: no such file; allowed: a Python file with {wanted}")
  spec = importlib.util.spec_from_file_location("lwlrd_jax_config", file)
  if spec is None or spec.loader is None:
    raise UserError(f"--config {file}: is no Python file")
  module = importlib.util.module_from_spec(spec)
  try:
    spec.loader.exec_module(module)
  except Exception as error:  # whatever the user's own file raises
    raise UserError(f"--config {file}: {type(error).__name__}: {error}") from error
  one, several = getattr(module, "CONFIG", None), getattr(module, "CONFIGS", None)
  configs: dict[str, Any]
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
  return configs


def _parse(kind: type[T], arguments: Sequence[str], program: str, default: T | None = None) -> T:
  said = io.StringIO()
  options: dict[str, Any] = {} if default is None else {"default": default}
  try:
    with contextlib.redirect_stderr(said):
      return tyro.cli(kind, prog=program, args=list(arguments), config=(tyro.conf.OmitArgPrefixes,), **options)
  except SystemExit as stop:
    if stop.code == 0:
      raise
    raise UserError(_first_sentence(said.getvalue())) from None


def _first_sentence(box: str) -> str:
  """What tyro says in its box, up to the first empty or ruled line."""
  lines = [line.strip("│╭╮╰╯─ ") for line in box.splitlines()[1:]]
  sentence = next((i for i, line in enumerate(lines) if not line), len(lines))
  return " ".join(lines[:sentence]) + " (--help lists what is allowed)"
