"""What a channel keyed by position could still carry, by group of bits."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from lwlrd_jax.analysis.verdict import CONTROLS, STEPS, Verdict
from lwlrd_jax.report.figures import style
from lwlrd_jax.report.formats import NAMES
from lwlrd_jax.report.load import Run
from lwlrd_jax.report.naming import short_name

ALT = (
  "Stacked bars of surviving capacity in mantissa, exponent and sign bits, one bar a schedule, with the controls; a "
  "diamond marks what is in dead weights."
)
# Light to dark: apart in grey print too.
_GROUPS = (("mantissa", "#9ecae1"), ("exponent", "#4a86b8"), ("sign", "#173f5f"))
_EXTRA = ("extra", "#c9a227")
_LABELS = {"extra": "extra tensors", "dead": "in dead weights, counted strictly"}
_MOST_BARS = 60


def draw(run: Run, verdict: Verdict) -> Figure | None:
  """Stacked bars, a schedule each, against the untreated total; of one attack, block by block of steps on the weights.

  Returns:
    None if nothing was measured.
  """
  del run
  rows = verdict.averaged
  rows = rows[rows.surviving_bytes.notna() & (rows.defense != "mean_image")]
  rows = rows[rows.attack.isin([verdict.main_attack, "none"])]
  if rows.empty:
    return None
  is_control = rows.defense.isin(CONTROLS)
  treated = rows[~is_control]
  if len(treated) > _MOST_BARS:
    treated = treated.iloc[np.linspace(0, len(treated) - 1, _MOST_BARS).round().astype(int)]
  blocks = [block for _, block in treated.groupby(STEPS, sort=False)]
  blocks.sort(key=lambda block: tuple(block.iloc[0][STEPS] != "none"))
  controls = rows[is_control]
  blocks = [controls, *blocks] if len(controls) else blocks
  rows = pd.concat(blocks)
  figure = style.new_figure(7.6, 1.3 + 0.21 * len(rows))
  axes = figure.subplots()
  places = np.arange(len(rows))
  left = np.zeros(len(rows))
  groups = [*_GROUPS, _EXTRA] if (rows.surviving_extra > 0).any() else [*_GROUPS]
  for group, colour in groups:
    width = rows[f"surviving_{group}"].fillna(0).to_numpy(float) / 1e6
    axes.barh(places, width, left=left, color=colour, height=0.72, label=_LABELS.get(group, group), zorder=2)
    left += width
  untreated = rows[rows.defense == "untreated"]
  if len(untreated):
    total = float(untreated.surviving_bytes.max()) / 1e6
    axes.axvline(total, color=style.INK, lw=0.9, ls="--", zorder=3)
    axes.text(total, len(rows) - 0.6, "untreated ", fontsize=7.5, ha="right", va="bottom")
  dead = rows.surviving_dead.to_numpy(float) / 1e6
  if np.isfinite(dead).any():
    look: dict[str, Any] = {
      "color": "white",
      "markeredgecolor": style.BASELINE,
      "markeredgewidth": 1.2,
      "markersize": 4.5,
    }
    axes.plot(dead, places, "D", ls="", zorder=4, clip_on=False, label=_LABELS["dead"], **look)
  for end in np.cumsum([len(block) for block in blocks])[:-1]:
    axes.axhline(end - 0.5, color=style.PALE, lw=1, zorder=1)
  axes.set_yticks(places, _names(rows, verdict))
  axes.set_ylim(len(rows) - 0.4, -0.6)
  axes.grid(True, axis="x")
  axes.spines["left"].set_visible(False)
  axes.tick_params(axis="y", length=0, pad=7)
  axes.set_xlim(left=0)
  axes.set_xlabel("surviving capacity, MB")
  handles, names = axes.get_legend_handles_labels()
  order = sorted(range(len(names)), key=lambda i: names[i] == _LABELS["dead"])
  figure.legend(
    [handles[i] for i in order], [names[i] for i in order], loc="outside upper center", ncols=len(groups) + 1
  )
  return figure


def _names(rows: pd.DataFrame, verdict: Verdict) -> list[str]:
  return [
    NAMES[row.defense] if row.defense in CONTROLS else short_name(row, verdict.schedules) for _, row in rows.iterrows()
  ]
