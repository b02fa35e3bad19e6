"""One look for all figures."""

import contextlib
import io
from collections.abc import Iterator
from typing import Any

import matplotlib as mpl
import matplotlib.colors
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from lwlrd_jax.report.formats import rate

DPI = 160
INK, GREY, PALE = "#1f2933", "#66727f", "#d9dee3"
# Baselines stand out from every colour of the decay map, for colour-blind eyes too (Okabe & Ito 2008).
BASELINE, FLOOR = "#d55e00", "#009e73"
MARKERS = {"vanilla": "v", "high_lr": "s", "reversed": "<", "super_ft_long": "P", "super_ft_short": "X"}
CONTROL_MARKERS = {"untreated": "D", "clean": "*"}
LR_MARKERS = ("o", "^", "d", "p", "h", "8")
LR_STYLES = ("-", "--", "-.", ":")
# One colour a learning rate, where decay is on an axis already.
LR_COLOURS = ("#0072b2", "#cc79a7", "#56b4e9", "#7a5195", "#8c6d31", "#444444")

# One colour a run (Okabe & Ito 2008, without yellow).
RUN_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00")

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


@contextlib.contextmanager
def style() -> Iterator[None]:
  """Draws in the report's look; matplotlib's own settings come back afterwards."""
  with mpl.rc_context(_STYLE):
    yield


def new_figure(width: float, height: float) -> Figure:
  """An empty figure, inches, on white."""
  figure = Figure(figsize=(width, height), dpi=DPI, layout="constrained", facecolor="white")
  FigureCanvasAgg(figure)
  return figure


def png(figure: Figure) -> bytes:
  """The figure as PNG, the same bytes for the same data."""
  buffer = io.BytesIO()
  figure.savefig(buffer, format="png", dpi=DPI, metadata={"Software": None})
  return buffer.getvalue()


def decay_colours(decays: list[float]) -> tuple[mpl.colors.Colormap, mpl.colors.Normalize]:
  """A perceptually uniform map over decays; its brightest tenth, unreadable on white, is left out."""
  colours = mpl.colormaps["viridis"](np.linspace(0, 0.9, 256))
  low, high = (min(decays), max(decays)) if decays else (0.0, 1.0)
  if low == high:
    low, high = low - 0.05, high + 0.05
  return mpl.colors.ListedColormap(colours), mpl.colors.Normalize(low, high)


def hex_colour(rgba: Any) -> str:
  """A colour as text."""
  return mpl.colors.to_hex(rgba)


def reid_axis(axes: Axes, which: str, chance: float, top: float = 1.0) -> None:
  """A scale on which 0, chance and 1 can be told apart: linear up to chance, logarithmic above.

  Args:
    axes: Where.
    which: `x` or `y`.
    chance: Re-identification by guessing.
    top: Largest value to show.
  """
  axis = axes.xaxis if which == "x" else axes.yaxis
  scale = axes.set_xscale if which == "x" else axes.set_yscale
  scale("asinh", linear_width=chance)
  ticks = [0.0, *(10.0**k for k in range(-9, 1) if 10.0**k >= 3 * chance)]
  axis.set_major_locator(FixedLocator(ticks))
  axis.set_minor_locator(NullLocator())
  axis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.6g} %"))
  (axes.set_xlim if which == "x" else axes.set_ylim)(-0.5 * chance, top * 1.35)


def bars(axes: Axes, row: pd.Series, colour: Any) -> None:
  """A point's 95 % intervals as a thin cross behind it; nothing where they are not known.

  Args:
    axes: With re-identification across and AUC up.
    row: Of `verdict.average` or `verdict.combine`.
    colour: Of its marker.
  """
  look: dict[str, Any] = {"color": colour, "lw": 1.1, "alpha": 0.4, "zorder": 2.5, "solid_capstyle": "butt"}
  axes.plot([row.reid_low, row.reid_high], [row.auc, row.auc], **look)
  axes.plot([row.reid, row.reid], [row.auc_low, row.auc_high], **look)


def rate_axis(axes: Axes) -> None:
  """Learning rates on a logarithmic y axis."""
  axes.set_yscale("log")
  axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: rate(value)))
  axes.yaxis.set_minor_locator(NullLocator())
