"""Pictures: what the thief gets, beside what was stolen."""

import textwrap
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from lwlrd_jax.report.figures import style
from lwlrd_jax.report.formats import percent, rate, score
from lwlrd_jax.report.load import Run
from lwlrd_jax.report.naming import short_name
from lwlrd_jax.report.summary import Verdict

_MOST_DECAYS = 9
_ROWS = 8
_TITLE_WIDTH = 12


class _Column(NamedTuple):
  """Pictures u8[S, H, W, C] under a header."""

  title: str
  figures: str
  pictures: np.ndarray
  member: str = ""


def draw(run: Run, verdict: Verdict) -> Figure | None:
  """A grid: a row an image, a column a schedule.

  Returns:
    None if there are no pictures, or none may be shown.
  """
  if not run.may_show or "originals" not in run.samples:
    return None
  columns = _columns(run, verdict)
  rows = min(_ROWS, len(columns[0].pictures))
  side = 0.82 if len(columns) > 8 else 0.95
  height, width = columns[0].pictures.shape[1:3]
  figure = style.new_figure(side * len(columns) + 0.1, side * height / width * rows + 0.85)
  figure.set_layout_engine("constrained", w_pad=0.012, h_pad=0.012, wspace=0, hspace=0)
  grid = figure.subplots(rows, len(columns), squeeze=False)
  winners = set(verdict.chosen.members) if verdict.case == "winner" and verdict.chosen is not None else set()
  for cells, column in zip(grid.T, columns, strict=True):
    for cell, picture in zip(cells, column.pictures, strict=False):
      cell.imshow(picture.squeeze(), cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    for cell in cells:
      cell.set_xticks([])
      cell.set_yticks([])
      cell.spines[:].set_visible(False)
    best = column.member in winners
    title = "\n".join([*(["best:"] if best else []), textwrap.fill(column.title, _TITLE_WIDTH), column.figures])
    cells[0].set_title(title, fontsize=7, fontweight="bold" if best else "normal", loc="center", pad=3)
  return figure


def _columns(run: Run, verdict: Verdict) -> list[_Column]:
  originals = run.samples["originals"]
  columns = [_Column("original", "\n", originals)]
  rows = run.table[run.table.seed == run.table.seed.min()]
  attack = verdict.attacks[0] if verdict.attacks else "none"
  ours = rows[rows.attack == attack]
  columns += _of(run, ours[ours.defense == "untreated"], "untreated")
  lwlrd = ours[
    (ours.defense == "lwlrd") & ours.member.map(lambda member: f"member/{member}" in run.samples).astype(bool)
  ]
  if len(lwlrd):
    winner = verdict.chosen if verdict.case == "winner" else None
    # The winner among its neighbours, where it has pictures.
    if winner is not None and winner.defense == "lwlrd" and (lwlrd.lr_max == winner.lr_max).any():
      lr = winner.lr_max
    else:
      lr = lwlrd.lr_max.iloc[0]
    lwlrd = lwlrd[lwlrd.lr_max == lr].drop_duplicates("decay").sort_values("decay")
    if len(lwlrd) > _MOST_DECAYS:
      lwlrd = lwlrd.iloc[np.linspace(0, len(lwlrd) - 1, _MOST_DECAYS).round().astype(int)]
    for _, row in lwlrd.iterrows():
      columns += _of(run, lwlrd[lwlrd.member == row.member], f"decay {rate(row.decay)}")
    high = ours[(ours.defense == "high_lr") & (ours.lr_max == lr)]
  else:
    high = ours[ours.defense == "high_lr"]
  columns += _of(run, high, "high-LR")
  if verdict.case == "winner" and verdict.chosen is not None:
    # A winner that is none of these is what a reader wants to see most.
    best = ours[ours.member.isin(verdict.chosen.members)]
    if len(best) and best.member.iloc[0] not in {column.member for column in columns}:
      columns += _of(run, best, short_name(verdict.chosen, verdict.schedules))
  if "mean_image" in run.samples:
    mean = rows[rows.defense == "mean_image"]
    pictures = np.broadcast_to(run.samples["mean_image"], originals.shape)
    columns.append(_Column("mean image", _figures(mean.iloc[0]) if len(mean) else "\n", pictures))
  return columns


def _of(run: Run, rows: pd.DataFrame, title: str) -> list[_Column]:
  """A member's column; none if it has no pictures."""
  if rows.empty or f"member/{rows.member.iloc[0]}" not in run.samples:
    return []
  row = rows.iloc[0]
  return [_Column(title, _figures(row), run.samples[f"member/{row.member}"], row.member)]


def _figures(row: pd.Series) -> str:
  if row.status != "ok":
    return f"{row.status.split(':')[0]}\n"
  reid = f"re-id {percent(row.reid)} %" if percent(row.reid) else ""
  return f"{reid}\nSSIM {score(row.ssim)}" if score(row.ssim) else f"{reid}\n"


def alt_text(verdict: Verdict) -> str:
  """What the figure shows, in words."""
  del verdict
  return "Grid of pictures: stolen originals on the left, then their reconstructions, schedule by schedule."
