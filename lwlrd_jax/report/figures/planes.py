"""What is left of a bit, by layer and plane."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lwlrd_jax.analysis.verdict import STEPS, TUNING, alike
from lwlrd_jax.report.figures import style
from lwlrd_jax.report.load import Run
from lwlrd_jax.report.naming import short_name

ALT = (
  "Heat maps side by side, rows are layers from input to output, columns the 32 bit planes from the lowest mantissa "
  "bit to the sign; the colour is the share of a bit's capacity that is left, 0 to 1."
)
# Name and first plane; the sign is the last of 32.
_GROUPS = (("mantissa", 0, 23), ("exponent", 23, 31), ("sign", 31, 32))
# Rows of panels: more steps on the weights than this would be a wall.
_MOST_STEPS = 3
# A title, and f[layers, 32].
_Panel = tuple[str, np.ndarray]


def draw(run: Run) -> Figure | None:
  """Heat maps of layers and planes: a column a defence, a row a step on the weights.

  None if no member to show was measured.
  """
  panels = _panels(run)
  if not panels:
    return None
  layers = [str(layer) for layer in run.config["layers"]]
  rows, columns = len(panels), len(panels[0])
  height, every = 0.5 + max(0.17 * len(layers), 0.8), 1 + (len(layers) - 1) // 24
  figure = style.new_figure(1.6 + 3.0 * columns, 0.75 + height * rows)
  grid = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
  for (row, column), axes in np.ndenumerate(grid):
    panel = panels[row][column]
    axes.set_visible(panel is not None)
    if panel is not None:
      title, planes = panel
      mesh = axes.imshow(planes, cmap="cividis", vmin=0, vmax=1, aspect="auto", interpolation="nearest")
      axes.set_title(title, fontsize=8.5)
      axes.spines[:].set_visible(False)
      axes.tick_params(length=0)
      axes.set_xticks([])
      # With many layers every name would touch the next.
      axes.set_yticks(range(0, len(layers), every), layers[::every], fontsize=7)
      for _, start, _ in _GROUPS[1:]:
        axes.axvline(start - 0.5, color="white", lw=2.5)
      if not any(lower[column] for lower in panels[row + 1 :]):
        _name_groups(axes)
  bar = figure.colorbar(mesh, ax=list(grid.flat), fraction=0.03, pad=0.015)
  bar.set_label("left of a bit")
  bar.set_ticks([0, 0.5, 1])
  bar.outline.set_visible(False)
  return figure


def _panels(run: Run) -> list[list[_Panel | None]]:
  """A row a step on the weights, a column a defence; those without any panel are left out."""
  verdict = run.verdict
  ours = verdict.averaged[(verdict.averaged.attack == verdict.main_attack) & (verdict.averaged.status == "ok")]
  leading = verdict.leading_lwlrd()
  vanilla, high = (ours[ours.defense == defense] for defense in ("vanilla", "high_lr"))
  if leading is not None and (high.lr_max == leading.lr_max).any():
    high = high[high.lr_max == leading.lr_max]
  tunings = [rows.iloc[0] for rows in (vanilla, high) if len(rows)] + ([] if leading is None else [leading])
  treated = ours[ours.defense.isin([tuning.defense for tuning in tunings])]
  steps = [row for _, row in treated.drop_duplicates(STEPS)[STEPS].iterrows()]
  steps.sort(key=lambda row: tuple(row != "none"))
  panels = [
    [_panel(run, ours[alike(ours, tuning, TUNING) & alike(ours, step, STEPS)]) for tuning in tunings]
    for step in steps[:_MOST_STEPS]
  ]
  columns = [column for column in zip(*panels, strict=True) if any(column)]
  return [list(row) for row in zip(*columns, strict=True) if any(row)]


def _panel(run: Run, rows: pd.DataFrame) -> _Panel | None:
  """The mean over infections of the first of the rows; None if there is none, or it was not measured."""
  members = rows.members.iloc[0] if len(rows) else ()
  known = [run.survival[member] for member in members if member in run.survival]
  return (short_name(rows.iloc[0], run.verdict.schedules), np.mean(known, axis=0)) if known else None


def _name_groups(axes: Axes) -> None:
  """Names of the groups of planes, with the numbers of their first and last."""
  for name, start, stop in _GROUPS:
    text = f"{name}\n{start}\u2013{stop - 1}" if stop - start > 1 else f"{name}\n{start}"
    place = ((start + stop - 1) / 2, 0)
    look: dict[str, Any] = {"ha": "center", "va": "top", "fontsize": 7, "color": style.INK}
    axes.annotate(text, place, (0, -3), xycoords=axes.get_xaxis_transform(), textcoords="offset points", **look)
