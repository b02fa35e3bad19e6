"""The report's figures, in its order."""

import dataclasses

from lwlrd_jax.report.figures import matplotlib_folder  # noqa: F401  # before anything else imports Matplotlib

# isort: split
from lwlrd_jax.analysis.verdict import Verdict
from lwlrd_jax.report.figures import codecs, decay, frontier, planes, rates, reconstructions, style, surviving
from lwlrd_jax.report.load import Run

_FIGURES = {
  "frontier": frontier,
  "reconstructions": reconstructions,
  "decay": decay,
  "rates": rates,
  "surviving": surviving,
  "planes": planes,
  "codecs": codecs,
}


@dataclasses.dataclass(frozen=True)
class Picture:
  """A drawn figure.

  Attributes:
    name: Of its file, without the suffix.
    png: The file.
    alt: What it shows, in words.
  """

  name: str
  png: bytes
  alt: str


def draw_figures(run: Run, verdict: Verdict) -> list[Picture]:
  """Draws every figure the run has data for."""
  pictures = []
  with style.style():
    for name, module in _FIGURES.items():
      figure = module.draw(run, verdict)
      if figure is not None:
        pictures.append(Picture(name, style.png(figure), module.ALT))
  return pictures
