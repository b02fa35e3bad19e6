"""The results as rows of text, for the page."""

import math
from typing import Any, NamedTuple

import pandas as pd

from lwlrd_jax.analysis.verdict import CONTROLS, USUAL, Verdict
from lwlrd_jax.disk.results import COLUMNS, Column
from lwlrd_jax.report import formats
from lwlrd_jax.report.naming import winning_members

# What follows from a run's settings stands last.
_LAST = ("epochs", "shape", "optimizer", "batch_size", "model", "dataset", "member")
_SHOWN = {
  **{name: column for name, column in COLUMNS.items() if name not in _LAST},
  "seeds": Column("seeds", "count", "number of infections averaged over"),
  **{name: COLUMNS[name] for name in _LAST},
}
# Shown even if all rows agree.
_ALWAYS = {"member", "defense", "status", "auc", "reid", "ssim"}


class Cell(NamedTuple):
  """Text, and what to sort it by (empty cells sort last)."""

  text: str
  key: str


class Row(NamedTuple):
  """Cells, and what the row is: `control`, `winner`, `bad` or nothing."""

  kind: str
  cells: list[Cell]


class Table(NamedTuple):
  """What the page prints."""

  headers: list[Column]
  rows: list[Row]  # controls first
  constant: list[tuple[str, str]]  # header and value of columns with one value in all rows, left out
  empty: list[str]  # headers of columns without any value, left out


def table_of(rows: pd.DataFrame, verdict: Verdict) -> Table:
  """Members of a run, or their means over infections (`verdict.averaged`), as a table."""
  winners = winning_members(verdict)
  constant, empty, kept = [], [], {}
  for name, column in _SHOWN.items():
    if name not in rows.columns:
      continue
    texts = {cell(column, value).text for value in rows[name]}
    if name in USUAL and texts <= {"", cell(column, USUAL[name]).text}:
      continue
    if texts <= {""}:
      empty.append(column.header)
    elif len(texts) == 1 and len(rows) > 1 and name not in _ALWAYS:
      constant.append((column.header, texts.pop()))
    else:
      kept[name] = column
  found = []
  for _, row in rows.sort_values("defense", key=lambda names: ~names.isin(CONTROLS), kind="stable").iterrows():
    members = set(row["members"]) if "members" in rows.columns else {row["member"]}
    kind = "winner" if members & winners else "control" if row["defense"] in CONTROLS else ""
    ends = {name: [row.get(f"{name}_{end}", math.nan) for end in ("low", "high")] for name in kept}
    cells = [cell(column, row[name], *ends[name]) for name, column in kept.items()]
    found.append(Row(kind if row["status"] == "ok" else "bad", cells))
  return Table([*kept.values()], found, constant, empty)


def cell(column: Column, value: Any, low: float = math.nan, high: float = math.nan) -> Cell:
  """A value as a column prints it, a figure with its interval where that is known."""
  if column.form == "text":
    text = "" if pd.isna(value) else str(value)
    return Cell(text, text)
  text = formats.within(formats.FORMS[column.form], float(value), low, high)
  return Cell(text, repr(float(value)) if text else "")
