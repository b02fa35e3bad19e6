"""The privacy-utility frontier, of one run or several: what each schedule leaks against what it is still good for."""

import itertools
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from lwlrd_jax.analysis.verdict import CONTROLS, STEPS, Verdict, pareto_front
from lwlrd_jax.report.figures import style
from lwlrd_jax.report.formats import rate
from lwlrd_jax.report.load import Run
from lwlrd_jax.report.naming import base_name, short_name, steps, winner, winning_members

ALT = "Scatter plot of AUC against re-identification; upper left is better."
ALT_RUNS = (
  "Scatter plot of AUC against re-identification, a colour a run, with each run's Pareto front; upper left is better."
)
_MOST_ATTACKS = 2
# Points that all have their intervals drawn; of more, only the front, the winner and the controls have.
_MOST_BARS = 16
# In the column `attack`, where rows are of no single one.
_WORST = "worst"
# What distinguishes LWLRD points of one decay.
_KIND = ["lr_max", *STEPS]
# The schedule that wins.
_RING: dict[str, Any] = {"ls": "", "marker": "o", "mfc": "none", "mec": style.INK, "mew": 1.4}
# One colour a run (Okabe & Ito 2008, without yellow), and a marker for print and for more runs than colours.
_RUN_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00")
_RUN_MARKERS = ("o", "^", "s", "D", "v", "P", "X", "*")


def draw(run: Run) -> Figure | None:
  """Re-identification against AUC, a panel an attack; of more than two, the first and the worst of all.

  None if no member has both figures.
  """
  verdict, rows = run.verdict, run.verdict.averaged
  rows = rows[(rows.defense != "mean_image") & rows.reid.notna() & rows.auc.notna()]
  attacks = [attack for attack in verdict.attacks if (rows.attack == attack).any()] or ["none"]
  if rows.empty:
    return None
  titles = {attack: f"{attack} attack" for attack in attacks}
  if len(attacks) > _MOST_ATTACKS:
    rows = pd.concat([rows, _worst(rows, verdict)], ignore_index=True)
    titles = {attacks[0]: titles[attacks[0]], _WORST: f"whichever of the {len(attacks)} attacks gives most away"}
  lwlrd = rows[rows.defense == "lwlrd"]
  decays = sorted(lwlrd.decay.dropna().unique())
  rows = rows.assign(look=_looks(rows, lwlrd, decays))
  figure = style.new_figure(7.6, 4.9 * len(titles))
  panels = list(figure.subplots(len(titles), 1, squeeze=False)[:, 0])
  for axes, (attack, title) in zip(panels, titles.items(), strict=True):
    shown = rows[rows.attack.isin([attack, "none"])]
    single = run.table[(run.table.attack == attack) & (run.table.status == "ok")]
    limit = min(map(verdict.floors.limit, attacks)) if attack == _WORST else verdict.floors.limit(attack)
    _scales(axes, shown, single, verdict.floors.chance, limit)
    _points(axes, shown, single, verdict)
    if len(titles) > 1:
      axes.set_title(title, pad=16)
  if decays:
    style.decay_bar(figure, panels, decays)
  figure.legend(handles=_handles(rows, verdict), loc="outside lower center", ncols=3)
  return figure


def _worst(rows: pd.DataFrame, verdict: Verdict) -> pd.DataFrame:
  """Each schedule by its worst attack, and the untreated model likewise."""
  schedules = verdict.schedules[verdict.schedules.judged]
  untreated = rows[rows.defense == "untreated"].sort_values("auc", kind="stable")
  if len(untreated):
    gives_most = untreated.sort_values("reid", ascending=False, kind="stable").iloc[0]
    untreated = untreated.head(1).assign(**{name: gives_most[name] for name in ("reid", "reid_low", "reid_high")})
  return pd.concat([untreated, schedules[rows.columns]]).assign(attack=_WORST)


def _looks(rows: pd.DataFrame, lwlrd: pd.DataFrame, decays: list[float]) -> pd.Series:
  """How each row's point is drawn: LWLRD by decay and kind, baselines and controls by name."""
  kinds = list(lwlrd.sort_values("lr_max", kind="stable")[_KIND].drop_duplicates().itertuples(index=False, name=None))
  colours = style.decay_colours(decays)
  common = {"ls": "", "ms": 7, "mec": "white", "mew": 0.7, "clip_on": False}
  looks = []
  for _, row in rows.iterrows():
    if row.defense == "lwlrd":
      marker = style.LR_MARKERS[kinds.index(tuple(row[_KIND])) % len(style.LR_MARKERS)]
      looks.append(common | {"marker": marker, "color": colours.to_rgba(row.decay), "zorder": 5.5})
    elif row.defense in CONTROLS:
      marker = style.CONTROL_MARKERS[row.defense]
      looks.append(common | {"marker": marker, "color": "white", "mec": style.INK, "zorder": 4})
    else:
      hollow = {"color": "white", "mec": style.BASELINE} if _has_steps(row) else {"color": style.BASELINE}
      looks.append(common | {"marker": style.MARKERS.get(row.defense, ">"), "zorder": 5} | hollow)
  return pd.Series(looks, rows.index, dtype=object)


def _has_steps(row: pd.Series) -> bool:
  return bool((row[STEPS] != "none").any())


def _scales(axes: Axes, shown: pd.DataFrame, single: pd.DataFrame, chance: float, limit: float) -> None:
  """Axes, and the levels of chance, of the limit, of the untreated model and of guessing."""
  _axes(axes, chance)
  points, ends = pd.concat([shown.auc, single.auc]), shown[["auc_low", "auc_high"]]
  # Intervals of few infections can be wider than all points together: those are cut off.
  reach = 0.2 * max(points.max() - points.min(), 0.1)
  low = min(points.min(), max(ends.min().min(), points.min() - reach))
  high = max(points.max(), min(ends.max().max(), points.max() + reach, 1.0))
  margin = max(0.12 * (high - low), 0.01)
  axes.set_ylim(low - margin, high + margin)
  axes.axvspan(axes.get_xlim()[0], limit, color=style.FLOOR, alpha=0.07, lw=0, zorder=0)
  axes.axvline(chance, color=style.FLOOR, lw=1, ls=":", zorder=1)
  above: dict[str, Any] = {"transform": axes.get_xaxis_transform(), "color": style.FLOOR, "fontsize": 7.5}
  axes.text(chance, 1.01, " chance", va="bottom", ha="center", **above)
  axes.text(limit, 1.01, "re-id stopped ", va="bottom", ha="right", **above)
  for level in shown[shown.defense == "untreated"].auc:
    axes.axhline(level, color=style.GREY, **style.LEVEL, zorder=1)
  if low - margin < 0.5 < high + margin:
    axes.axhline(0.5, color=style.PALE, lw=1, zorder=1)


def _points(axes: Axes, shown: pd.DataFrame, single: pd.DataFrame, verdict: Verdict) -> None:
  """The front, and each row: its members as dots, its point, a ring around the winner, its interval."""
  defences, winners = shown[~shown.defense.isin(CONTROLS)], winning_members(verdict)
  if shown.seeds.max() > 1:
    for _, row in defences.iterrows():
      members = single[single.member.isin(row.members)]
      axes.plot(members.reid, members.auc, ".", color=row.look["color"], alpha=0.45, ms=4, zorder=3, clip_on=False)
  _front(axes, defences)
  on_front = pareto_front(shown.reid.to_numpy(float), shown.auc.to_numpy(float))
  for (_, row), is_best in zip(shown.iterrows(), on_front, strict=True):
    axes.plot(row.reid, row.auc, **row.look)
    is_winner = set(row.members) <= winners
    if is_winner:
      _ring(axes, row)
    if len(shown) <= _MOST_BARS or is_best or is_winner or row.defense in CONTROLS:
      _bars(axes, row, row.look["mec"] if row.look["color"] == "white" else row.look["color"])


def _handles(rows: pd.DataFrame, verdict: Verdict) -> list[Line2D]:
  """A legend: lines, then every marker once."""
  handles = [
    style.entry("Pareto front", color=style.INK, lw=1.1, alpha=0.75),
    style.entry("AUC of the untreated model", color=style.GREY, **style.LEVEL),
  ]
  best = winner(verdict)
  if best is not None:
    handles.append(style.entry(f"best: {short_name(best, verdict.schedules)}", **_RING, ms=11))
  several_kinds = rows[rows.defense == "lwlrd"].groupby(_KIND).ngroups > 1
  named: dict[str, dict[str, Any]] = {}
  for _, row in rows.iterrows():
    name, look = base_name(row.defense), row.look
    if row.defense == "lwlrd":
      name = " + ".join([*steps(row.prepare), f"LWLRD, lr_max {rate(row.lr_max)}", *steps(row.finish)])
      look = look | {"color": style.GREY}
    elif row.defense not in CONTROLS and _has_steps(row):
      name, look = "hollow: with finishers", look | {"marker": "o"}
    if row.defense != "lwlrd" or several_kinds:
      named.setdefault(name, look)
  keys = ("ls", "marker", "color", "mec", "mew", "ms")
  return handles + [style.entry(name, **{key: look[key] for key in keys}) for name, look in named.items()]


def draw_runs(runs: dict[str, Verdict]) -> Figure | None:
  """Every judged schedule of every run by its worst figures over attacks; None if none was judged."""
  runs = {label: verdict for label, verdict in runs.items() if verdict.schedules.judged.any()}
  if not runs:
    return None
  figure, axes = style.one_panel(7.6, 5.2)
  _axes(axes, min(verdict.floors.chance for verdict in runs.values()))
  handles = []
  looks = zip(itertools.cycle(_RUN_COLOURS), itertools.cycle(_RUN_MARKERS), strict=True)
  for (label, verdict), (colour, marker) in zip(runs.items(), looks, strict=False):
    _draw_run(axes, verdict, colour, marker)
    handles.append(style.entry(label, color=colour, marker=marker, lw=1.2))
  handles.append(style.entry("best of a run", **_RING, ms=11))
  handles.append(style.entry("AUC of an untreated model", **style.LEVEL, color=style.GREY))
  figure.legend(handles=handles, loc="outside lower center", ncols=min(len(handles), 3))
  return figure


def _draw_run(axes: Axes, verdict: Verdict, colour: str, marker: str) -> None:
  rows = verdict.schedules[verdict.schedules.judged]
  _front(axes, rows, colour)
  on_front = pareto_front(rows.reid.to_numpy(float), rows.auc.to_numpy(float))
  for (_, row), is_best in zip(rows.iterrows(), on_front, strict=True):
    axes.plot(row.reid, row.auc, marker, color=colour, ms=6, mec="white", mew=0.6, zorder=4, clip_on=False)
    if is_best:
      _bars(axes, row, colour)
  best = winner(verdict)
  if best is not None:
    _ring(axes, best)
  untreated = verdict.averaged[(verdict.averaged.defense == "untreated") & (verdict.averaged.status == "ok")].auc
  if np.isfinite(untreated).any():
    axes.axhline(float(untreated.min()), color=colour, **style.LEVEL, alpha=0.7, zorder=1)


def _axes(axes: Axes, chance: float) -> None:
  """Re-identification across, linear up to `chance`, that of guessing, and logarithmic above; AUC up."""
  axes.set_xscale("asinh", linear_width=chance)
  axes.xaxis.set_major_locator(FixedLocator([0.0, *(10.0**k for k in range(-9, 1) if 10.0**k >= 3 * chance)]))
  axes.xaxis.set_minor_locator(NullLocator())
  axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.6g} %"))
  axes.set_xlim(-0.5 * chance, 1.35)
  axes.grid(True)
  axes.set_xlabel("re-identified stolen images (linear up to chance, logarithmic above)")
  axes.set_ylabel("utility: AUC on the test split")


def _front(axes: Axes, defences: pd.DataFrame, colour: str = style.INK) -> None:
  """Steps through the points of some rows that no other beats."""
  best = defences[pareto_front(defences.reid.to_numpy(float), defences.auc.to_numpy(float))].sort_values("reid")
  if len(best):
    reid, auc = np.append(best.reid, 1.0), np.append(best.auc, best.auc.iloc[-1])
    axes.step(reid, auc, where="post", color=colour, lw=1.1, alpha=0.75, zorder=2)


def _ring(axes: Axes, row: pd.Series) -> None:
  """Marks the schedule that wins."""
  axes.plot(row.reid, row.auc, **_RING, ms=13, zorder=6, clip_on=False)


def _bars(axes: Axes, row: pd.Series, colour: Any) -> None:
  """A point's 95 % intervals as a thin cross behind it; nothing where they are not known."""
  look: dict[str, Any] = {"color": colour, "lw": 1.1, "alpha": 0.4, "zorder": 2.5, "solid_capstyle": "butt"}
  axes.plot([row.reid_low, row.reid_high], [row.auc, row.auc], **look)
  axes.plot([row.reid, row.reid], [row.auc_low, row.auc_high], **look)
