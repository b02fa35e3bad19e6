"""The report of a finished run: one self-contained page, its figures beside it."""

from collections.abc import Iterable
from pathlib import Path

from lwlrd_jax.errors import UserError
from lwlrd_jax.report.load import load
from lwlrd_jax.storage import make_folder, printable, replace_file


def write_report(run_dir: Path) -> Path:
  """Writes report.html and figures/*.png of a run directory, replacing those that are there; returns the page's path.

  Raises:
    UserError: It is no run, or cannot be read or written.
  """
  # Only now wait for what draws: a sweep imports this long before it has anything to show.
  from lwlrd_jax.report.figures import draw_figures  # noqa: PLC0415
  from lwlrd_jax.report.page import render  # noqa: PLC0415

  run = load(run_dir)
  figures = draw_figures(run)
  page = run_dir / "report.html"
  replace_pictures(run_dir / "figures", {f"{figure.name}.png": figure.png for figure in figures})
  replace_file(page, printable(render(run, figures)).encode())
  return page


def replace_pictures(folder: Path, pictures: dict[str, bytes], stale: Iterable[str] | None = None) -> None:
  """Writes PNGs by name into a folder, made for its owner alone; the `stale` ones, by default all that are there, go.

  A picture of an earlier report must not outlive the right to show it.

  Raises:
    UserError: The folder cannot be written.
  """
  try:
    make_folder(folder, exist_ok=True)
    for name in [path.name for path in folder.glob("*.png")] if stale is None else stale:
      if name not in pictures:
        (folder / name).unlink(missing_ok=True)
  except OSError as error:
    raise UserError(f"{folder}: cannot be written ({error.strerror})") from error
  for name, content in pictures.items():
    replace_file(folder / name, content)
