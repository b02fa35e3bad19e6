"""What is left of a bit, by layer and plane."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lwlrd_jax.analysis.verdict import STEPS, TUNING, Verdict, alike
from lwlrd_jax.report.figures import style
from lwlrd_jax.report.load import Run
from lwlrd_jax.report.naming import short_name

ALT = (
  "Heat maps side by side, rows are layers from input to output, columns the 32 bit planes from the lowest mantissa "
  "bit to the sign; the colour is the share of a bit's capacity that is left, 0 to 1."
)
# Name and first plane; the sign is the last of 32.
_GROUPS = (("mantissa", 0, 23), ("exponent", 23, 31), ("sign", 31, 32))
_COLUMNS = 3
# Rows of panels: more steps on the weights than this would be a wall.
_MOST_STEPS = 3


def draw(run: Run, verdict: Verdict) -> Figure | None:
  """Heat maps of layers and planes: a column a defence, a row a step on the weights.

  Returns:
    None if no member to show was measured.
  """
  panels = _panels(run, verdict)
  if not panels:
    return None
  layers = [str(layer) for layer in run.config["layers"]]
  rows = max(row for row, _, _, _ in panels) + 1
  columns = max(column for _, column, _, _ in panels) + 1
  height = 0.5 + max(0.17 * len(layers), 0.8)
  figure = style.new_figure(1.6 + 3.0 * columns, 0.75 + height * rows)
  grid = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
  for axes in grid.flat:
    axes.set_visible(False)
  mesh = None
  for row, column, title, planes in panels:
    axes = grid[row, column]
    axes.set_visible(True)
    mesh = axes.imshow(planes, cmap="cividis", vmin=0, vmax=1, aspect="auto", interpolation="nearest")
    _frame(axes, layers)
    axes.set_title(title, fontsize=8.5)
    if not any(r > row and c == column for r, c, _, _ in panels):
      _name_groups(axes)
  assert mesh is not None
  bar = figure.colorbar(mesh, ax=list(grid.flat), fraction=0.03, pad=0.015)
  bar.set_label("left of a bit")
  bar.set_ticks([0, 0.5, 1])
  bar.outline.set_visible(False)
  return figure


def _panels(run: Run, verdict: Verdict) -> list[tuple[int, int, str, np.ndarray]]:
  """Row, column, title and f[layers, 32] of each panel; means over infections."""
  ours = verdict.averaged[(verdict.averaged.attack == verdict.main_attack) & (verdict.averaged.status == "ok")]
  leading = verdict.leading_lwlrd()
  tunings = []
  if (ours.defense == "vanilla").any():
    tunings.append(ours[ours.defense == "vanilla"].iloc[0])
  high = ours[ours.defense == "high_lr"]
  if leading is not None:
    same = high[high.lr_max == leading.lr_max]
    high = same if len(same) else high
  tunings += [high.iloc[0]] if len(high) else []
  tunings += [leading] if leading is not None else []
  treated = ours[ours.defense.isin([tuning.defense for tuning in tunings])]
  steps = [row for _, row in treated.drop_duplicates(STEPS)[STEPS].iterrows()]
  steps.sort(key=lambda row: tuple(row != "none"))
  panels = []
  row = 0
  for step in steps[:_MOST_STEPS]:
    found = [_panel(run, verdict, ours[alike(ours, tuning, TUNING) & alike(ours, step, STEPS)]) for tuning in tunings]
    panels += [(row, column, *panel) for column, panel in enumerate(found) if panel is not None]
    row += any(panel is not None for panel in found)
  return panels


def _panel(run: Run, verdict: Verdict, rows: pd.DataFrame) -> tuple[str, np.ndarray] | None:
  if rows.empty:
    return None
  known = [run.survival[member] for member in rows.iloc[0].members if member in run.survival]
  return (short_name(rows.iloc[0], verdict.schedules), np.mean(known, axis=0)) if known else None


def _frame(axes: Axes, layers: list[str]) -> None:
  axes.spines[:].set_visible(False)
  axes.tick_params(length=0)
  # With many layers every name would touch the next.
  step = 1 + (len(layers) - 1) // 24
  axes.set_yticks(range(0, len(layers), step), layers[::step], fontsize=7)
  for _, start, _ in _GROUPS[1:]:
    axes.axvline(start - 0.5, color="white", lw=2.5)
  axes.set_xticks([])


def _name_groups(axes: Axes) -> None:
  """Names of the groups of planes, with the numbers of their first and last."""
  for name, start, stop in _GROUPS:
    text = f"{name}\n{start}\u2013{stop - 1}" if stop - start > 1 else f"{name}\n{start}"
    axes.annotate(
      text,
      ((start + stop - 1) / 2, 0),
      xycoords=axes.get_xaxis_transform(),
      xytext=(0, -3),
      textcoords="offset points",
      ha="center",
      va="top",
      fontsize=7,
      color=style.INK,
      annotation_clip=False,
    )
