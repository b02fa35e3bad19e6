"""Every schedule under every attack: what gets through, and the AUC it leaves."""

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import AsinhNorm, LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle

from lwlrd_jax.analysis.verdict import Verdict, number_stopped
from lwlrd_jax.report.figures import style
from lwlrd_jax.report.formats import NAMES, percent
from lwlrd_jax.report.load import Run
from lwlrd_jax.report.naming import short_name

# Of fewer attacks the frontier has a panel each.
_FEWEST_ATTACKS = 3
# Rows that are shown; of more, those that stop most.
_MOST_ROWS = 40
_LEAKS = LinearSegmentedColormap.from_list("leaks", ["#fdeee3", "#f6a470", style.BASELINE, "#7f3700"])
# Re-identification up to which colours are spread evenly; above, by its logarithm.
_EVEN = 0.02
# Of the colour map, from where on black text is hard to read.
_DARK = 0.6


def draw(run: Run, verdict: Verdict) -> Figure | None:
  """Re-identification, a row a schedule and a column an attack, those that stop most on top; beside it, their AUC.

  Returns:
    None if there are fewer than three attacks, or no schedule has figures of all.
  """
  del run
  rows = _rows(verdict)
  if len(verdict.attacks) < _FEWEST_ATTACKS or rows.empty:
    return None
  names = [short_name(row, verdict.schedules) for _, row in rows.iterrows()]
  attacks = verdict.attacks
  # Inches: names, cells, AUC.
  widths = (0.075 * max(map(len, names)), 0.37 * len(attacks), 1.7)
  figure = style.new_figure(max(7.6, sum(widths) + 0.5), 2.0 + 0.235 * (len(rows) + 1))
  cells, utility = figure.subplots(1, 2, sharey=True, width_ratios=widths[1:])
  norm = AsinhNorm(linear_width=_EVEN, vmin=0, vmax=1)
  untreated = [verdict.control("untreated", attack) for attack in attacks]
  for across, attack in enumerate(attacks):
    _cell(cells, across, 0, untreated[across], norm)
    for down, (_, row) in enumerate(rows.iterrows(), start=1):
      _cell(cells, across, down, verdict.under(row, attack), norm)
  _utility(utility, [row.auc for row in untreated if row is not None], 0, style.INK)
  for down, (_, row) in enumerate(rows.iterrows(), start=1):
    colour = style.GREY if row.defense == "lwlrd" else style.BASELINE
    _utility(utility, [verdict.under(row, attack).auc for attack in attacks], down, colour)
  _axes(cells, utility, [NAMES["untreated"], *names], verdict)
  _mark(cells, rows, verdict)
  _keys(figure)
  return figure


def _rows(verdict: Verdict) -> pd.DataFrame:
  """Judged schedules; those that stop most attacks first, of equals those of more utility."""
  rows = verdict.schedules[verdict.schedules.judged]
  rows = rows.assign(stopped=number_stopped(rows, verdict.working_attacks))
  order = ["stopped", verdict.criterion]
  return rows.sort_values(order, ascending=False, kind="stable").head(_MOST_ROWS)


def _cell(axes: Axes, across: int, down: int, row: pd.Series | None, norm: AsinhNorm) -> None:
  if row is None or not np.isfinite(row.reid):
    axes.text(across, down, "?", ha="center", va="center", fontsize=6.5, color=style.GREY)
    return
  level = float(norm(row.reid))
  face = mpl.colors.to_rgba(style.FLOOR, 0.13) if row.stops else _LEAKS(level)
  axes.add_patch(Rectangle((across - 0.5, down - 0.5), 1, 1, facecolor=face, edgecolor="white", lw=0.8))
  ink = "white" if level > _DARK and not row.stops else style.INK
  text = "100" if row.reid == 1 else percent(row.reid)
  axes.text(across, down, text, ha="center", va="center", fontsize=6.5, color=ink)


def _utility(axes: Axes, aucs: list[float], down: int, colour: str) -> None:
  """A dot an attack, and the lowest marked."""
  found = [auc for auc in aucs if np.isfinite(auc)]
  if found:
    axes.plot([min(found), max(found)], [down, down], color=colour, lw=0.8, alpha=0.5, zorder=2)
    axes.plot(found, [down] * len(found), "o", color=colour, ms=3, alpha=0.5, mew=0, zorder=3)
    axes.plot(min(found), down, "|", color=colour, ms=8, mew=1.6, zorder=4)


def _axes(cells: Axes, utility: Axes, names: list[str], verdict: Verdict) -> None:
  attacks = verdict.attacks
  cells.set_xlim(-0.5, len(attacks) - 0.5)
  cells.set_ylim(len(names) - 0.5, -0.5)
  cells.set_xticks(range(len(attacks)), attacks, rotation=40, ha="left", rotation_mode="anchor")
  cells.xaxis.tick_top()
  cells.set_yticks(range(len(names)), names)
  cells.tick_params(length=0)
  cells.set_xlabel("re-identified stolen images, %")
  cells.axhline(0.5, color=style.INK, lw=0.8)
  utility.axhline(0.5, color=style.INK, lw=0.8)
  for axes in (cells, utility):
    for spine in axes.spines.values():
      spine.set_visible(False)
  utility.tick_params(axis="y", length=0)
  utility.grid(True, axis="x")
  utility.set_xlabel("test AUC")
  levels = [row.auc for row in (verdict.control("untreated", attack) for attack in attacks) if row is not None]
  if np.isfinite(levels).any():
    utility.axvline(np.nanmin(levels), color=style.GREY, lw=0.9, ls="--", zorder=1)


def _mark(axes: Axes, rows: pd.DataFrame, verdict: Verdict) -> None:
  """Attacks that do not work at all in grey, the schedule that wins in bold."""
  for label in axes.get_xticklabels():
    if label.get_text() in verdict.failed_attacks:
      label.set_color(style.GREY)
  if verdict.case == "winner" and verdict.chosen is not None:
    for label, members in zip(axes.get_yticklabels()[1:], rows.members, strict=True):
      if set(members) == set(verdict.chosen.members):
        label.set_fontweight("bold")


def _keys(figure: Figure) -> None:
  handles = [
    Patch(facecolor=mpl.colors.to_rgba(style.FLOOR, 0.13), label="stopped"),
    Patch(facecolor=_LEAKS(0.5), label="gets through (the darker, the more)"),
    Line2D([], [], ls="", marker="o", ms=3, color=style.GREY, alpha=0.5, label="AUC under one attack"),
    Line2D([], [], ls="", marker="|", ms=8, mew=1.6, color=style.GREY, label="the lowest"),
    Line2D([], [], color=style.GREY, lw=0.9, ls="--", label="the lowest untreated"),
  ]
  figure.legend(handles=handles, loc="outside lower center", ncols=5, columnspacing=1.2, handletextpad=0.5)


def alt_text(verdict: Verdict) -> str:
  """What the figure shows, in words."""
  rows = _rows(verdict)
  working = len(verdict.working_attacks)
  best = rows.iloc[0]
  return (
    "Table in colour: re-identification, a row a schedule and a column an attack; the schedules' AUC beside it. "
    f"{short_name(best, verdict.schedules)} stops most: {best.stopped} of {working} attacks that work."
  )
