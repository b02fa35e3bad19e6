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
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from lwlrd_jax.analysis.verdict import pareto_front
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


def decay_bar(figure: Figure, panels: list[Axes], decays: list[float]) -> None:
  """The colours of decays, beside the panels."""
  colours, scale = decay_colours(decays)
  bar = figure.colorbar(ScalarMappable(scale, colours), ax=panels, shrink=0.6, aspect=28, pad=0.02)
  bar.set_label("LWLRD: decay from one layer to the next")
  bar.set_ticks(decays if len(decays) <= 10 else [decays[0], decays[len(decays) // 2], decays[-1]])
  bar.ax.set_yticklabels([rate(tick) for tick in bar.get_ticks()])
  bar.outline.set_visible(False)


def frontier_axes(axes: Axes, chance: float) -> None:
  """Re-identification across, AUC up. On the first, 0, chance and 1 can be told apart.

  Args:
    axes: Where.
    chance: Re-identification by guessing: the scale is linear up to it, and logarithmic above.
  """
  axes.set_xscale("asinh", linear_width=chance)
  axes.xaxis.set_major_locator(FixedLocator([0.0, *(10.0**k for k in range(-9, 1) if 10.0**k >= 3 * chance)]))
  axes.xaxis.set_minor_locator(NullLocator())
  axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.6g} %"))
  axes.set_xlim(-0.5 * chance, 1.35)
  axes.grid(True)
  axes.set_xlabel("re-identified stolen images (linear up to chance, logarithmic above)")
  axes.set_ylabel("utility: AUC on the test split")


def front(axes: Axes, defences: pd.DataFrame, colour: str = INK) -> None:
  """Steps through the points that no other beats.

  Args:
    axes: With re-identification across and AUC up.
    defences: Rows with both.
    colour: Of the line.
  """
  best = defences[pareto_front(defences.reid.to_numpy(float), defences.auc.to_numpy(float))].sort_values("reid")
  if len(best):
    reid, auc = np.append(best.reid, 1.0), np.append(best.auc, best.auc.iloc[-1])
    axes.step(reid, auc, where="post", color=colour, lw=1.1, alpha=0.75, zorder=2)


def ring(axes: Axes, row: pd.Series) -> None:
  """Marks the schedule that wins."""
  axes.plot(row.reid, row.auc, "o", mfc="none", mec=INK, mew=1.4, ms=13, zorder=6, clip_on=False)


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
