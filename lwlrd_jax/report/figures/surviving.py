"""What a channel keyed by position could still carry, by group of bits."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from lwlrd_jax.analysis.verdict import CONTROLS, STEPS
from lwlrd_jax.report.figures import style
from lwlrd_jax.report.load import Run
from lwlrd_jax.report.naming import short_name

ALT = (
  "Stacked bars of surviving capacity in mantissa, exponent and sign bits, one bar a schedule, with the controls; a "
  "diamond marks what is in dead weights."
)
# Light to dark: apart in grey print too.
_GROUPS = {"mantissa": "#9ecae1", "exponent": "#4a86b8", "sign": "#173f5f", "extra": "#c9a227"}
_DEAD = "in dead weights, counted strictly"
_MOST_BARS = 60


def draw(run: Run) -> Figure | None:
  """Stacked bars, a schedule each, against the untreated total; of one attack, block by block of steps on the weights.

  None if nothing was measured.
  """
  verdict, rows = run.verdict, run.verdict.averaged
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
  figure, axes = style.one_panel(7.6, 1.3 + 0.21 * len(rows))
  places, left = np.arange(len(rows)), np.zeros(len(rows))
  groups = [group for group in _GROUPS if group != "extra" or (rows.surviving_extra > 0).any()]
  for group in groups:
    width = rows[f"surviving_{group}"].fillna(0).to_numpy(float) / 1e6
    label = "extra tensors" if group == "extra" else group
    axes.barh(places, width, left=left, color=_GROUPS[group], height=0.72, label=label, zorder=2)
    left += width
  untreated = rows[rows.defense == "untreated"]
  if len(untreated):
    total = float(untreated.surviving_bytes.max()) / 1e6
    axes.axvline(total, color=style.INK, **style.LEVEL, zorder=3)
    axes.text(total, len(rows) - 0.6, "untreated ", fontsize=7.5, ha="right", va="bottom")
  dead = rows.surviving_dead.to_numpy(float) / 1e6
  if np.isfinite(dead).any():
    line = axes.plot(dead, places, "D", color="white", ms=4.5, zorder=4, clip_on=False, label=_DEAD)[0]
    line.set(markeredgecolor=style.BASELINE, markeredgewidth=1.2)
  for end in np.cumsum([len(block) for block in blocks])[:-1]:
    axes.axhline(end - 0.5, color=style.PALE, lw=1, zorder=1)
  axes.set_yticks(places, [short_name(row, verdict.schedules) for _, row in rows.iterrows()])
  axes.set_ylim(len(rows) - 0.4, -0.6)
  axes.grid(True, axis="x")
  axes.spines["left"].set_visible(False)
  axes.tick_params(axis="y", length=0, pad=7)
  axes.set_xlim(left=0)
  axes.set_xlabel("surviving capacity, MB")
  entries = sorted(zip(*axes.get_legend_handles_labels(), strict=True), key=lambda entry: entry[1] == _DEAD)
  figure.legend(*zip(*entries, strict=True), loc="outside upper center", ncols=len(groups) + 1)
  return figure
