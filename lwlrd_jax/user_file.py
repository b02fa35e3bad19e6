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
from collections.abc import Iterator
from pathlib import Path

from lwlrd_jax.errors import UserError, did_you_mean, nearest


def run_file(file: Path, name: str, what: str) -> types.ModuleType:
  """Runs a file; it finds modules and packages that lie beside it, wherever it is called from.

  Args:
    file: The file.
    name: What the module is called.
    what: What names the file in a message, such as `--config FILE`.

  Returns:
    The module.

  Raises:
    UserError: Whatever the file raised, in one line; or it ended the program.
  """
  path = file.resolve()
  loader = importlib.machinery.SourceFileLoader(name, str(path))
  spec = importlib.util.spec_from_loader(name, loader)
  assert spec is not None
  module = importlib.util.module_from_spec(spec)
  said = io.StringIO()  # a parser of the file's own explains itself in several lines
  try:
    with _as_script(path), contextlib.redirect_stderr(said):
      sys.modules[name] = module  # where dataclasses look their own annotations up
      loader.exec_module(module)
  except SystemExit as stop:
    last = (said.getvalue().strip().splitlines() or [str(stop)])[-1]
    raise UserError(f"{what}: the file ends the program ({last}); allowed: a file that can be imported") from stop
  except Exception as error:  # whatever the user's own file raises
    sys.stderr.write(said.getvalue())
    raise UserError(f"{what}: {_in_a_line(error, path)}{_hint(error, module)}") from error
  sys.stderr.write(said.getvalue())
  return module


@contextlib.contextmanager
def _as_script(path: Path) -> Iterator[None]:
  """Its folder comes first where modules are looked for, and it has no arguments.

  What it imported from there is forgotten: a file of another folder may have other modules of the same names. Not so
  parts of packages that were known before, as ours are where a checkout is that folder.
  """
  folder, before, arguments = str(path.parent), set(sys.modules), sys.argv
  sys.path.insert(0, folder)
  sys.argv = [str(path)]
  importlib.invalidate_caches()
  try:
    yield
  finally:
    sys.argv = arguments
    with contextlib.suppress(ValueError):  # the file may have taken it out itself
      sys.path.remove(folder)
    for name in (name for name in set(sys.modules) - before if name.partition(".")[0] not in before):
      origin = getattr(sys.modules[name], "__file__", None) or next(
        iter(getattr(sys.modules[name], "__path__", [])), ""
      )
      if Path(origin).is_relative_to(folder) and not _is_installed(origin):
        del sys.modules[name]


def _is_installed(origin: str) -> bool:
  """Whether it lies in an environment, which may well lie beside the file."""
  return any(origin.startswith(place) for place in sys.path if "site-packages" in place)


def _in_a_line(error: Exception, path: Path) -> str:
  """An exception's kind and first line, and where in the file it was."""
  lines = str(error).strip().splitlines()
  places = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
  where = f" (line {places[-1]})" if places else ""
  return f"{type(error).__name__}: {lines[0] if lines else 'no message'}{where}"


def _hint(error: Exception, module: types.ModuleType) -> str:
  """What was probably meant: Python has such hints in tracebacks only, or in later versions."""
  near = None
  argument = re.match(r"(\w+)\.__init__\(\) got an unexpected keyword argument '(\w+)'$", str(error))
  if isinstance(error, AttributeError) and error.name:
    near = nearest(error.name, [one for one in dir(error.obj) if not one.startswith("_")])
  elif argument and callable(made := getattr(module, argument[1], None)):
    near = nearest(argument[2], inspect.signature(made).parameters)
  return f"; {did_you_mean(near)}".rstrip() if near else ""
