"""Command lines: flags from dataclasses, every mistake as one plain line, and how a process of ours ends."""

import argparse
import ast
import contextlib
import dataclasses
import errno
import functools
import inspect
import itertools
import math
import os
import re
import select
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from lwlrd_jax import __version__
from lwlrd_jax.config.file import load_configs
from lwlrd_jax.config.kinds import Kind, kinds_of
from lwlrd_jax.errors import EXIT_MISTAKE, UserError, did_you_mean, nearest, shown, with_flags
from lwlrd_jax.stopping import EXIT_PIPE
from lwlrd_jax.storage import in_home

T = TypeVar("T")

_NARROWEST = 20  # columns in which words still fit
_SWITCHED = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}


def parse_command_line(kind: type[T], arguments: Sequence[str], *, program: str) -> T:
  """Reads flags into a frozen dataclass; `--help` and `--version` print what they name, and exit.

  A field is a flag; one without a default takes the words that belong to no flag. Fields that are dataclasses
  themselves are groups of flags.

  Args:
    kind: The dataclass.
    arguments: The command line's words.
    program: What the user types before them.

  Raises:
    UserError: A word that is no flag, or a value that is not of the flag's type.
  """
  given = read_flags(kind, arguments)
  answer_questions(kind, given, program=program)
  return with_given(kind, given)


def parse_configs(kind: type[T], arguments: Sequence[str], *, program: str) -> dict[str, T]:
  """As `parse_command_line`, with the flags' defaults from a Python file where `--config FILE` names one.

  Returns:
    Instances by name: those of the file's `CONFIGS`; a single one, or `CONFIG`, has the name "".

  Raises:
    UserError: As `parse_command_line`, or as `load_configs`.
  """
  given = read_flags(kind, arguments)
  file = given.get("config")
  configs = {"": with_given(kind, {})} if file is None else load_configs(file, kind)
  answer_questions(kind, given, program=program, defaults=next(iter(configs.values())))
  return {name: with_given(config, given) for name, config in configs.items()}


def read_flags(kind: type, arguments: Sequence[str]) -> dict[str, Any]:
  """The flags that a command line gives, by the names of fields; errors as `parse_command_line`."""
  flags: dict[str, Kind] = {}
  words: list[str] = []  # the field of those that belong to no flag
  parser = _Parser(add_help=False, allow_abbrev=False)
  for group, _ in _groups(kind):
    for field in dataclasses.fields(group):
      name, one = _flag(field.name), kinds_of(group)[field.name]
      if field.default is dataclasses.MISSING:
        words.append(field.name)
        continue
      flags[name] = one
      options: dict[str, Any] = {"dest": field.name, "default": argparse.SUPPRESS}
      if one.base is bool:
        parser.add_argument(name, action="store_true", **options)
        parser.add_argument(_negated(name), action="store_false", **options)
      else:
        parser.add_argument(name, type=functools.partial(_value, name, one), **options)
  parser.add_argument("--help", "-h", action="store_true", default=argparse.SUPPRESS)
  parser.add_argument("--version", action="store_true", default=argparse.SUPPRESS)
  spelt = [re.sub(r"^--\w[\w-]*", lambda flag: flag[0].replace("_", "-"), word) for word in arguments]
  _check_switches({name for name, one in flags.items() if one.base is bool}, spelt)
  found, rest = parser.parse_known_args(spelt)
  given = vars(found)
  names = [name for flag, one in flags.items() for name in ((flag, _negated(flag)) if one.base is bool else (flag,))]
  for word in rest:
    if not words or word.startswith("-"):
      raise _no_flag(word, [*names, "--help", "--version"])
  if words:
    given[words[0]] = tuple(in_home(word) for word in rest)
  return given


def answer_questions(kind: type, given: dict[str, Any], *, program: str, defaults: Any = None) -> None:
  """Answers `--help` (with the values of `defaults`) and `--version` if `read_flags` found one of them, and exits."""
  if given.pop("help", False):
    print(_help(kind, program, defaults))
    raise SystemExit(0)
  if given.pop("version", False):
    print(f"lwlrd_jax {__version__}")
    raise SystemExit(0)


def with_given(base: Any, given: dict[str, Any]) -> Any:
  """A dataclass of flags, or one of the class's defaults, with the given fields replaced."""
  if isinstance(base, type):
    needed = {field.name for field in dataclasses.fields(base) if field.default is dataclasses.MISSING}
    return with_given(base(**{name: given[name] for name in needed}), given)
  changes = {}
  for field in dataclasses.fields(base):
    value = getattr(base, field.name)
    if dataclasses.is_dataclass(value):
      changes[field.name] = with_given(value, given)
    elif field.name in given:
      changes[field.name] = given[field.name]
  return dataclasses.replace(base, **changes)


def run_command(kind: type[T], arguments: Sequence[str] | None, work: Callable[[T], None], *, program: str) -> int:
  """Reads a command line (that of the process if None) and does the work; returns 0, or 2 after a UserError."""
  try:
    work(parse_command_line(kind, sys.argv[1:] if arguments is None else arguments, program=program))
  except UserError as error:
    return failed(error)
  return 0


def run_main(main: Callable[[], int | None]) -> NoReturn:
  """Ends the process with the exit code of `main` (None is 0): quietly where the reader of its output is gone."""
  # Closed streams: what is opened next would be taken for standard output by whatever library writes there.
  while (lowest := os.open(os.devnull, os.O_RDWR)) <= 2:
    pass
  os.close(lowest)
  for name in ("stdout", "stderr"):
    stream = getattr(sys, name)
    if stream is None:
      setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115  # as long as the process
    else:
      stream.reconfigure(errors="backslashreplace")  # names of files that the locale cannot spell
  try:
    try:
      code: Any = main()
    except SystemExit as stop:
      code = stop.code
    except UserError as error:
      code = failed(error)
    sys.stdout.flush()
  except BrokenPipeError:
    if not _nobody_reads():
      raise
    _discard(1, 2)
    code = EXIT_PIPE
  except OSError as error:
    if error.errno != errno.ENOSPC or error.filename:
      raise
    _discard(1)
    code = failed(f"standard output: cannot be written ({error.strerror})")
  sys.exit(code)


def failed(error: Exception | str, code: int = EXIT_MISTAKE) -> int:
  """Prints a mistake as one line, and returns the exit code."""
  print(f"error: {with_flags(' '.join(str(error).splitlines()))}", file=sys.stderr)
  return code


def _discard(*streams: int) -> None:
  """Discards what is left of streams, or the interpreter would complain that it cannot write it either."""
  null = os.open(os.devnull, os.O_WRONLY)
  for stream in streams:
    os.dup2(null, stream)


def _nobody_reads() -> bool:
  """Whether standard output or standard error is a pipe whose reader went away."""
  poll = select.poll()
  poll.register(1, 0)
  poll.register(2, 0)
  return any(state & select.POLLERR for _, state in poll.poll(0))


class _Parser(argparse.ArgumentParser):
  """Raises what it would print in several lines."""

  def error(self, message: str) -> NoReturn:
    flag, colon, why = message.removeprefix("argument ").partition(": ")
    if colon and why.startswith("expected"):
      raise UserError(f"{flag}: needs a value; allowed: {flag} VALUE (--help lists what is allowed)")
    raise UserError(message.removeprefix("argument "))


def _flag(name: str) -> str:
  return f"--{name.replace('_', '-')}"


def _negated(flag: str) -> str:
  return f"--no-{flag[2:]}"


def _groups(kind: type, instance: Any = None) -> list[tuple[type, Any]]:
  """The dataclasses that hold a dataclass's flags, with an instance of each: its groups, or itself."""
  fields = dataclasses.fields(kind)
  groups = [getattr(kind if instance is None else instance, field.name, None) for field in fields]
  if groups and all(dataclasses.is_dataclass(group) for group in groups):
    return [(type(group), group) for group in groups]
  return [(kind, kind if instance is None else instance)]


def _check_switches(switches: set[str], words: Sequence[str]) -> None:
  """Refuses `--baselines false`, whose right form is another flag."""
  for word, following in itertools.pairwise([*words, ""]):
    name, equals, value = word.partition("=")
    flag = f"--{name[5:]}" if name.startswith("--no-") and name not in switches else name
    value = value if equals else following
    if flag not in switches or not (equals or value.lower() in _SWITCHED):
      continue
    wanted = _SWITCHED.get(value.lower(), True) == (flag == name)
    meant = flag if wanted else _negated(flag)
    raise UserError(f"{name} {shown(value)}: takes no value; did you mean {meant}? allowed: {flag} or {_negated(flag)}")


def _value(flag: str, kind: Kind, text: str) -> Any:
  """What a flag's text means."""
  if kind.optional and text == "None":
    return None
  if kind.base is int or kind.base is float:
    return _number(flag, kind.base, text)
  if kind.base is Path and not text:
    raise UserError(f"{flag} '': empty; allowed: a path")
  return kind.value(flag, text)


def _number(flag: str, base: type, text: str) -> Any:
  try:
    return base(text)
  except ValueError:
    pass
  allowed = "a whole number" if base is int else "a number"
  share = text.strip().endswith("%")
  if share and base is int:
    raise UserError(f"{flag} {shown(text)}: takes a whole number, not a share; allowed: {flag} N, such as {flag} 100")
  meant = None
  with contextlib.suppress(ValueError):
    near = float(text.strip().removesuffix("%").replace(",", "" if base is int else ".")) / (100 if share else 1)
    if math.isfinite(near) and (base is float or near.is_integer()):
      meant = f"{flag} {base(near):g}" if base is float else f"{flag} {base(near)}"
  raise UserError(f"{flag} {shown(text)}: not {allowed}; {did_you_mean(meant)}allowed: {allowed}")


def _no_flag(word: str, names: Sequence[str]) -> UserError:
  name, equals, value = word.partition("=")
  value = shown(value) if equals else ""
  near = nearest(name.lstrip("-\u2010\u2013\u2014"), [name[2:] for name in names])
  what = "there is no such flag" if word.startswith("-") else "belongs to no flag"
  meant = f"--{near}{equals}{value}" if near else None
  return UserError(f"{shown(word)}: {what}; {did_you_mean(meant)}allowed: what --help lists")


def _help(kind: type, program: str, defaults: Any) -> str:
  """All flags, with what their dataclasses say of them."""
  width = max(shutil.get_terminal_size().columns, _NARROWEST) - 1
  parser = argparse.ArgumentParser(
    prog=program,
    usage="%(prog)s [OPTIONS]",
    description=inspect.getdoc(kind),
    add_help=False,
    formatter_class=lambda prog: _Formatter(prog, max_help_position=min(22, width // 3), width=width),
  )
  options = parser.add_argument_group("options")
  options.add_argument("-h", "--help", action="store_true", help="Print this, and end.")
  options.add_argument("--version", action="store_true", help="Print the version, and end.")
  for group, values in _groups(kind, defaults):
    docs = field_docs(group)
    title = (inspect.getdoc(group) or "").splitlines()[0].rstrip(".").lower() if group is not kind else "options"
    section = options if group is kind else parser.add_argument_group(title)
    for field in dataclasses.fields(group):
      one, text = kinds_of(group)[field.name], " ".join(docs[field.name].split()).replace("%", "%%")
      if field.default is dataclasses.MISSING:
        parser.usage = f"%(prog)s [OPTIONS] {field.name.rstrip('s').upper()} ..."
        parser.add_argument(field.name, metavar=field.name.rstrip("s").upper(), nargs="*", help=text)
        continue
      value, name = getattr(values, field.name), _flag(field.name)
      if one.base is bool:
        text += f" (default: {name if value else _negated(name)})"
        section.add_argument(name, _negated(name), action="store_true", help=text)
        continue
      default = "" if value is None else f" (default: {str(value).replace('%', '%%')})"
      section.add_argument(name, metavar=one.metavar, help=text + default)
  return parser.format_help().rstrip()


class _Formatter(argparse.HelpFormatter):
  """Keeps a description's paragraphs."""

  def _fill_text(self, text: str, width: int, indent: str) -> str:
    return "\n\n".join(super(_Formatter, self)._fill_text(part, width, indent) for part in text.split("\n\n"))


def field_docs(group: type) -> dict[str, str]:
  """The docstrings of a dataclass's fields: Python keeps them in the source only."""
  (body,) = (
    node.body
    for node in _source(group.__module__).body
    if isinstance(node, ast.ClassDef) and node.name == group.__name__
  )
  return {
    field.target.id: str(text.value.value)
    for field, text in itertools.pairwise(body)
    if isinstance(field, ast.AnnAssign)
    and isinstance(field.target, ast.Name)
    and isinstance(text, ast.Expr)
    and isinstance(text.value, ast.Constant)
  }


@functools.cache
def _source(module: str) -> ast.Module:
  return ast.parse(inspect.getsource(sys.modules[module]))
