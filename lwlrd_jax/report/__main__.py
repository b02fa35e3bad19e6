"""`python -m lwlrd_jax.report RUN [RUN ...]`: writes the reports of finished runs again, and compares several."""

import dataclasses
from pathlib import Path

from lwlrd_jax.cli import run_command, run_main
from lwlrd_jax.errors import UserError
from lwlrd_jax.storage import path_of, printable


@dataclasses.dataclass(frozen=True)
class Reports:
  """Writes report.html and figures/ of runs again from what is on disk; of two or more also a comparison."""

  runs: tuple[str, ...]
  """One or more run directories, on disk or in a bucket; the first is what the others are compared with."""

  out: Path | None = None
  """File of the comparison, with two or more runs only; default: comparison.html here. A comparison that is there is
  replaced."""


def main(arguments: list[str] | None = None) -> int:
  """Writes reports, one after the other; see `cli.run_command`."""
  return run_command(Reports, arguments, _write, program="python -m lwlrd_jax.report")


def _write(reports: Reports) -> None:
  runs = [path_of(run) for run in reports.runs]
  if not runs:
    raise UserError("RUN: none given; allowed: one or more run directories")
  if reports.out is not None and len(runs) == 1:
    raise UserError(f"--out {reports.out}: only with two or more runs; a run's report is in its own directory")
  # Only now wait for Matplotlib.
  from lwlrd_jax.report import write_report  # noqa: PLC0415
  from lwlrd_jax.report.compare import check, write_comparison  # noqa: PLC0415

  out = reports.out or Path("comparison.html")
  if len(runs) > 1:
    check(runs, out)  # before any report is written
  for run in runs:
    print(printable(write_report(run)))
  if len(runs) > 1:
    print(printable(write_comparison(runs, out)))


if __name__ == "__main__":
  run_main(main)
