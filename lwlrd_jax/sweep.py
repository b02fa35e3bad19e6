"""`python -m lwlrd_jax.sweep`: infect a model, fine-tune it under many schedules, measure what leaks and the cost."""

import os
import sys

from lwlrd_jax.cli import parse_configs
from lwlrd_jax.config import SweepConfig, validate
from lwlrd_jax.errors import INTERRUPTED, UserError


def main(arguments: list[str] | None = None) -> int:
  """Runs one sweep, or the several of a study.

  Args:
    arguments: The command line's words; those of the process if None.

  Returns:
    The exit code: 0, or 2 after a user's mistake, or 130 after an interrupt.
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
    return 2
  except KeyboardInterrupt:
    print(INTERRUPTED, file=sys.stderr)
    return 130
  return 0


if __name__ == "__main__":
  # Quiet XLA's and absl's start-up lines: they come before ours and tell a user nothing.
  os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
  sys.exit(main())
