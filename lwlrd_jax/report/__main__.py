"""`python -m lwlrd_jax.report RUN [RUN ...]`: writes the reports of finished runs again."""

import dataclasses
import sys
from pathlib import Path

import tyro

from lwlrd_jax.cli import parse_command_line
from lwlrd_jax.errors import UserError


@dataclasses.dataclass(frozen=True)
class Reports:
  """Writes report.html and figures/ of finished runs again, from their config.json, results.parquet and samples.npz."""

  runs: tyro.conf.Positional[tuple[Path, ...]]
  """Run directories."""


def main(arguments: list[str] | None = None) -> int:
  """Writes reports, one after the other.

  Args:
    arguments: The command line's words; those of the process if None.

  Returns:
    The exit code: 0, or 2 after a user's mistake.
  """
  arguments = sys.argv[1:] if arguments is None else arguments
  try:
    runs = parse_command_line(Reports, arguments, program="python -m lwlrd_jax.report").runs
    if not runs:
      raise UserError("RUN: none given; allowed: one or more run directories")
    from lwlrd_jax.report import write_report  # only now wait for Matplotlib  # noqa: PLC0415

    for run in runs:
      print(write_report(run))
  except UserError as error:
    print(f"error: {error}", file=sys.stderr)
    return 2
  return 0


if __name__ == "__main__":
  sys.exit(main())
