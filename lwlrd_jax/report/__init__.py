"""The report of a finished run: one self-contained page, its figures beside it."""

from pathlib import Path

from lwlrd_jax.analysis.verdict import judge
from lwlrd_jax.report.files import replace_folder
from lwlrd_jax.report.load import load
from lwlrd_jax.storage import printable, replace_file


def write_report(run_dir: Path) -> Path:
  """Writes report.html and figures/*.png of a run, replacing those that are there.

  Args:
    run_dir: A run directory with config.json and results.parquet.

  Returns:
    The path of report.html.

  Raises:
    UserError: It is no run, or cannot be read or written.
  """
  # Only now wait for what draws: a sweep imports this long before it has anything to show.
  from lwlrd_jax.report.figures import draw_figures  # noqa: PLC0415
  from lwlrd_jax.report.page import render  # noqa: PLC0415

  run = load(run_dir)
  verdict = judge(run.table, chance=run.chance, stolen=run.stolen, outcomes=run.outcomes)
  figures = draw_figures(run, verdict)
  page = run_dir / "report.html"
  replace_folder(run_dir / "figures", {f"{figure.name}.png": figure.png for figure in figures})
  replace_file(page, printable(render(run, verdict, figures)).encode())
  return page
