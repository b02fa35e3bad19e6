"""Runs a Python file of a user's own, as if it were a script."""

import contextlib
import importlib
import importlib.machinery
import importlib.util
import inspect
import io
import re
import sys
import traceback
import types
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from lwlrd_jax.errors import UserError, did_you_mean, nearest


def run_file(file: Path, name: str, what: str) -> types.ModuleType:
  """Runs a file as a module of this name; it finds what lies beside it, wherever it is called from.

  Messages begin with `what`, the setting and the file.

  Raises:
    UserError: Whatever the file raised, in one line; or it ended the program.
  """
  path = file.resolve()
  loader = importlib.machinery.SourceFileLoader(name, str(path))
  spec = importlib.util.spec_from_loader(name, loader)
  assert spec is not None
  module = importlib.util.module_from_spec(spec)
  before = set(sys.modules)
  try:
    with as_script(path) as printed:
      sys.modules[name] = module  # where dataclasses look their own annotations up
      loader.exec_module(module)
  except SystemExit as stop:
    last = printed.last_line() or str(stop)
    raise UserError(f"{what}: the file ends the program ({last}); allowed: a file that can be imported") from stop
  except Exception as error:  # whatever the user's own file raises
    raise UserError(f"{what}: {_in_a_line(error, path)}{_hint(error, module)}") from error
  finally:
    # A file of another folder may have other modules of the same names.
    for imported in imported_beside(path, before):
      del sys.modules[imported]
  return module


@contextlib.contextmanager
def as_script(path: Path) -> Iterator["Held"]:
  """Has a user's code find what it would find as a script without arguments: its folder comes first for modules.

  What it prints as errors is held back, and dropped if it ends the program: a parser of its own explains itself in
  several lines.
  """
  folder, arguments, errors = str(path.resolve().parent), sys.argv, sys.stderr
  held = Held(errors)
  sys.argv, sys.stderr = [str(path)], held
  sys.path.insert(0, folder)
  importlib.invalidate_caches()
  ended = False
  try:
    yield held
  except (SystemExit, UserError):
    ended = True
    raise
  finally:
    with contextlib.suppress(ValueError):  # the file may have taken it out itself
      sys.path.remove(folder)
    sys.argv, sys.stderr = arguments, errors
    held.release(drop=ended)


def imported_beside(path: Path, before: Collection[str]) -> dict[str, Path]:
  """Modules and packages from the folder of a file that are known now and were not before, and where they lie.

  Not parts of packages that were known before, as ours are where a checkout is that folder.
  """
  folder = path.resolve().parent
  found = {}
  for name in set(sys.modules) - set(before):
    module, top = sys.modules[name], name.partition(".")[0]
    origin = getattr(module, "__file__", None) or next(iter(getattr(module, "__path__", [])), None)
    if origin is None or top in before:
      continue
    place = Path(origin).resolve()
    # An environment may lie there as well, and is none of the user's code.
    if place.is_relative_to(folder) and place.relative_to(folder).parts[:1] in ((top,), (f"{top}.py",)):
      found[name] = place
  return found


class Held(io.TextIOBase):
  """A stream that keeps what is written to it until it is released; from then on it hands it on."""

  def __init__(self, stream: Any):
    self._stream, self._kept, self._released = stream, io.StringIO(), False

  def __getattr__(self, name: str) -> Any:
    return getattr(self._stream, name)

  def write(self, text: str) -> int:
    """Keeps a text, or hands it on."""
    return (self._stream if self._released else self._kept).write(text)

  def last_line(self) -> str:
    """The last line that was kept; empty if there is none."""
    return next(reversed(self._kept.getvalue().strip().splitlines()), "").strip()

  def release(self, *, drop: bool) -> None:
    """Hands on all that comes, and what was kept unless it is to be dropped."""
    self._released = True
    if not drop:
      self._stream.write(self._kept.getvalue())


def _in_a_line(error: Exception, path: Path) -> str:
  """An exception's kind and first line, and where in the file it was."""
  first = next(iter(str(error).strip().splitlines()), "no message")
  places = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
  where = f" (line {places[-1]})" if places else ""
  return f"{'' if isinstance(error, UserError) else f'{type(error).__name__}: '}{first}{where}"


def _hint(error: Exception, module: types.ModuleType) -> str:
  """What was probably meant: Python has such hints in tracebacks only, or in later versions."""
  near = None
  argument = re.match(r"(\w+)\.__init__\(\) got an unexpected keyword argument '(\w+)'$", str(error))
  if isinstance(error, AttributeError) and error.name:
    near = nearest(error.name, [one for one in dir(error.obj) if not one.startswith("_")])
  elif argument and callable(made := getattr(module, argument[1], None)):
    near = nearest(argument[2], inspect.signature(made).parameters)
  return f"; {did_you_mean(near)}".rstrip() if near else ""
