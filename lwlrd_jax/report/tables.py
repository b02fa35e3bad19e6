"""The results as rows of text, for the page."""

import dataclasses
import math
from typing import Any

import pandas as pd

from lwlrd_jax.analysis.verdict import BOUNDED, CONTROLS, USUAL, Verdict
from lwlrd_jax.disk.results import COLUMNS, Column
from lwlrd_jax.report import formats

# What follows from a run's settings stands last.
_LAST = ("epochs", "shape", "optimizer", "batch_size", "model", "dataset", "member")
_SHOWN = {name: column for name, column in COLUMNS.items() if name not in _LAST}
_SHOWN |= {"seeds": Column("seeds", "count", "number of infections averaged over")}
_SHOWN |= {name: COLUMNS[name] for name in _LAST}
# Shown even if all rows agree.
_ALWAYS = {"member", "defense", "status", "auc", "reid", "ssim"}


@dataclasses.dataclass(frozen=True)
class Cell:
  """Text, and what to sort it by (empty cells sort last)."""

  text: str
  key: str


@dataclasses.dataclass(frozen=True)
class Row:
  """Cells, and what the row is: `control`, `winner`, `bad` or nothing."""

  kind: str
  cells: list[Cell]


@dataclasses.dataclass(frozen=True)
class Table:
  """What the page prints.

  Attributes:
    headers: Text, whether it is a number, and the column's meaning.
    rows: Controls first, then the table's order.
    constant: Columns with one value in all rows, left out: header and value.
    empty: Headers of columns without any value, left out.
  """

  headers: list[tuple[str, bool, str]]
  rows: list[Row]
  constant: list[tuple[str, str]]
  empty: list[str]


def member_table(table: pd.DataFrame, verdict: Verdict) -> Table:
  """Every member, controls first."""
  return _table(table, verdict)


def seed_table(verdict: Verdict) -> Table:
  """Means over seeds, for each attack and schedule."""
  return _table(verdict.averaged, verdict)


def header(column: Column) -> tuple[str, bool, str]:
  """Text, whether it is a number, and meaning."""
  return column.header, formats.FORMS[column.form] is not None, column.meaning


def cell(column: Column, value: Any, low: float = math.nan, high: float = math.nan) -> Cell:
  """A value as a column prints it, a figure with its interval where that is known."""
  form = formats.FORMS[column.form]
  if form is None:
    text = "" if pd.isna(value) else str(value)
    return Cell(text, text)
  text = formats.within(form, float(value), low, high)
  return Cell(text, repr(float(value)) if text else "")


def _table(table: pd.DataFrame, verdict: Verdict) -> Table:
  winners = set(verdict.chosen.members) if verdict.case == "winner" and verdict.chosen is not None else set()
  constant, empty, kept = [], [], {}
  for name, column in _SHOWN.items():
    if name not in table.columns:
      continue
    texts = {cell(column, value).text for value in table[name]}
    if name in USUAL and texts <= {"", cell(column, USUAL[name]).text}:
      continue
    if texts <= {""}:
      empty.append(column.header)
    elif len(texts) == 1 and len(table) > 1 and name not in _ALWAYS:
      constant.append((column.header, texts.pop()))
    else:
      kept[name] = column
  is_control = table.defense.isin(CONTROLS)
  rows = []
  for _, values in pd.concat([table[is_control], table[~is_control]]).iterrows():
    members = set(values["members"]) if "members" in table.columns else {values["member"]}
    kind = "winner" if members & winners else "control" if values["defense"] in CONTROLS else ""
    rows.append(Row(kind if values["status"] == "ok" else "bad", [_cell(*item, values) for item in kept.items()]))
  return Table([header(column) for column in kept.values()], rows, constant, empty)


def _cell(name: str, column: Column, row: pd.Series) -> Cell:
  if name in BOUNDED and f"{name}_low" in row.index:
    return cell(column, row[name], row[f"{name}_low"], row[f"{name}_high"])
  return cell(column, row[name])
