"""The privacy-utility frontiers of several runs in one plot."""

import itertools

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from lwlrd_jax.analysis.verdict import Verdict, pareto_front
from lwlrd_jax.report.figures import style

ALT = (
  "Scatter plot of AUC against re-identification, a colour a run, with each run's Pareto front; upper left is better."
)
# Beside the colours, for print and for more runs than colours.
_SHAPES = ("o", "^", "s", "D", "v", "P", "X", "*")


def draw(runs: list[tuple[str, Verdict]]) -> Figure | None:
  """Every judged schedule of every run by its worst figures over attacks.

  Args:
    runs: Name and verdict of each.

  Returns:
    None if no schedule was judged.
  """
  runs = [(label, verdict) for label, verdict in runs if verdict.schedules.judged.any()]
  if not runs:
    return None
  figure = style.new_figure(7.6, 5.2)
  axes = figure.subplots()
  style.frontier_axes(axes, min(verdict.floors.chance for _, verdict in runs))
  handles = []
  for (label, verdict), colour, marker in zip(
    runs, itertools.cycle(style.RUN_COLOURS), itertools.cycle(_SHAPES), strict=False
  ):
    _draw_run(axes, verdict, colour, marker)
    handles.append(Line2D([], [], color=colour, marker=marker, lw=1.2, label=label))
  handles.append(Line2D([], [], ls="", marker="o", mfc="none", mec=style.INK, mew=1.4, ms=11, label="best of a run"))
  handles.append(Line2D([], [], color=style.GREY, lw=0.9, ls="--", label="AUC of an untreated model"))
  figure.legend(handles=handles, loc="outside lower center", ncols=min(len(handles), 3))
  return figure


def _draw_run(axes: Axes, verdict: Verdict, colour: str, marker: str) -> None:
  rows = verdict.schedules[verdict.schedules.judged]
  style.front(axes, rows, colour)
  on_front = pareto_front(rows.reid.to_numpy(float), rows.auc.to_numpy(float))
  for (_, row), is_best in zip(rows.iterrows(), on_front, strict=True):
    axes.plot(row.reid, row.auc, marker, color=colour, ms=6, mec="white", mew=0.6, zorder=4, clip_on=False)
    if is_best:
      style.bars(axes, row, colour)
  if verdict.case == "winner" and verdict.chosen is not None:
    style.ring(axes, verdict.chosen)
  untreated = verdict.averaged[(verdict.averaged.defense == "untreated") & (verdict.averaged.status == "ok")].auc
  if np.isfinite(untreated).any():
    axes.axhline(float(untreated.min()), color=colour, lw=0.9, ls="--", alpha=0.7, zorder=1)
