"""Leakage and utility against LWLRD's decay."""

import itertools
import math
from typing import Any, NamedTuple

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from lwlrd_jax.analysis.verdict import DECAYING, STEPS, TUNING, Verdict, alike
from lwlrd_jax.report.figures import style
from lwlrd_jax.report.figures.labels import right_labels
from lwlrd_jax.report.formats import NAMES, rate
from lwlrd_jax.report.load import Run
from lwlrd_jax.report.naming import detail, steps, with_steps

_PANELS = (("reid", "re-identified"), ("ssim", "SSIM"), ("auc", "AUC"))
_DETAILS = tuple(name for name in (*TUNING, *STEPS) if name not in {"defense", "decay", "lr_max"})
_MOST_ATTACKS = 2
_REFERENCES = {"untreated": style.INK, "clean": style.GREY, "vanilla": style.BASELINE}


class _Curve(NamedTuple):
  """One line: schedules that differ in nothing but decay."""

  name: str
  colour: str
  filled: bool
  means: pd.DataFrame
  singles: pd.DataFrame
  high_lr: pd.DataFrame


def draw(run: Run, verdict: Verdict) -> Figure | None:
  """Stacked panels sharing decay, a column an attack.

  Returns:
    None without a LWLRD member that has any of the figures.
  """
  rows = verdict.averaged
  lwlrd = rows[(rows.defense == "lwlrd") & rows.decay.notna() & rows[["reid", "ssim", "auc"]].notna().any(axis=1)]
  if lwlrd.empty:
    return None
  # A column for each of many attacks would be unreadable; utility hardly depends on the attack.
  attacks = list(dict.fromkeys(lwlrd.attack))
  attacks = attacks if len(attacks) <= _MOST_ATTACKS else list(dict.fromkeys([attacks[0], verdict.main_attack]))
  lwlrd = lwlrd[lwlrd.attack.isin(attacks)]
  figure = style.new_figure(7.6 if len(attacks) == 1 else 5.6 * len(attacks), 8.2)
  grid = figure.subplots(len(_PANELS), len(attacks), sharex=True, sharey="row", squeeze=False)
  named = []
  curves: dict[str, _Curve] = {}
  keys = ["lr_max", *(key for key in _DETAILS if lwlrd[key].nunique() > 1)]
  # Over all attacks: one of them may lack a curve, and the legend is common.
  colours = dict(zip(_names(lwlrd, keys), itertools.cycle(style.LR_COLOURS), strict=False))
  for column, attack in enumerate(attacks):
    ours, members, same = (table[table.attack == attack] for table in (lwlrd, run.table, rows))
    drawn = _curves(ours, members, same, keys, colours)
    curves |= {curve.name: curve for curve in drawn}
    references = rows[rows.attack.isin([attack, "none"])]
    for axes, (name, title) in zip(grid[:, column], _PANELS, strict=True):
      named.append((axes, _panel(axes, name, title, drawn, references, verdict, attack)))
    grid[0, column].set_title(f"{attack} attack" if len(attacks) > 1 else "")
    grid[-1, column].set_xlabel("decay: learning-rate factor from one layer to the next")
    decays = sorted(lwlrd.decay.unique())
    if len(decays) <= 10:
      grid[-1, column].set_xticks(sorted({*decays, 1.0}), [rate(decay) for decay in sorted({*decays, 1.0})])
    low = decays[0]
    grid[-1, column].set_xlim(low - 0.04 * (1.02 - low) - 0.005, 1.02)
  handles = [
    Line2D(
      [], [], color=curve.colour, ls="-" if curve.filled else "--", marker="o", mfc=_face(curve), ms=4, label=curve.name
    )
    for curve in _in_order(curves, colours)
  ]
  handles += [
    Line2D([], [], color=style.GREY, ls=":", marker=".", label="naive SSIM"),
    Line2D([], [], color=style.GREY, ls="", marker="s", ms=5, label="high-LR, same lr_max"),
  ]
  figure.legend(handles=handles, loc="outside lower center", ncols=min(len(handles), 4 if len(attacks) > 1 else 3))
  for axes, labels in named:
    right_labels(axes, labels)
  return figure


def _face(curve: _Curve) -> str:
  """Hollow markers after steps on the weights: apart without colour too."""
  return curve.colour if curve.filled else "white"


def _name(row: pd.Series, keys: list[str]) -> str:
  details = [rate(row.lr_max), *(detail(key, row[key]) for key in keys if key not in {"lr_max", *STEPS})]
  # Callers leave a step out of the keys where all curves have the same.
  before, after = (steps(row[key]) if key in keys else [] for key in STEPS)
  return " + ".join([*before, f"LWLRD, lr_max {', '.join(details)}", *after])


def _names(lwlrd: pd.DataFrame, keys: list[str]) -> list[str]:
  return list(dict.fromkeys(_name(group.iloc[0], keys) for _, group in lwlrd.groupby(keys, dropna=False)))


def _in_order(curves: dict[str, _Curve], colours: dict[str, str]) -> list[_Curve]:
  return [curves[name] for name in colours if name in curves]


def _curves(
  lwlrd: pd.DataFrame, members: pd.DataFrame, rows: pd.DataFrame, keys: list[str], colours: dict[str, str]
) -> list[_Curve]:
  """Lines of one attack by lr_max, and by whatever else differs."""
  curves: list[_Curve] = []
  for _, group in lwlrd.groupby(keys, dropna=False):
    names = {name for members_of in group.members for name in members_of}
    several = group.seeds.max() > 1
    singles = members[members.member.isin(names) & (members.status == "ok")] if several else members.iloc[:0]
    same = [key for key in keys if key not in DECAYING]
    same_rate = (rows.defense == "high_lr") & alike(rows, group.iloc[0], same)
    # Curves that differ in nothing high-LR has share one: it is drawn with the first.
    same_rate &= ~rows.index.isin([index for curve in curves for index in curve.high_lr.index])
    name = _name(group.iloc[0], keys)
    filled = bool((group[STEPS] == "none").all(axis=None))
    curves.append(_Curve(name, colours[name], filled, group.sort_values("decay"), singles, rows[same_rate]))
  return curves


def _panel(
  axes: Axes, name: str, title: str, curves: list[_Curve], references: pd.DataFrame, verdict: Verdict, attack: str
) -> list[tuple[float, str, str]]:
  """Draws one figure against decay; returns labels for the right edge."""
  axes.grid(True)
  axes.set_ylabel(title)
  labels = []
  for defense, colour in _REFERENCES.items():
    for _, row in references[(references.defense == defense) & references[name].notna()].iterrows():
      axes.axhline(row[name], color=colour, lw=0.9, ls="--", zorder=1)
      label = NAMES[defense].removesuffix(" fine-tuning")
      labels.append((row[name], with_steps(label, row, references), colour))
  for curve in curves:
    look: dict[str, Any] = {
      "color": curve.colour,
      "mfc": _face(curve),
      "ms": 4.5,
      "lw": 1.6,
      "zorder": 4,
      "clip_on": False,
    }
    low, high = curve.means[f"{name}_low"], curve.means[f"{name}_high"]
    axes.fill_between(curve.means.decay, low, high, color=curve.colour, alpha=0.13, lw=0, zorder=1.5)
    # Broken where it lies on the line of the same schedules without steps: both are seen.
    axes.plot(curve.means.decay, curve.means[name], "o-" if curve.filled else "o--", **look)
    axes.plot(curve.singles.decay, curve.singles[name], ".", color=curve.colour, alpha=0.4, ms=4, zorder=3)
    if name == "ssim":
      axes.plot(curve.means.decay, curve.means.ssim_naive, ".:", color=curve.colour, lw=1.2, ms=4, zorder=3)
    for _, high_lr in curve.high_lr[curve.high_lr[name].notna()].iterrows():
      level = high_lr[name]
      axes.axhline(level, color=curve.colour, lw=0.8, ls=(0, (1, 2)), zorder=1)
      axes.plot(1, level, "s", color=curve.colour, mfc=_face(curve), ms=6, zorder=5, clip_on=False)
      of_several = f" {rate(high_lr.lr_max)}" if len({c.means.lr_max.iloc[0] for c in curves}) > 1 else ""
      labels.append((level, with_steps(f"high-LR{of_several}", high_lr, references), curve.colour))
  floors = verdict.floors
  if name == "reid":
    style.reid_axis(axes, "y", floors.chance)
    axes.axhspan(-floors.chance, floors.limit(attack), color=style.FLOOR, alpha=0.07, lw=0, zorder=0)
    axes.axhline(floors.chance, color=style.FLOOR, lw=1, ls=":", zorder=1)
    labels.append((floors.chance, "chance", style.FLOOR))
  elif name == "ssim" and math.isfinite(floors.ssim):
    axes.axhline(floors.ssim, color=style.FLOOR, lw=1, ls=":", zorder=1)
    labels.append((floors.ssim, "mean image", style.FLOOR))
  return labels


def alt_text(verdict: Verdict) -> str:
  """What the figure shows, in words."""
  del verdict
  return (
    "Three stacked line plots against decay: re-identification, SSIM and AUC, with the controls as horizontal lines."
  )
