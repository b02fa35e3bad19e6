"""The privacy-utility frontier: what each schedule leaks against what it is still good for."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from lwlrd_jax.analysis.verdict import CONTROLS, Verdict, pareto_front
from lwlrd_jax.report.figures import style
from lwlrd_jax.report.figures.labels import Label, place_labels
from lwlrd_jax.report.formats import NAMES, rate, score
from lwlrd_jax.report.load import Run
from lwlrd_jax.report.naming import short_name, steps

_MOST_ATTACKS = 2
# Points that all have their intervals drawn; of more, only the front, the winner and the controls have.
_MOST_BARS = 16
# In the column `attack`, where rows are of no single one.
_WORST = "worst"


def draw(run: Run, verdict: Verdict) -> Figure | None:
  """Re-identification against AUC, a panel an attack; of more than two, the first and the worst of all.

  Returns:
    None if no member has both figures.
  """
  rows = verdict.averaged
  rows = rows[(rows.defense != "mean_image") & rows.reid.notna() & rows.auc.notna()]
  attacks = [attack for attack in verdict.attacks if (rows.attack == attack).any()] or ["none"]
  if rows.empty:
    return None
  worst = len(attacks) > _MOST_ATTACKS
  titles = {attack: f"{attack} attack" for attack in attacks}
  if worst:
    rows = pd.concat([rows, _worst(rows, verdict)], ignore_index=True)
    titles = {attacks[0]: titles[attacks[0]], _WORST: f"whichever of the {len(attacks)} attacks gives most away"}
  figure = style.new_figure(7.6, 4.9 * len(titles))
  panels = figure.subplots(len(titles), 1, squeeze=False)[:, 0]
  lwlrd = rows[rows.defense == "lwlrd"]
  kinds = list(dict.fromkeys(_kind(row) for _, row in lwlrd.sort_values("lr_max", kind="stable").iterrows()))
  colours, scale = style.decay_colours(sorted(lwlrd.decay.dropna().unique()))
  labels: list[Any] = []
  for axes, attack in zip(panels, titles, strict=True):
    shown = rows[rows.attack.isin([attack, "none"])]
    single = run.table[(run.table.attack == attack) & (run.table.status == "ok")]
    limit = verdict.floors.limit(attack) if attack != _WORST else min(map(verdict.floors.limit, attacks))
    labels.append(_panel(axes, shown, single, verdict, limit, kinds, (colours, scale)))
    if len(titles) > 1:
      axes.set_title(titles[attack], pad=16)
  if not lwlrd.empty:
    _keys(figure, panels, lwlrd, kinds, (colours, scale))
  for axes, (texts, points, levels) in zip(panels, labels, strict=True):
    place_labels(axes, texts, points, levels)
  return figure


def _worst(rows: pd.DataFrame, verdict: Verdict) -> pd.DataFrame:
  """Each schedule by its worst attack, and the untreated model likewise."""
  schedules = verdict.schedules[verdict.schedules.judged]
  untreated = rows[rows.defense == "untreated"].sort_values("auc", kind="stable")
  if len(untreated):
    gives_most = untreated.sort_values("reid", ascending=False, kind="stable").iloc[0]
    untreated = untreated.head(1).assign(**{name: gives_most[name] for name in ("reid", "reid_low", "reid_high")})
  return pd.concat([untreated, schedules[rows.columns]]).assign(attack=_WORST)


def _kind(row: pd.Series) -> tuple[float, str, str]:
  """What tells LWLRD points of one decay apart."""
  return (row.lr_max, row.prepare, row.finish)


def _panel(
  axes: Axes, shown: pd.DataFrame, single: pd.DataFrame, verdict: Verdict, limit: float, kinds: list, colour
) -> tuple:
  colours, scale = colour
  floors = verdict.floors
  _scales(axes, shown, single, floors.chance)
  levels = _levels(axes, shown, floors.chance, limit)
  labels: list[Label] = []
  points: list[tuple[float, float]] = []
  several = shown.seeds.max() > 1
  defences = shown[~shown.defense.isin(CONTROLS)]
  if several:
    for _, row in single[~single.defense.isin(CONTROLS)].iterrows():
      tint = colours(scale(row.decay)) if row.defense == "lwlrd" else style.BASELINE
      axes.plot(row.reid, row.auc, ".", color=tint, alpha=0.45, ms=4, zorder=3, clip_on=False)
  levels += draw_front(axes, defences)
  winner = verdict.chosen if verdict.case == "winner" else None
  is_best = pareto_front(shown.reid.to_numpy(float), shown.auc.to_numpy(float))
  for (_, row), on_front in zip(shown.iterrows(), is_best, strict=True):
    points.append((row.reid, row.auc))
    look = _look(row, kinds, colour)
    axes.plot(row.reid, row.auc, **look)
    is_winner = winner is not None and set(row.members) <= set(winner.members)
    if len(shown) <= _MOST_BARS or on_front or is_winner or row.defense in CONTROLS:
      style.bars(axes, row, look["markeredgecolor"] if look["color"] == "white" else look["color"])
    if is_winner:
      axes.plot(row.reid, row.auc, "o", mfc="none", mec=style.INK, mew=1.4, ms=13, zorder=6, clip_on=False)
      labels.insert(0, Label(row.reid, row.auc, f"best: {short_name(row, defences)}", style.INK, bold=True))
    elif row.defense != "lwlrd":
      name = NAMES[row.defense] if row.defense in CONTROLS else short_name(row, defences)
      tint = style.INK if row.defense in CONTROLS else style.BASELINE
      labels.append(Label(row.reid, row.auc, name, tint))
  return labels, points, levels


def _look(row: pd.Series, kinds: list, colour: tuple) -> dict[str, Any]:
  """How a schedule's point is drawn."""
  look = {"linestyle": "", "markersize": 7, "markeredgecolor": "white", "markeredgewidth": 0.7, "clip_on": False}
  if row.defense == "lwlrd":
    colours, scale = colour
    marker = style.LR_MARKERS[kinds.index(_kind(row)) % len(style.LR_MARKERS)] if _kind(row) in kinds else "o"
    return look | {"marker": marker, "color": colours(scale(row.decay)), "zorder": 5.5}
  if row.defense in CONTROLS:
    marker = style.CONTROL_MARKERS[row.defense]
    return look | {"marker": marker, "color": "white", "markeredgecolor": style.INK, "zorder": 4}
  marker = style.MARKERS.get(row.defense, ">")
  if steps(row.prepare) or steps(row.finish):
    return look | {"marker": marker, "color": "white", "markeredgecolor": style.BASELINE, "zorder": 5}
  return look | {"marker": marker, "color": style.BASELINE, "zorder": 5}


def _scales(axes: Axes, shown: pd.DataFrame, single: pd.DataFrame, chance: float) -> None:
  style.reid_axis(axes, "x", chance)
  points = pd.concat([shown.auc, single.auc])
  ends = shown[["auc_low", "auc_high"]]
  # Intervals of few infections can be wider than all points together: those are cut off.
  reach = 0.2 * max(points.max() - points.min(), 0.1)
  low = min(points.min(), max(ends.min().min(), points.min() - reach))
  high = max(points.max(), min(ends.max().max(), points.max() + reach, 1.0))
  margin = max(0.12 * (high - low), 0.01)
  axes.set_ylim(low - margin, high + 1.6 * margin)
  axes.grid(True)
  axes.set_xlabel("re-identified stolen images (linear up to chance, logarithmic above)")
  axes.set_ylabel("utility: AUC on the test split")


def _levels(axes: Axes, shown: pd.DataFrame, chance: float, limit: float) -> list[float]:
  """Chance, the untreated model, guessing; returns the heights of lines that labels should not cross."""
  left, _ = axes.get_xlim()
  axes.axvspan(left, limit, color=style.FLOOR, alpha=0.07, lw=0, zorder=0)
  axes.axvline(chance, color=style.FLOOR, lw=1, ls=":", zorder=1)
  above = axes.get_xaxis_transform()
  axes.text(chance, 1.01, " chance", transform=above, color=style.FLOOR, fontsize=7.5, va="bottom", ha="center")
  axes.text(limit, 1.01, "re-id stopped ", transform=above, color=style.FLOOR, fontsize=7.5, va="bottom", ha="right")
  untreated = shown[shown.defense == "untreated"]
  if len(untreated):
    level = float(untreated.auc.iloc[0])
    axes.axhline(level, color=style.GREY, lw=0.9, ls="--", zorder=1)
  axes.annotate(
    "better",
    xy=(0.012, 0.985),
    xytext=(0.075, 0.925),
    xycoords="axes fraction",
    fontsize=8.5,
    color=style.GREY,
    style="italic",
    va="center",
    arrowprops={"arrowstyle": "->", "color": style.GREY, "lw": 1},
  )
  low, high = axes.get_ylim()
  if low < 0.5 < high:
    axes.axhline(0.5, color=style.PALE, lw=1, zorder=1)
  return untreated.auc.tolist()


def draw_front(axes: Axes, defences: pd.DataFrame, colour: str = style.INK) -> list[float]:
  """Steps through the points that no other beats.

  Args:
    axes: With re-identification across and AUC up.
    defences: Rows with both.
    colour: Of the line.

  Returns:
    The steps' heights.
  """
  front = defences[pareto_front(defences.reid.to_numpy(float), defences.auc.to_numpy(float))]
  front = front.drop_duplicates(["reid", "auc"]).sort_values("reid")
  if front.empty:
    return []
  reid = np.append(front.reid, 1.0)
  auc = np.append(front.auc, front.auc.iloc[-1])
  axes.step(reid, auc, where="post", color=colour, lw=1.1, alpha=0.75, zorder=2)
  return front.auc.tolist()


def _keys(figure: Figure, panels, lwlrd: pd.DataFrame, kinds: list, colour) -> None:
  colours, scale = colour
  decays = sorted(lwlrd.decay.dropna().unique())
  if decays:
    bar = figure.colorbar(ScalarMappable(scale, colours), ax=list(panels), shrink=0.6, aspect=28, pad=0.02)
    bar.set_label("LWLRD: decay from one layer to the next")
    few = len(decays) <= 10
    bar.set_ticks(decays if few else [decays[0], decays[len(decays) // 2], decays[-1]])
    bar.ax.set_yticklabels([rate(tick) for tick in bar.get_ticks()])
    bar.outline.set_visible(False)
  handles = [Line2D([], [], color=style.INK, lw=1.1, alpha=0.75, label="Pareto front")]
  handles.append(Line2D([], [], color=style.GREY, lw=0.9, ls="--", label="AUC of the untreated model"))
  if len(kinds) > 1:
    handles += [
      Line2D([], [], ls="", marker=style.LR_MARKERS[i % len(style.LR_MARKERS)], color=style.GREY, label=name)
      for i, name in enumerate(_kind_names(kinds))
    ]
  figure.legend(handles=handles, loc="outside lower center", ncols=min(len(handles), 4))


def _kind_names(kinds: list[tuple[float, str, str]]) -> list[str]:
  several = len({lr for lr, _, _ in kinds}) > 1
  steps_differ = len({kind[1:] for kind in kinds}) > 1
  names = []
  for lr, before, after in kinds:
    name = f"lr_max {rate(lr)}" if several else "LWLRD"
    names.append(" + ".join([*steps(before), name, *steps(after)]) if steps_differ else name)
  return names


def alt_text(verdict: Verdict) -> str:
  """What the figure shows, in words."""
  text = "Scatter plot of AUC against re-identification; upper left is better."
  if verdict.case == "winner" and verdict.chosen is not None:
    name = short_name(verdict.chosen, verdict.schedules)
    text += f" Best: {name} at AUC {score(verdict.chosen.auc)}."
  return text
