"""What a channel keyed by position could still carry, by group of bits."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from lwlrd_jax.report.figures import style
from lwlrd_jax.report.formats import NAMES
from lwlrd_jax.report.load import Run
from lwlrd_jax.report.naming import short_name
from lwlrd_jax.report.summary import CONTROLS, Verdict

# Light to dark: apart in grey print too.
_GROUPS = (("mantissa", "#9ecae1"), ("exponent", "#4a86b8"), ("sign", "#173f5f"))
_MOST_BARS = 60


def draw(run: Run, verdict: Verdict) -> Figure | None:
  """Stacked bars, a schedule each, against the untreated total.

  Returns:
    None if nothing was measured.
  """
  del run
  rows = verdict.averaged
  rows = rows[rows.surviving_bytes.notna() & (rows.defense != "mean_image")]
  if rows.empty:
    return None
  is_control = rows.defense.isin(CONTROLS)
  treated = rows[~is_control]
  if len(treated) > _MOST_BARS:
    treated = treated.iloc[np.linspace(0, len(treated) - 1, _MOST_BARS).round().astype(int)]
  rows = pd.concat([rows[is_control], treated])
  figure = style.new_figure(7.6, 1.3 + 0.21 * len(rows))
  axes = figure.subplots()
  places = np.arange(len(rows))
  left = np.zeros(len(rows))
  for group, colour in _GROUPS:
    width = rows[f"surviving_{group}"].fillna(0).to_numpy(float) / 1e6
    axes.barh(places, width, left=left, color=colour, height=0.72, label=group, zorder=2)
    left += width
  untreated = rows[rows.defense == "untreated"]
  if len(untreated):
    total = float(untreated.surviving_bytes.max()) / 1e6
    axes.axvline(total, color=style.INK, lw=0.9, ls="--", zorder=3)
    axes.text(total, len(rows) - 0.6, "untreated ", fontsize=7.5, ha="right", va="bottom")
  axes.set_yticks(places, _names(rows, verdict))
  axes.set_ylim(len(rows) - 0.4, -0.6)
  axes.grid(True, axis="x")
  axes.spines["left"].set_visible(False)
  axes.tick_params(axis="y", length=0)
  axes.set_xlabel("surviving capacity, MB")
  figure.legend(loc="outside upper center", ncols=len(_GROUPS))
  return figure


def _names(rows: pd.DataFrame, verdict: Verdict) -> list[str]:
  several = len(verdict.attacks) > 1
  names = []
  for _, row in rows.iterrows():
    name = NAMES[row.defense] if row.defense in CONTROLS else short_name(row, verdict.averaged)
    names.append(f"{row.attack}: {name}" if several else name)
  return names


def alt_text(verdict: Verdict) -> str:
  """What the figure shows, in words."""
  del verdict
  return (
    "Stacked bars of surviving capacity in mantissa, exponent and sign bits, one bar a schedule, with the controls."
  )
