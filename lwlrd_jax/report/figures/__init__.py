"""The report's figures, in its order."""

import base64
from typing import NamedTuple

from lwlrd_jax.report.figures import matplotlib_folder  # noqa: F401  # before anything else imports Matplotlib

# isort: split
from lwlrd_jax.report.figures import codecs, cost, decay, frontier, planes, rates, reconstructions, style, surviving
from lwlrd_jax.report.load import Run

_FIGURES = {
  "frontier": frontier,
  "cost": cost,
  "reconstructions": reconstructions,
  "decay": decay,
  "rates": rates,
  "surviving": surviving,
  "planes": planes,
  "codecs": codecs,
}


class Picture(NamedTuple):
  """A drawn figure: its name, the PNG, and what it shows in words."""

  name: str
  png: bytes
  alt: str

  @property
  def data(self) -> str:
    """The PNG as a page holds it."""
    return base64.b64encode(self.png).decode()


def draw_figures(run: Run) -> list[Picture]:
  """Draws every figure the run has data for."""
  with style.style():
    drawn = {name: module.draw(run) for name, module in _FIGURES.items()}
    return [
      Picture(name, style.png(figure), _FIGURES[name].ALT) for name, figure in drawn.items() if figure is not None
    ]
