"""Leakage and utility against LWLRD's decay."""

import itertools
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lwlrd_jax.analysis.verdict import STEPS, TUNING
from lwlrd_jax.report.figures import style
from lwlrd_jax.report.formats import rate
from lwlrd_jax.report.load import Run
from lwlrd_jax.report.naming import base_name, detail, steps

ALT = "Line plots of re-identification, SSIM and AUC against the decay, a line a learning rate."
_PANELS = (("reid", "re-identified"), ("ssim", "SSIM"), ("auc", "AUC"))
_MOST_ATTACKS = 2
_REFERENCES = {"untreated": style.INK, "clean": style.GREY, "vanilla": style.BASELINE, "high_lr": style.FLOOR}


def draw(run: Run) -> Figure | None:
  """Stacked panels sharing decay, a column an attack; None without a LWLRD member that has any of the figures."""
  verdict, rows = run.verdict, run.verdict.averaged
  figures = [name for name, _ in _PANELS]
  lwlrd = rows[(rows.defense == "lwlrd") & rows.decay.notna() & rows[figures].notna().any(axis=1)]
  if lwlrd.empty:
    return None
  # A column for each of many attacks would be unreadable; utility hardly depends on the attack.
  attacks = list(dict.fromkeys(lwlrd.attack))
  attacks = attacks if len(attacks) <= _MOST_ATTACKS else list(dict.fromkeys([attacks[0], verdict.main_attack]))
  lwlrd = lwlrd[lwlrd.attack.isin(attacks)]
  # Curves: schedules that differ in nothing but decay.
  keys = [key for key in (*TUNING, *STEPS) if key not in {"defense", "decay"} and lwlrd[key].nunique() > 1]
  names = lwlrd.apply(lambda row: _name(row, keys), axis=1)
  looks = {
    name: _look(lwlrd[names == name], colour)
    for name, colour in zip(dict.fromkeys(names), itertools.cycle(style.LR_COLOURS), strict=False)
  }
  figure = style.new_figure(7.6 if len(attacks) == 1 else 5.6 * len(attacks), 8.2)
  grid = figure.subplots(len(_PANELS), len(attacks), sharex=True, sharey="row", squeeze=False)
  for column, attack in enumerate(attacks):
    references = rows[rows.attack.isin([attack, "none"]) & (rows[STEPS] == "none").all(axis=1)]
    ours = lwlrd.attack == attack
    curves = [(lwlrd[ours & (names == name)].sort_values("decay"), look) for name, look in looks.items()]
    for axes, (figure_name, title) in zip(grid[:, column], _PANELS, strict=True):
      _panel(axes, figure_name, curves, references)
      axes.set_ylabel(title)
    grid[0, column].set_title(f"{attack} attack" if len(attacks) > 1 else "")
    grid[-1, column].set_xlabel("decay: learning-rate factor from one layer to the next")
  decays = sorted({*lwlrd.decay, 1.0})
  if len(decays) <= 11:
    grid[-1, 0].set_xticks(decays, [rate(decay) for decay in decays])
  grid[-1, 0].set_xlim(decays[0] - 0.04 * (1.02 - decays[0]) - 0.005, 1.02)
  handles = [style.entry(name, **look) for name, look in looks.items()]
  handles.append(style.entry("naive SSIM", color=style.GREY, ls=":", marker="."))
  for defense, colour in _REFERENCES.items():
    if (rows.defense == defense).any():
      handles.append(style.entry(base_name(defense), color=colour, **style.LEVEL))
  figure.legend(handles=handles, loc="outside lower center", ncols=4)
  return figure


def _name(row: pd.Series, keys: list[str]) -> str:
  details = [rate(row.lr_max), *(detail(key, row[key]) for key in keys if key not in {"lr_max", *STEPS})]
  before, after = (steps(row[key]) if key in keys else [] for key in STEPS)
  return " + ".join([*before, f"LWLRD, lr_max {', '.join(details)}", *after])


def _look(curve: pd.DataFrame, colour: str) -> dict[str, Any]:
  """Hollow markers and broken lines with finishers: apart without colour too, and seen where two lines coincide."""
  filled = bool((curve[STEPS] == "none").all(axis=None))
  fill, line = (colour, "-") if filled else ("white", "--")
  return {"color": colour, "mfc": fill, "ls": line, "marker": "o", "ms": 4.5}


def _panel(axes: Axes, name: str, curves: list[tuple[pd.DataFrame, dict[str, Any]]], references: pd.DataFrame) -> None:
  """Draws one figure against decay."""
  axes.grid(True)
  for defense, colour in _REFERENCES.items():
    for level in references[references.defense == defense][name].dropna():
      axes.axhline(level, color=colour, **style.LEVEL, zorder=1)
  for curve, look in curves:
    axes.fill_between(curve.decay, curve[f"{name}_low"], curve[f"{name}_high"], color=look["color"], alpha=0.13, lw=0)
    axes.plot(curve.decay, curve[name], lw=1.6, zorder=4, clip_on=False, **look)
    if name == "ssim":
      axes.plot(curve.decay, curve.ssim_naive, ".:", color=look["color"], lw=1.2, ms=4, zorder=3)
