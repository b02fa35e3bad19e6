"""Leakage and utility against LWLRD's decay."""

import itertools
import math
from typing import NamedTuple

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from lwlrd_jax.report.figures import style
from lwlrd_jax.report.figures.labels import right_labels
from lwlrd_jax.report.formats import NAMES, rate
from lwlrd_jax.report.load import Run
from lwlrd_jax.report.summary import Verdict, alike

_PANELS = (("reid", "re-identified"), ("ssim", "SSIM"), ("auc", "AUC"))
_DETAILS = ("epochs", "shape", "optimizer", "batch_size", "finish")
_REFERENCES = {"untreated": style.INK, "clean": style.GREY, "vanilla": style.BASELINE}


class _Curve(NamedTuple):
  """One line: schedules that differ in nothing but decay."""

  name: str
  colour: str
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
  attacks = list(dict.fromkeys(lwlrd.attack))
  if not attacks:
    return None
  figure = style.new_figure(7.6 if len(attacks) == 1 else 5.6 * len(attacks), 8.2)
  grid = figure.subplots(len(_PANELS), len(attacks), sharex=True, squeeze=False)
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
      named.append((axes, _panel(axes, name, title, drawn, references, verdict)))
    grid[0, column].set_title(f"{attack} attack" if len(attacks) > 1 else "")
    grid[-1, column].set_xlabel("decay: learning-rate factor from one layer to the next")
    decays = sorted(lwlrd.decay.unique())
    if len(decays) <= 10:
      grid[-1, column].set_xticks(sorted({*decays, 1.0}), [rate(decay) for decay in sorted({*decays, 1.0})])
    low = decays[0]
    grid[-1, column].set_xlim(low - 0.04 * (1.02 - low) - 0.005, 1.02)
  handles = [
    Line2D([], [], color=curve.colour, marker="o", ms=4, label=curve.name) for curve in _in_order(curves, colours)
  ]
  handles += [
    Line2D([], [], color=style.GREY, ls=":", marker=".", label="naive SSIM"),
    Line2D([], [], color=style.GREY, ls="", marker="s", ms=5, label="high-LR, same lr_max"),
  ]
  figure.legend(handles=handles, loc="outside lower center", ncols=min(len(handles), 4))
  for axes, labels in named:
    right_labels(axes, labels)
  return figure


def _name(row: pd.Series, keys: list[str]) -> str:
  details = [value if isinstance(value, str) else rate(value) for value in row[keys]]
  return f"LWLRD, lr_max {', '.join(details)}"


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
    same_rate = (rows.defense == "high_lr") & alike(rows, group.iloc[0], keys)
    name = _name(group.iloc[0], keys)
    curves.append(_Curve(name, colours[name], group.sort_values("decay"), singles, rows[same_rate]))
  return curves


def _panel(
  axes: Axes, name: str, title: str, curves: list[_Curve], references: pd.DataFrame, verdict: Verdict
) -> list[tuple[float, str, str]]:
  """Draws one figure against decay; returns labels for the right edge."""
  axes.grid(True)
  axes.set_ylabel(title)
  labels = []
  for defense, colour in _REFERENCES.items():
    for _, row in references[(references.defense == defense) & references[name].notna()].iterrows():
      axes.axhline(row[name], color=colour, lw=0.9, ls="--", zorder=1)
      labels.append((row[name], NAMES[defense].removesuffix(" fine-tuning"), colour))
  for curve in curves:
    axes.plot(curve.means.decay, curve.means[name], "o-", color=curve.colour, ms=4.5, lw=1.6, zorder=4, clip_on=False)
    axes.plot(curve.singles.decay, curve.singles[name], ".", color=curve.colour, alpha=0.4, ms=4, zorder=3)
    if name == "ssim":
      axes.plot(curve.means.decay, curve.means.ssim_naive, ".:", color=curve.colour, lw=1.2, ms=4, zorder=3)
    for level in curve.high_lr[name].dropna():
      axes.axhline(level, color=curve.colour, lw=0.8, ls=(0, (1, 2)), zorder=1)
      axes.plot(1, level, "s", color=curve.colour, ms=6, zorder=5, clip_on=False)
      of_several = f" {rate(curve.high_lr.lr_max.iloc[0])}" if len(curves) > 1 else ""
      labels.append((level, f"high-LR{of_several}", curve.colour))
  floors = verdict.floors
  if name == "reid":
    style.reid_axis(axes, "y", floors.chance)
    axes.axhspan(-floors.chance, floors.reid_limit, color=style.FLOOR, alpha=0.07, lw=0, zorder=0)
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
