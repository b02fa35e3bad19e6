"""`python -m paper RUN [RUN ...] --out FILE.md`: writes what finished runs say of the claims of the paper."""

import dataclasses
import sys
from pathlib import Path

from lwlrd_jax.cli import failed, parse_command_line, run_main
from lwlrd_jax.errors import UserError
from lwlrd_jax.storage import path_of, printable


@dataclasses.dataclass(frozen=True)
class Claims:
  """Writes a Markdown file about finished runs, with a table for each claim, and a folder of its name with figures."""

  runs: tuple[str, ...]
  """One or more run directories, on disk or in a bucket; a study's are the folders in its directory."""

  out: Path = Path("results.md")
  """The file; one that was written here before is replaced."""


def main(arguments: list[str] | None = None) -> int:
  """Writes the file.

  Args:
    arguments: The command line's words; those of the process if None.

  Returns:
    The exit code: 0, or 2 after a user's mistake.
  """
  arguments = sys.argv[1:] if arguments is None else arguments
  try:
    given = parse_command_line(Claims, arguments, program="python -m paper")
    # Only now wait for pandas.
    from paper.claims import write_claims  # noqa: PLC0415

    print(printable(write_claims([path_of(run) for run in given.runs], given.out)))
  except UserError as error:
    return failed(error)
  return 0


if __name__ == "__main__":
  run_main(main)
