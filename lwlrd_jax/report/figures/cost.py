"""What a defence costs: utility lost against compute, and which attacks it stops."""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator

from lwlrd_jax.analysis.verdict import BUDGETS
from lwlrd_jax.report.figures import style
from lwlrd_jax.report.formats import size
from lwlrd_jax.report.load import Run
from lwlrd_jax.report.naming import winner

ALT = "Scatter plot of compute against utility lost; filled points stop every attack; upper left is better."
# A colour and a marker for each kind of start (Okabe & Ito 2008).
_LOOKS = {"keep": ("#0072b2", "o"), "shrink": ("#cc79a7", "s"), "distil": ("#e69f00", "^"), "redraw": ("#009e73", "D")}
_NAMES = {
  "keep": "begins from the exported weights",
  "shrink": "from a share of them, under noise",
  "distil": "from a draw, and the model's answers",
  "redraw": "from a draw of the owner's",
}


def draw(run: Run) -> Figure | None:
  """Every judged schedule by its worst figures over attacks; None where compute is not known."""
  verdict = run.verdict
  rows = verdict.schedules[verdict.schedules.judged]
  rows = rows[(rows.compute > 0) & rows.lost.notna()]
  if rows.empty:
    return None
  # One that ruins the model would press all others together: it stands at the lower edge.
  edge = min(1.5 * float(np.clip(rows.lost.quantile(0.8), 0.02, 0.5)), float(rows.lost.max()) + 0.01)
  rows = rows.assign(lost=rows.lost.clip(upper=edge))
  figure, axes = style.one_panel(7.6, 4.6)
  axes.set_xscale("log")
  seen = set()
  for _, row in rows.sort_values("stops", kind="stable").iterrows():
    kind = row.start.split("-")[0]
    colour, marker = _LOOKS[kind]
    fill = colour if row.stops else "white"
    axes.plot(row.compute, row.lost, ls="", marker=marker, ms=7, mfc=fill, mec=colour, mew=1.2, zorder=4, clip_on=False)
    seen.add(kind)
    if kind != "keep":
      axes.annotate(size(row.certified_bytes), (row.compute, row.lost), (6, 4), textcoords="offset points", fontsize=7)
  best = winner(verdict)
  if best is not None:
    axes.plot(best.compute, best.lost, ls="", marker="o", mfc="none", mec=style.INK, mew=1.4, ms=13, zorder=5)
  axes.axhline(0, color=style.GREY, **style.LEVEL, zorder=1)
  for budget in BUDGETS:
    axes.axvline(budget, color=style.PALE, lw=1, zorder=1)
  low, high = min(rows.compute.min(), BUDGETS[0]) / 1.4, max(rows.compute.max(), BUDGETS[-1]) * 1.4
  axes.set_xlim(low, high)
  ticks = [tick for tick in (0.01, 0.03, 0.1, 0.35, 1, 3, 10) if low <= tick <= high]
  axes.set_xticks(ticks)
  axes.xaxis.set_minor_locator(NullLocator())
  axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.4g} %"))
  axes.set_ylim(edge, min(rows.lost.min(), 0) - 0.02)
  axes.set_xlabel("compute: share of the original training")
  axes.set_ylabel(f"utility lost, {verdict.split} split (up is better)")
  axes.grid(True)
  handles = [
    style.entry(_NAMES[kind], ls="", marker=marker, color=colour, ms=7)
    for kind, (colour, marker) in _LOOKS.items()
    if kind in seen
  ]
  handles += [
    style.entry("filled: stops every attack", ls="", marker="o", color=style.GREY, ms=7),
    style.entry("hollow: lets something through", ls="", marker="o", mfc="white", mec=style.GREY, ms=7),
    style.entry("loses nothing", color=style.GREY, **style.LEVEL),
  ]
  if best is not None:
    handles.append(style.entry("wins", ls="", marker="o", mfc="none", mec=style.INK, mew=1.4, ms=11))
  figure.legend(handles=handles, loc="outside lower center", ncols=3)
  return figure
