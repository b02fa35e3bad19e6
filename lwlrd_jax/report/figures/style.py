"""One look for all figures."""

import io
from contextlib import AbstractContextManager
from typing import Any

import matplotlib as mpl
import matplotlib.colors
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from lwlrd_jax.report.formats import rate

DPI = 160
INK, GREY, PALE = "#1f2933", "#66727f", "#d9dee3"
# Baselines stand out from every colour of the decay map, for colour-blind eyes too (Okabe & Ito 2008).
BASELINE, FLOOR = "#d55e00", "#009e73"
MARKERS = {"vanilla": "v", "high_lr": "s", "reversed": "<", "super_ft_long": "P", "super_ft_short": "X", "retrain": "H"}
CONTROL_MARKERS = {"untreated": "D", "clean": "*"}
LR_MARKERS = ("o", "^", "d", "p", "h", "8")
LR_STYLES = ("-", "--", "-.", ":")
# One colour a learning rate, where decay is on an axis already.
LR_COLOURS = ("#0072b2", "#cc79a7", "#56b4e9", "#7a5195", "#8c6d31", "#444444")
# How levels are drawn that figures are compared with.
LEVEL: dict[str, Any] = {"lw": 0.9, "ls": "--"}

_STYLE: dict[Any, Any] = {
  "font.family": "sans-serif",
  "font.sans-serif": ["DejaVu Sans"],
  "font.size": 9,
  "axes.edgecolor": GREY,
  "axes.labelcolor": INK,
  "axes.titlesize": 10,
  "axes.titleweight": "bold",
  "axes.titlelocation": "left",
  "axes.spines.top": False,
  "axes.spines.right": False,
  "axes.linewidth": 0.8,
  "axes.axisbelow": True,
  "text.color": INK,
  "text.parse_math": False,  # a dollar sign in a name is a dollar sign
  "xtick.color": GREY,
  "ytick.color": GREY,
  "xtick.labelcolor": INK,
  "ytick.labelcolor": INK,
  "grid.color": "#e8ecef",
  "grid.linewidth": 0.7,
  "legend.frameon": False,
  "legend.fontsize": 8,
}


def style() -> AbstractContextManager[None]:
  """Draws in the report's look; matplotlib's own settings come back afterwards."""
  return mpl.rc_context(_STYLE)


def new_figure(width: float, height: float) -> Figure:
  """An empty figure, inches, on white."""
  return Figure(figsize=(width, height), dpi=DPI, layout="constrained", facecolor="white")


def one_panel(width: float, height: float) -> tuple[Figure, Axes]:
  """A figure of one panel."""
  figure = new_figure(width, height)
  return figure, figure.subplots()


def entry(label: str, **look: Any) -> Line2D:
  """An entry of a legend."""
  return Line2D([], [], label=label, **look)


def png(figure: Figure) -> bytes:
  """The figure as PNG, the same bytes for the same data."""
  buffer = io.BytesIO()
  figure.savefig(buffer, format="png", dpi=DPI, metadata={"Software": None})
  return buffer.getvalue()


def decay_colours(decays: list[float]) -> ScalarMappable:
  """A perceptually uniform map over decays, in their order; its brightest tenth, unreadable on white, is left out."""
  colours = mpl.colormaps["viridis"](np.linspace(0, 0.9, 256))
  low, high = (decays[0], decays[-1]) if decays else (0.0, 1.0)
  if low == high:
    low, high = low - 0.05, high + 0.05
  return ScalarMappable(mpl.colors.Normalize(low, high), mpl.colors.ListedColormap(colours))


def decay_bar(figure: Figure, panels: list[Axes], decays: list[float]) -> None:
  """The colours of decays, in their order, beside the panels."""
  bar = figure.colorbar(decay_colours(decays), ax=panels, shrink=0.6, aspect=28, pad=0.02)
  bar.set_label("LWLRD: decay from one layer to the next")
  bar.set_ticks(decays if len(decays) <= 10 else [decays[0], decays[len(decays) // 2], decays[-1]])
  bar.ax.set_yticklabels([rate(tick) for tick in bar.get_ticks()])
  bar.outline.set_visible(False)
