"""Command lines: flags from dataclasses, and every mistake as one line."""

import argparse
import contextlib
import importlib.util
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import tyro

from lwlrd_jax.errors import UserError

T = TypeVar("T")


def parse_command_line(kind: type[T], arguments: Sequence[str], *, program: str) -> T:
  """Reads flags into a frozen dataclass; `--help` prints them in groups and exits.

  Args:
    kind: The dataclass. If it is the sweep's, `--config FILE` names a Python file whose `CONFIG` replaces its defaults.
    arguments: The command line's words.
    program: What the user types before them.

  Returns:
    An instance.

  Raises:
    UserError: A word that is no flag, or a value that is not of the flag's type.
  """
  # Looked for first and by itself: everything else is read with its values as defaults.
  finder = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
  finder.add_argument("--config", type=Path)
  with contextlib.suppress(argparse.ArgumentError):
    file = finder.parse_known_args(arguments)[0].config
    if file is not None:
      return _parse(kind, arguments, program, default=load_config(file, kind))
  return _parse(kind, arguments, program)


def load_config(file: Path, kind: type[T]) -> T:
  """`CONFIG` of a Python file.

  Raises:
    UserError: It cannot be read, or has no `CONFIG` of this kind.
  """
  if not file.is_file():
    raise UserError(f"--config {file}: no such file; allowed: a Python file with CONFIG = {kind.__name__}(...)")
  spec = importlib.util.spec_from_file_location("lwlrd_jax_config", file)
  if spec is None or spec.loader is None:
    raise UserError(f"--config {file}: is no Python file")
  module = importlib.util.module_from_spec(spec)
  try:
    spec.loader.exec_module(module)
  except Exception as error:  # whatever the user's own file raises
    raise UserError(f"--config {file}: {type(error).__name__}: {error}") from error
  config = getattr(module, "CONFIG", None)
  if not isinstance(config, kind):
    raise UserError(f"--config {file}: has no CONFIG = {kind.__name__}(...)")
  return config


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
