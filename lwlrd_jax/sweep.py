"""`python -m lwlrd_jax.sweep`: infect a model, fine-tune it under many schedules, measure what leaks and the cost."""

import os
import sys

from lwlrd_jax import jax_settings, stopping
from lwlrd_jax.cli import failed, parse_configs, run_main
from lwlrd_jax.config import SweepConfig, validate
from lwlrd_jax.errors import EXIT_MISTAKE, EXIT_TEMPORARY, INTERRUPTED, TemporaryFailure, UserError, with_flags
from lwlrd_jax.plan.names import check_names


def main(arguments: list[str] | None = None) -> int:
  """Runs one sweep, or the several of a study.

  Args:
    arguments: The command line's words; those of the process if None.

  Returns:
    The exit code: 0; 2 after a user's mistake; 75 after what may go right when it is started again; 130 after an
    interrupt, 141 once the reader of its output is gone, and 143 after SIGTERM, with unfinished work saved.
  """
  arguments = sys.argv[1:] if arguments is None else arguments
  # Quiet XLA's and absl's start-up lines: they come before ours and tell a user nothing.
  os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
  try:
    configs = parse_configs(SweepConfig, arguments, program="python -m lwlrd_jax.sweep")
    for config in configs.values():
      validate(config)
    if any(config.infection.attack_file is not None for config in configs.values()):
      jax_settings.import_jax()  # whatever the file imports
    for config in configs.values():
      check_names(config)
    jax_settings.import_jax()  # only now wait for it
    from lwlrd_jax.runs.study import run_all  # noqa: PLC0415

    run_all(configs, command=["python", "-m", "lwlrd_jax.sweep", *arguments])
  except UserError as error:
    return failed(error, EXIT_MISTAKE)
  except TemporaryFailure as error:
    return failed(error, EXIT_TEMPORARY)
  except stopping.Stopped as stop:
    print(f"stopped after {stop}, and saved; --resume continues from there", file=sys.stderr)
    return stop.code
  except KeyboardInterrupt:
    print(with_flags(INTERRUPTED), file=sys.stderr)
    return stopping.EXIT_INTERRUPTED
  return 0


def command(arguments: list[str] | None = None) -> int:
  """As `main`, for a process of its own: no figure depends on what a shell sets of JAX."""
  if ignored := jax_settings.pin(os.environ):
    print(f"ignored: {', '.join(ignored)}; a sweep sets what its figures depend on itself", file=sys.stderr)
  return main(arguments)


if __name__ == "__main__":
  run_main(command)
