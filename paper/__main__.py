"""`python -m paper RUN [RUN ...] --out FILE.md`: writes what finished runs say of the claims of the paper."""

import dataclasses
from pathlib import Path

from lwlrd_jax.cli import run_command, run_main
from lwlrd_jax.storage import path_of, printable


@dataclasses.dataclass(frozen=True)
class Claims:
  """Writes a Markdown file about finished runs, with a table for each claim, and a folder of its name with figures."""

  runs: tuple[str, ...]
  """One or more run directories, on disk or in a bucket; a study's are the folders in its directory."""

  out: Path = Path("results.md")
  """The file; one that was written here before is replaced."""


def main(arguments: list[str] | None = None) -> int:
  """Writes the file; see `cli.run_command`."""
  return run_command(Claims, arguments, _write, program="python -m paper")


def _write(given: Claims) -> None:
  # Only now wait for pandas.
  from paper.claims import write_claims  # noqa: PLC0415

  print(printable(write_claims([path_of(run) for run in given.runs], given.out)))


if __name__ == "__main__":
  run_main(main)
