"""The privacy-utility frontiers of several runs in one plot."""

import itertools

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from lwlrd_jax.analysis.verdict import Verdict, pareto_front
from lwlrd_jax.report.figures import style
from lwlrd_jax.report.figures.frontier import draw_front

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
  judged = [(label, verdict, verdict.schedules[verdict.schedules.judged]) for label, verdict in runs]
  judged = [(label, verdict, rows) for label, verdict, rows in judged if len(rows)]
  if not judged:
    return None
  figure = style.new_figure(7.6, 5.2)
  axes = figure.subplots()
  style.reid_axis(axes, "x", min(verdict.floors.chance for _, verdict, _ in judged))
  axes.grid(True)
  axes.set_xlabel("re-identified stolen images (linear up to chance, logarithmic above)")
  axes.set_ylabel("utility: AUC on the test split")
  looks = zip(itertools.cycle(style.RUN_COLOURS), itertools.cycle(_SHAPES), strict=False)
  handles = []
  for (label, verdict, _), (colour, marker) in zip(judged, looks, strict=False):
    _draw_run(axes, verdict, colour, marker)
    handles.append(Line2D([], [], color=colour, marker=marker, lw=1.2, label=label))
  handles.append(
    Line2D([], [], color="white", marker="o", mec=style.INK, mew=1.4, ms=11, mfc="none", ls="", label="best of a run")
  )
  handles.append(Line2D([], [], color=style.GREY, lw=0.9, ls="--", label="AUC of an untreated model"))
  figure.legend(handles=handles, loc="outside lower center", ncols=min(len(handles), 3))
  return figure


def _draw_run(axes: Axes, verdict: Verdict, colour: str, marker: str) -> None:
  rows = verdict.schedules[verdict.schedules.judged]
  draw_front(axes, rows, colour)
  front = pareto_front(rows.reid.to_numpy(float), rows.auc.to_numpy(float))
  for (_, row), on_front in zip(rows.iterrows(), front, strict=True):
    axes.plot(row.reid, row.auc, marker, color=colour, ms=6, mec="white", mew=0.6, zorder=4, clip_on=False)
    if on_front:
      style.bars(axes, row, colour)
  if verdict.case == "winner" and verdict.chosen is not None:
    best = verdict.chosen
    axes.plot(best.reid, best.auc, "o", mfc="none", mec=style.INK, mew=1.4, ms=13, zorder=6, clip_on=False)
  untreated = verdict.averaged[(verdict.averaged.defense == "untreated") & (verdict.averaged.status == "ok")].auc
  if np.isfinite(untreated).any():
    axes.axhline(float(untreated.min()), color=colour, lw=0.9, ls="--", alpha=0.7, zorder=1)
