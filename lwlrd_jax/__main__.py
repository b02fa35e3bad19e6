"""`python -m lwlrd_jax COMMAND`: every command line of the package under one name."""

import importlib
import sys

from lwlrd_jax import __version__
from lwlrd_jax.cli import failed, run_main
from lwlrd_jax.errors import not_known

_COMMANDS = {"sweep": ("lwlrd_jax.sweep", "command"), "report": ("lwlrd_jax.report.__main__", "main")}
_HELP = """\
usage: python -m lwlrd_jax COMMAND [OPTIONS]

commands:
  sweep      infect a model, fine-tune it under many schedules, measure what still leaks
  report     write the reports of finished runs again, and compare several

options:
  -h, --help  Print this, and end; after a command, its own.
  --version   Print the version, and end."""


def main(arguments: list[str] | None = None) -> int:
  """Hands a command's words over to it.

  Args:
    arguments: The command line's words; those of the process if None.

  Returns:
    The command's exit code; 2 after a word that is no command.
  """
  command, *words = (sys.argv[1:] if arguments is None else arguments) or ["--help"]
  if command in ("-h", "--help"):
    print(_HELP)
  elif command == "--version":
    print(f"lwlrd_jax {__version__}")
  elif command in _COMMANDS:
    module, function = _COMMANDS[command]
    return getattr(importlib.import_module(module), function)(words)
  else:
    return failed(not_known("python -m lwlrd_jax", command, (*_COMMANDS, "--help", "--version")))
  return 0


if __name__ == "__main__":
  run_main(main)
