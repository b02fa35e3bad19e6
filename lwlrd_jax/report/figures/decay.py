"""Leakage and utility against LWLRD's decay."""

import itertools
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from lwlrd_jax.analysis.verdict import STEPS, TUNING, Verdict
from lwlrd_jax.report.figures import style
from lwlrd_jax.report.formats import NAMES, rate
from lwlrd_jax.report.load import Run
from lwlrd_jax.report.naming import detail, steps

ALT = "Line plots of re-identification, SSIM and AUC against the decay, a line a learning rate."
_PANELS = (("reid", "re-identified"), ("ssim", "SSIM"), ("auc", "AUC"))
_MOST_ATTACKS = 2
_REFERENCES = {"untreated": style.INK, "clean": style.GREY, "vanilla": style.BASELINE, "high_lr": style.FLOOR}


def draw(run: Run, verdict: Verdict) -> Figure | None:
  """Stacked panels sharing decay, a column an attack.

  Returns:
    None without a LWLRD member that has any of the figures.
  """
  del run
  rows = verdict.averaged
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
    for axes, (figure_name, title) in zip(grid[:, column], _PANELS, strict=True):
      curves = {name: lwlrd[ours & (names == name)].sort_values("decay") for name in looks}
      _panel(axes, figure_name, curves, looks, references)
      axes.set_ylabel(title)
    grid[0, column].set_title(f"{attack} attack" if len(attacks) > 1 else "")
    grid[-1, column].set_xlabel("decay: learning-rate factor from one layer to the next")
  decays = sorted({*lwlrd.decay, 1.0})
  if len(decays) <= 11:
    grid[-1, 0].set_xticks(decays, [rate(decay) for decay in decays])
  grid[-1, 0].set_xlim(decays[0] - 0.04 * (1.02 - decays[0]) - 0.005, 1.02)
  handles = [Line2D([], [], label=name, **look) for name, look in looks.items()]
  handles.append(Line2D([], [], color=style.GREY, ls=":", marker=".", label="naive SSIM"))
  for defense, colour in _REFERENCES.items():
    if (rows.defense == defense).any():
      handles.append(Line2D([], [], color=colour, lw=0.9, ls="--", label=NAMES[defense].removesuffix(" fine-tuning")))
  figure.legend(handles=handles, loc="outside lower center", ncols=4)
  return figure


def _name(row: pd.Series, keys: list[str]) -> str:
  details = [rate(row.lr_max), *(detail(key, row[key]) for key in keys if key not in {"lr_max", *STEPS})]
  before, after = (steps(row[key]) if key in keys else [] for key in STEPS)
  return " + ".join([*before, f"LWLRD, lr_max {', '.join(details)}", *after])


def _look(curve: pd.DataFrame, colour: str) -> dict[str, Any]:
  """Hollow markers and broken lines with finishers: apart without colour too, and seen where two lines coincide."""
  filled = bool((curve[STEPS] == "none").all(axis=None))
  return {
    "color": colour,
    "mfc": colour if filled else "white",
    "ls": "-" if filled else "--",
    "marker": "o",
    "ms": 4.5,
  }


def _panel(
  axes: Axes, name: str, curves: dict[str, pd.DataFrame], looks: dict[str, dict[str, Any]], references: pd.DataFrame
) -> None:
  """Draws one figure against decay."""
  axes.grid(True)
  for defense, colour in _REFERENCES.items():
    for level in references[references.defense == defense][name].dropna():
      axes.axhline(level, color=colour, lw=0.9, ls="--", zorder=1)
  for label, curve in curves.items():
    look = looks[label]
    axes.fill_between(curve.decay, curve[f"{name}_low"], curve[f"{name}_high"], color=look["color"], alpha=0.13, lw=0)
    axes.plot(curve.decay, curve[name], lw=1.6, zorder=4, clip_on=False, **look)
    if name == "ssim":
      axes.plot(curve.decay, curve.ssim_naive, ".:", color=look["color"], lw=1.2, ms=4, zorder=3)
