"""The results as rows of text, for the page."""

import dataclasses
import math
from collections.abc import Callable

import pandas as pd

from lwlrd_jax.analysis.verdict import BOUNDED, CONTROLS, USUAL, Verdict
from lwlrd_jax.disk.results import COLUMNS
from lwlrd_jax.report import formats

# Header and format by column, the telling ones first; text columns have no format.
_HEADERS: dict[str, tuple[str, Callable[[float], str] | None]] = {
  "defense": ("defense", None),
  "decay": ("decay", formats.rate),
  "lr_max": ("lr_max", formats.rate),
  "floor": ("floor", formats.rate),
  "granularity": ("decay by", None),
  "share": ("share of data", formats.rate),
  "overlap": ("stolen among it", None),
  "prepare": ("prepare", None),
  "finish": ("finish", None),
  "attack": ("attack", None),
  "stolen": ("stolen", formats.whole),
  "seed": ("seed", formats.whole),
  "seeds": ("seeds", formats.whole),
  "status": ("status", None),
  "auc": ("AUC", formats.score),
  "auc_val": ("AUC, validation", formats.score),
  "balanced_accuracy": ("balanced accuracy", formats.score),
  "accuracy": ("accuracy", formats.score),
  "reid": ("re-identified, %", formats.percent),
  "ssim": ("SSIM, best", formats.score),
  "ssim_naive": ("SSIM, naive", formats.score),
  "psnr": ("PSNR, dB", formats.decimal),
  "downstream_auc": ("AUC, downstream", formats.score),
  "mse": ("MSE", lambda value: f"{value:.4f}" if math.isfinite(value) else ""),
  "ber": ("bit errors, %", formats.percent),
  "exact": ("exact images, %", formats.percent),
  "host_auc": ("AUC before hiding", formats.score),
  "codec_psnr": ("PSNR of the codec, dB", formats.decimal),
  "payload_bytes": ("payload, MB", formats.megabytes),
  "carrier_share": ("of the carrier's room, %", formats.percent),
  "scrubbed_planes": ("scrubbed planes", None),
  "scrub_reinitialised": ("re-initialised weights", formats.whole),
  "scrub_kept": ("weights kept without a gradient", formats.whole),
  "surviving_bytes": ("surviving, MB", formats.megabytes),
  "surviving_mantissa": ("mantissa, MB", formats.megabytes),
  "surviving_exponent": ("exponent, MB", formats.megabytes),
  "surviving_sign": ("sign, MB", formats.megabytes),
  "surviving_extra": ("extra tensors, MB", formats.megabytes),
  "surviving_dead": ("in dead weights, MB", formats.megabytes),
  "seconds": ("fine-tuning, s", formats.decimal),
  "epochs": ("epochs", formats.whole),
  "shape": ("shape", None),
  "optimizer": ("optimizer", None),
  "batch_size": ("batch size", formats.whole),
  "model": ("model", None),
  "dataset": ("data set", None),
  "member": ("member", None),
}
_MEASURED = ("auc", "reid", "ssim")


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
  return _table(table, [name for name in _HEADERS if name in COLUMNS], verdict)


def seed_table(verdict: Verdict) -> Table:
  """Means over seeds, for each attack and schedule."""
  rows = verdict.averaged
  names = [name for name in _HEADERS if name in rows.columns]
  return _table(rows, names, verdict)


def column_meanings() -> list[tuple[str, str, str]]:
  """Header, name in results.parquet and meaning of every column."""
  return [(_HEADERS[name][0], name, meaning) for name, (_, meaning) in COLUMNS.items()]


def _table(table: pd.DataFrame, names: list[str], verdict: Verdict) -> Table:
  winners = set(verdict.chosen.members) if verdict.case == "winner" and verdict.chosen is not None else set()
  constant, empty, kept = [], [], []
  for name in names:
    texts = {_text(name, value) for value in table[name]}
    if name in USUAL and texts <= {"", _text(name, USUAL[name])}:
      continue
    if texts <= {""}:
      empty.append(_HEADERS[name][0])
    elif len(texts) == 1 and len(table) > 1 and name not in {"member", "defense", "status", *_MEASURED}:
      constant.append((_HEADERS[name][0], texts.pop()))
    else:
      kept.append(name)
  is_control = table.defense.isin(CONTROLS)
  rows = []
  for _, values in pd.concat([table[is_control], table[~is_control]]).iterrows():
    members = set(values["members"]) if "members" in table.columns else {values["member"]}
    kind = "winner" if members & winners else "control" if values["defense"] in CONTROLS else ""
    kind = kind if values["status"] == "ok" else "bad"
    rows.append(Row(kind, [_cell(name, values) for name in kept]))
  headers = [(_HEADERS[name][0], _HEADERS[name][1] is not None, _meaning(name)) for name in kept]
  return Table(headers, rows, constant, empty)


def text_cell(text: str) -> Cell:
  """Text, sorted by itself."""
  return Cell(text, text)


def number_cell(value: float, form: Callable[[float], str], low: float = math.nan, high: float = math.nan) -> Cell:
  """A figure, with its interval where that is known, sorted by its size."""
  text = formats.within(form, value, low, high)
  return Cell(text, repr(float(value)) if text else "")


def _cell(name: str, row: pd.Series) -> Cell:
  form = _HEADERS[name][1]
  if form is None:
    return text_cell(_text(name, row[name]))
  bounds = [row[f"{name}_{end}"] for end in ("low", "high")] if name in BOUNDED and f"{name}_low" in row.index else []
  return number_cell(float(row[name]), form, *bounds)


def _text(name: str, value) -> str:
  form = _HEADERS[name][1]
  if form is None and pd.isna(value):
    return ""
  return str(value) if form is None else form(float(value))


def _meaning(name: str) -> str:
  return COLUMNS[name][1] if name in COLUMNS else "number of infections averaged over"
