"""The privacy-utility frontier: what each schedule leaks against what it is still good for."""

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from lwlrd_jax.analysis.verdict import CONTROLS, STEPS, Verdict, pareto_front
from lwlrd_jax.report.figures import style
from lwlrd_jax.report.formats import NAMES, rate
from lwlrd_jax.report.load import Run
from lwlrd_jax.report.naming import short_name, steps

ALT = "Scatter plot of AUC against re-identification; upper left is better."
_MOST_ATTACKS = 2
# Points that all have their intervals drawn; of more, only the front, the winner and the controls have.
_MOST_BARS = 16
# In the column `attack`, where rows are of no single one.
_WORST = "worst"
# What tells LWLRD points of one decay apart.
_KIND = ["lr_max", *STEPS]


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
  titles = {attack: f"{attack} attack" for attack in attacks}
  if len(attacks) > _MOST_ATTACKS:
    rows = pd.concat([rows, _worst(rows, verdict)], ignore_index=True)
    titles = {attacks[0]: titles[attacks[0]], _WORST: f"whichever of the {len(attacks)} attacks gives most away"}
  rows = rows.reset_index(drop=True)
  figure = style.new_figure(7.6, 4.9 * len(titles))
  panels = list(figure.subplots(len(titles), 1, squeeze=False)[:, 0])
  looks = _looks(rows)
  for axes, attack in zip(panels, titles, strict=True):
    shown = rows[rows.attack.isin([attack, "none"])]
    single = run.table[(run.table.attack == attack) & (run.table.status == "ok")]
    limit = min(map(verdict.floors.limit, attacks)) if attack == _WORST else verdict.floors.limit(attack)
    _scales(axes, shown, single, verdict.floors.chance, limit)
    _points(axes, shown, single, verdict, [looks[place] for place in shown.index])
    if len(titles) > 1:
      axes.set_title(titles[attack], pad=16)
  decays = sorted(rows[rows.defense == "lwlrd"].decay.dropna().unique())
  if decays:
    style.decay_bar(figure, panels, decays)
  figure.legend(handles=_handles(rows, verdict, looks), loc="outside lower center", ncols=3)
  return figure


def _worst(rows: pd.DataFrame, verdict: Verdict) -> pd.DataFrame:
  """Each schedule by its worst attack, and the untreated model likewise."""
  schedules = verdict.schedules[verdict.schedules.judged]
  untreated = rows[rows.defense == "untreated"].sort_values("auc", kind="stable")
  if len(untreated):
    gives_most = untreated.sort_values("reid", ascending=False, kind="stable").iloc[0]
    untreated = untreated.head(1).assign(**{name: gives_most[name] for name in ("reid", "reid_low", "reid_high")})
  return pd.concat([untreated, schedules[rows.columns]]).assign(attack=_WORST)


def _looks(rows: pd.DataFrame) -> list[dict[str, Any]]:
  """How each row's point is drawn: LWLRD by decay and kind, baselines and controls by name."""
  lwlrd = rows[rows.defense == "lwlrd"]
  kinds = _kinds(lwlrd)
  colours, scale = style.decay_colours(sorted(lwlrd.decay.dropna().unique()))
  common = {"ls": "", "ms": 7, "mec": "white", "mew": 0.7, "clip_on": False}
  looks = []
  for _, row in rows.iterrows():
    if row.defense == "lwlrd":
      marker = style.LR_MARKERS[kinds.index(tuple(row[_KIND])) % len(style.LR_MARKERS)]
      looks.append(common | {"marker": marker, "color": colours(scale(row.decay)), "zorder": 5.5})
    elif row.defense in CONTROLS:
      marker = style.CONTROL_MARKERS[row.defense]
      looks.append(common | {"marker": marker, "color": "white", "mec": style.INK, "zorder": 4})
    else:
      hollow = {"color": "white", "mec": style.BASELINE} if (row[STEPS] != "none").any() else {"color": style.BASELINE}
      looks.append(common | {"marker": style.MARKERS.get(row.defense, ">"), "zorder": 5} | hollow)
  return looks


def _kinds(lwlrd: pd.DataFrame) -> list[tuple]:
  kinds = lwlrd.sort_values("lr_max", kind="stable")[_KIND].drop_duplicates()
  return list(kinds.itertuples(index=False, name=None))


def _scales(axes: Axes, shown: pd.DataFrame, single: pd.DataFrame, chance: float, limit: float) -> None:
  """Axes, and the levels of chance, of the limit, of the untreated model and of guessing."""
  style.frontier_axes(axes, chance)
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
    axes.axhline(level, color=style.GREY, lw=0.9, ls="--", zorder=1)
  if low - margin < 0.5 < high + margin:
    axes.axhline(0.5, color=style.PALE, lw=1, zorder=1)


def _points(
  axes: Axes, shown: pd.DataFrame, single: pd.DataFrame, verdict: Verdict, looks: list[dict[str, Any]]
) -> None:
  defences = shown[~shown.defense.isin(CONTROLS)]
  if shown.seeds.max() > 1:
    colour_of = {
      member: look["color"] for members, look in zip(shown.members, looks, strict=True) for member in members
    }
    for _, row in single[single.member.isin(colour_of) & ~single.defense.isin(CONTROLS)].iterrows():
      axes.plot(row.reid, row.auc, ".", color=colour_of[row.member], alpha=0.45, ms=4, zorder=3, clip_on=False)
  style.front(axes, defences)
  winners = set(verdict.chosen.members) if verdict.case == "winner" and verdict.chosen is not None else set()
  on_front = pareto_front(shown.reid.to_numpy(float), shown.auc.to_numpy(float))
  for (_, row), is_best, look in zip(shown.iterrows(), on_front, looks, strict=True):
    axes.plot(row.reid, row.auc, **look)
    is_winner = set(row.members) <= winners
    if is_winner:
      style.ring(axes, row)
    if len(shown) <= _MOST_BARS or is_best or is_winner or row.defense in CONTROLS:
      style.bars(axes, row, look["mec"] if look["color"] == "white" else look["color"])


def _handles(rows: pd.DataFrame, verdict: Verdict, looks: list[dict[str, Any]]) -> list[Line2D]:
  """A legend: lines, then every marker once."""
  handles = [
    Line2D([], [], color=style.INK, lw=1.1, alpha=0.75, label="Pareto front"),
    Line2D([], [], color=style.GREY, lw=0.9, ls="--", label="AUC of the untreated model"),
  ]
  if verdict.case == "winner" and verdict.chosen is not None:
    name = f"best: {short_name(verdict.chosen, verdict.schedules)}"
    handles.append(Line2D([], [], ls="", marker="o", mfc="none", mec=style.INK, mew=1.4, ms=11, label=name))
  named: dict[str, dict[str, Any]] = {}
  kinds = rows[rows.defense == "lwlrd"].groupby(_KIND).ngroups
  for (_, row), look in zip(rows.iterrows(), looks, strict=True):
    name = NAMES.get(row.defense, row.defense).removesuffix(" fine-tuning")
    if row.defense == "lwlrd":
      if kinds < 2:
        continue
      name = " + ".join([*steps(row.prepare), f"LWLRD, lr_max {rate(row.lr_max)}", *steps(row.finish)])
      named.setdefault(name, look | {"color": style.GREY})
      continue
    if row.defense not in CONTROLS and (row[STEPS] != "none").any():
      name, look = "hollow: with finishers", look | {"marker": "o"}  # noqa: PLW2901
    named.setdefault(name, look)
  keys = ("ls", "marker", "color", "mec", "mew", "ms")
  return handles + [Line2D([], [], **{key: look[key] for key in keys}, label=name) for name, look in named.items()]
