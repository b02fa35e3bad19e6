"""`python -m lwlrd_jax.sweep`: infect a model, fine-tune it under many schedules, measure what leaks and the cost."""

import os
import sys

from lwlrd_jax import stopping
from lwlrd_jax.cli import parse_configs
from lwlrd_jax.config import SweepConfig, validate
from lwlrd_jax.errors import INTERRUPTED, UserError


def main(arguments: list[str] | None = None) -> int:
  """Runs one sweep, or the several of a study.

  Args:
    arguments: The command line's words; those of the process if None.

  Returns:
    The exit code: 0; 2 after a user's mistake; 130 after an interrupt; 143 after SIGTERM, once what was under way is
    saved. (A process that the others leave waiting ends with 75, see `processes.join`.)
  """
  arguments = sys.argv[1:] if arguments is None else arguments
  try:
    configs = parse_configs(SweepConfig, arguments, program="python -m lwlrd_jax.sweep")
    for config in configs.values():
      validate(config)
    from lwlrd_jax.runs.study import execute_all  # only now wait for JAX  # noqa: PLC0415

    execute_all(configs, command=["python", "-m", "lwlrd_jax.sweep", *arguments])
  except UserError as error:
    print(f"error: {error}", file=sys.stderr)
    _tell_others(str(error))
    return 2
  except stopping.Stopped as stop:
    print(f"stopped after {stop}, and saved; --resume goes on from there", file=sys.stderr)
    return stop.code
  except KeyboardInterrupt:
    print(INTERRUPTED, file=sys.stderr)
    return stopping.EXIT_INTERRUPTED
  except Exception as error:
    _tell_others(f"{type(error).__name__}: {error}")
    raise
  return 0


def _tell_others(message: str) -> None:
  if "lwlrd_jax.processes" in sys.modules:  # before that there are none
    sys.modules["lwlrd_jax.processes"].fail(message)


if __name__ == "__main__":
  # Quiet XLA's and absl's start-up lines: they come before ours and tell a user nothing.
  os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
  sys.exit(main())
