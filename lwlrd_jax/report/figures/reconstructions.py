"""Pictures: what the attacker gets, beside what was stolen."""

import textwrap
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from lwlrd_jax.analysis.verdict import DECAYING, SCHEDULE, STEPS, TUNING, Verdict, alike
from lwlrd_jax.report.figures import style
from lwlrd_jax.report.formats import percent, rate, score
from lwlrd_jax.report.load import Run
from lwlrd_jax.report.naming import short_name, with_steps

ALT = "Grid of pictures: stolen originals on the left, then their reconstructions, schedule by schedule."
_MOST_DECAYS = 9
_ROWS = 8
# With a second attack below, there is room for so many images each.
_ROWS_OF_TWO = 4
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
  blocks = _blocks(run, verdict)
  most = max(len(columns) for columns in blocks.values())
  count = len(run.samples["originals"])
  rows = min(_ROWS if len(blocks) == 1 else _ROWS_OF_TWO, count)
  side = 0.82 if most > 8 else 0.95
  height, width = run.samples["originals"].shape[1:3]
  tall = side * height / width * rows + 0.85 + (0.05 if len(blocks) > 1 else 0)
  figure = style.new_figure(side * most + 0.1, tall * len(blocks))
  figure.set_layout_engine("constrained", w_pad=0.012, h_pad=0.012, wspace=0, hspace=0)
  parts = figure.subfigures(len(blocks), 1, squeeze=False)[:, 0]
  for part, (attack, columns) in zip(parts, blocks.items(), strict=True):
    if len(blocks) > 1:
      part.suptitle(f"{attack} attack", fontsize=9, fontweight="bold", x=0.01, ha="left")
    _draw_block(part, columns, rows, most, verdict)
  return figure


def _blocks(run: Run, verdict: Verdict) -> dict[str, list[_Column]]:
  """Columns of the first attack, and of the one that hides bits if it has pictures."""
  first = verdict.attacks[0] if verdict.attacks else "none"
  blocks = {first: _columns(run, verdict, first)}
  second = verdict.main_attack
  pictured = run.table[(run.table.attack == second)].member.map(lambda member: f"member/{member}" in run.samples)
  if second != first and pictured.any():
    blocks[second] = _columns(run, verdict, second)
  return blocks


def _draw_block(part, columns: list[_Column], rows: int, most: int, verdict: Verdict) -> None:
  grid = part.subplots(rows, most, squeeze=False)
  for cell in grid[:, len(columns) :].flat:
    cell.set_visible(False)
  winners = set(verdict.chosen.members) if verdict.case == "winner" and verdict.chosen is not None else set()
  grid = grid[:, : len(columns)]
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


def _columns(run: Run, verdict: Verdict, attack: str) -> list[_Column]:
  originals = run.samples["originals"]
  columns = [_Column("original", "\n", originals)]
  rows = run.table[run.table.seed == run.table.seed.min()]
  ours = rows[rows.attack == attack]
  columns += _of(run, ours[ours.defense == "untreated"], "untreated")
  lwlrd = ours[
    (ours.defense == "lwlrd") & ours.member.map(lambda member: f"member/{member}" in run.samples).astype(bool)
  ]
  high = ours[ours.defense == "high_lr"]
  if len(lwlrd):
    # The winner among its neighbours, where it has pictures: of one kind of fine-tuning and of steps on the weights.
    leading = verdict.leading_lwlrd()
    kind = [name for name in SCHEDULE if name not in {"defense", "decay"}]
    like = lwlrd if leading is None else lwlrd[alike(lwlrd, leading, kind)]
    like = like if len(like) else lwlrd[alike(lwlrd, lwlrd.iloc[0], kind)]
    high = high[alike(high, like.iloc[0], [name for name in kind if name not in DECAYING])]
    has_steps = bool((like.iloc[0][STEPS] != "none").any())
    for row in _some_decays(like, leading, _MOST_DECAYS - 2 * has_steps):
      columns += _of(run, lwlrd[lwlrd.member == row.member], with_steps(f"decay {rate(row.decay)}", row, rows))
    if leading is not None and has_steps:
      # What the steps on the weights do shows only beside the same schedule without them.
      bare = lwlrd[alike(lwlrd, leading, TUNING) & (lwlrd[STEPS] == "none").all(axis=1)]
      columns += _of(run, bare, f"decay {rate(leading.decay)} alone")
  elif len(high):
    high = high[alike(high, high.iloc[0], STEPS)]
  if len(high):
    columns += _of(run, high, with_steps("high-LR", high.iloc[0], rows))
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


def _some_decays(rows: pd.DataFrame, leading: pd.Series | None, most: int) -> list[pd.Series]:
  """One member a decay: an even subset if they are many, and always the leading one."""
  rows = rows.drop_duplicates("decay").sort_values("decay")
  if len(rows) > most:
    even = np.linspace(0, len(rows) - 1, most).round().astype(int)
    keep = rows.index.isin(rows.iloc[even].index)
    rows = rows[keep | (rows.decay == (leading.decay if leading is not None else np.nan))]
  return [row for _, row in rows.iterrows()]


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
