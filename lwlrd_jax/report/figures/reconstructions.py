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
from lwlrd_jax.report.naming import short_name, winner, winning_members, with_steps

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


def draw(run: Run) -> Figure | None:
  """A grid: a row an image, a column a schedule; None if there are no pictures, or none may be shown."""
  if "originals" not in run.samples:
    return None
  blocks = _blocks(run)
  most = max(len(columns) for columns in blocks.values())
  count, height, width = run.samples["originals"].shape[:3]
  rows = min(_ROWS if len(blocks) == 1 else _ROWS_OF_TWO, count)
  side = 0.82 if most > 8 else 0.95
  tall = side * height / width * rows + 0.85 + (0.05 if len(blocks) > 1 else 0)
  figure = style.new_figure(side * most + 0.1, tall * len(blocks))
  figure.set_layout_engine("constrained", w_pad=0.012, h_pad=0.012, wspace=0, hspace=0)
  parts = figure.subfigures(len(blocks), 1, squeeze=False)[:, 0]
  winners = winning_members(run.verdict)
  for part, (attack, columns) in zip(parts, blocks.items(), strict=True):
    if len(blocks) > 1:
      part.suptitle(f"{attack} attack", fontsize=9, fontweight="bold", x=0.01, ha="left")
    _draw_block(part.subplots(rows, most, squeeze=False), columns, winners)
  return figure


def _blocks(run: Run) -> dict[str, list[_Column]]:
  """Columns of the first attack, and of the one that hides bits if it has pictures."""
  first, second = next(iter(run.verdict.attacks), "none"), run.verdict.main_attack
  blocks = {first: _columns(run, first)}
  if second != first and _pictured(run, run.table[run.table.attack == second]).any():
    blocks[second] = _columns(run, second)
  return blocks


def _draw_block(grid: np.ndarray, columns: list[_Column], winners: set[str]) -> None:
  for cell in grid[:, len(columns) :].flat:
    cell.set_visible(False)
  for cells, column in zip(grid.T, columns, strict=False):
    for cell, picture in zip(cells, column.pictures, strict=False):
      cell.imshow(picture.squeeze(), cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    for cell in cells:
      cell.set_xticks([])
      cell.set_yticks([])
      cell.spines[:].set_visible(False)
    best = column.member in winners
    title = "\n".join([*(["best:"] if best else []), textwrap.fill(column.title, _TITLE_WIDTH), column.figures])
    cells[0].set_title(title, fontsize=7, fontweight="bold" if best else "normal", loc="center", pad=3)


def _pictured(run: Run, rows: pd.DataFrame) -> pd.Series:
  """Which members there are pictures of."""
  return rows.member.map(lambda member: f"member/{member}" in run.samples).astype(bool)


def _columns(run: Run, attack: str) -> list[_Column]:
  """The originals, members of the attack, and the mean image; of the first infection."""
  originals = run.samples["originals"]
  rows = run.table[run.table.seed == run.table.seed.min()]
  ours = rows[(rows.attack == attack) & _pictured(run, rows)]
  by_member = ours.set_index("member", drop=False)
  columns = [_Column("original", "\n", originals)]
  for member, title in _titles(ours, rows, run.verdict).items():
    columns.append(_Column(title, _figures(by_member.loc[member]), run.samples[f"member/{member}"], member))
  if "mean_image" in run.samples:
    mean = rows[rows.defense == "mean_image"]
    pictures = np.broadcast_to(run.samples["mean_image"], originals.shape)
    columns.append(_Column("mean image", _figures(mean.iloc[0]) if len(mean) else "\n", pictures))
  return columns


def _titles(ours: pd.DataFrame, rows: pd.DataFrame, verdict: Verdict) -> dict[str, str]:
  """The members of an attack, among all rows, that a reader compares: the title of each."""
  lwlrd, high = (ours[ours.defense == defense] for defense in ("lwlrd", "high_lr"))
  leading, best = verdict.leading_lwlrd(), winner(verdict)
  chosen = [(ours[ours.defense == "untreated"], "untreated")]
  if len(lwlrd):
    # The winner among its neighbours, where it has pictures: of one kind of fine-tuning and of steps on the weights.
    kind = [name for name in SCHEDULE if name not in {"defense", "decay"}]
    like = lwlrd[alike(lwlrd, lwlrd.iloc[0] if leading is None else leading, kind)]
    like = like if len(like) else lwlrd[alike(lwlrd, lwlrd.iloc[0], kind)]
    high = high[alike(high, like.iloc[0], [name for name in kind if name not in DECAYING])]
    has_steps = bool((like.iloc[0][STEPS] != "none").any())
    for _, some in _some_decays(like, leading, _MOST_DECAYS - 2 * has_steps).groupby("decay"):
      chosen.append((some, with_steps(f"decay {rate(some.decay.iloc[0])}", some.iloc[0], rows)))
    if leading is not None and has_steps:
      # What the steps on the weights do shows only beside the same schedule without them.
      bare = lwlrd[alike(lwlrd, leading, TUNING) & (lwlrd[STEPS] == "none").all(axis=1)]
      chosen.append((bare, f"decay {rate(leading.decay)} alone"))
  elif len(high):
    high = high[alike(high, high.iloc[0], STEPS)]
  if len(high):
    chosen.append((high, with_steps("high-LR", high.iloc[0], rows)))
  if best is not None:
    # A winner that is none of these is what a reader wants to see most.
    chosen.append((ours[ours.member.isin(best.members)], short_name(best, verdict.schedules)))
  titles: dict[str, str] = {}
  for found, title in chosen:
    for member in found.member.head(1):
      titles.setdefault(member, title)
  return titles


def _some_decays(rows: pd.DataFrame, leading: pd.Series | None, most: int) -> pd.DataFrame:
  """One member a decay: an even subset if they are many, and always the leading one."""
  rows = rows.drop_duplicates("decay").sort_values("decay")
  if len(rows) <= most:
    return rows
  keep = np.isin(np.arange(len(rows)), np.linspace(0, len(rows) - 1, most).round())
  return rows[keep | (rows.decay == (leading.decay if leading is not None else np.nan))]


def _figures(row: pd.Series) -> str:
  if row.status != "ok":
    return f"{row.status.split(':')[0]}\n"
  reid, ssim = percent(row.reid), score(row.ssim)
  return "\n".join([f"re-id {reid} %" if reid else "", f"SSIM {ssim}" if ssim else ""])
