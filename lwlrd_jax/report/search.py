"""What a search for schedules found: its front of leakage and cost, and the schedule it recommends."""

import math
from pathlib import Path
from typing import Any, NamedTuple

from lwlrd_jax.disk.results import COLUMNS, Column
from lwlrd_jax.errors import UserError
from lwlrd_jax.report import formats
from lwlrd_jax.report.tables import Row, Table, cell

_COLUMNS = {
  "label": Column("schedule", "text", "its name in the run"),
  **{name: COLUMNS[name] for name in ("start", "decay", "lr_max", "epochs", "shape", "floor", "finish")},
  "lost": Column(
    "utility lost, validation",
    "score",
    "against the untreated model, what the front is of: AUC, or half of the balanced accuracy if that is more",
  ),
  "auc_drop_val": Column("AUC lost, validation", "score", "its part of AUC"),
  "auc_drop": Column("AUC lost, test", "score", "the same on the test split, which had no part in the choice"),
  "bacc_drop": Column("balanced accuracy lost, test", "score", "likewise"),
  "auc": COLUMNS["auc"],
  **{name: COLUMNS[name] for name in ("compute", "certified_bytes")},
  "reid": COLUMNS["reid"],
  "stops": Column("attacks stopped", "text", 'by the rule under "How leakage is measured"'),
  "choice": Column("choice", "text", "whether the search recommends it"),
}


# What a search of an earlier version does not say, and what that means.
_LATER = {"start": "keep", "lost": None, "bacc_drop": None, "compute": None, "certified_bytes": None}


class Search(NamedTuple):
  """A finished search."""

  # What it recommends: of the schedules that lose no more AUC than they may on the validation split, the best of
  # those that stop most attacks, or, if none stops any, the one that leaks least.
  sentence: str
  front: Table  # the schedules that no other beats, by AUC lost on the validation split; that one is marked


def read_search(file: Path, entry: Any) -> Search | None:
  """The entry `search` of config.json, which is `file`; None if it has none.

  Raises:
    UserError: It is not as `setup/describe.py` writes it.
  """
  if entry is None:
    return None
  try:
    place = entry["recommended"]
    front = [_candidate(candidate, recommended=i == place) for i, candidate in enumerate(entry["front"])]
    if place is not None and not 0 <= place < len(front):
      raise ValueError(f"recommended is {place} of {len(front)}")
    chosen = None if place is None else front[place]
    sentence = _sentence(entry, chosen)
  except (TypeError, ValueError, KeyError) as error:
    raise UserError(f"{file}: search cannot be read ({type(error).__name__}: {error})") from error
  rows = [
    Row("winner" if candidate is chosen else "", [cell(column, candidate[name]) for name, column in _COLUMNS.items()])
    for candidate in sorted(front, key=_lost)
  ]
  return Search(sentence, Table([*_COLUMNS.values()], rows, constant=[], empty=[]))


def _lost(candidate: dict[str, Any]) -> float:
  """Searches of earlier versions went by AUC alone."""
  return candidate["lost"] if math.isfinite(candidate["lost"]) else candidate["auc_drop_val"]


def _candidate(entry: dict[str, Any], *, recommended: bool) -> dict[str, Any]:
  """A schedule of the front: its cells by column."""
  through, attacks = entry["through"], entry["reid_by_attack"]
  if not isinstance(through, list) or not set(through) <= set(attacks):
    raise TypeError(f"through is {through!r}, of {list(attacks)}")
  number, stopped = len(attacks), len(attacks) - len(through)
  if not through:
    stops, choice = "all" if number == 1 else f"all {number}", "recommended"
  elif not stopped:
    stops, choice = "none", "leaks least"
  else:
    stops, choice = f"{stopped} of {number}, all but {', '.join(through)}", "stops most"
  cells: dict[str, Any] = {"stops": stops, "choice": choice if recommended else ""}
  for name in _COLUMNS.keys() - cells.keys():
    value = entry.get(name, _LATER[name]) if name in _LATER else entry[name]
    is_text = _COLUMNS[name].form == "text"
    cells[name] = str(value or "") if is_text else math.nan if value is None else float(value)
  return cells


def _sentence(entry: dict[str, Any], chosen: dict[str, Any] | None) -> str:
  rounds, tried, failed = (int(entry[name]) for name in ("rounds", "tried", "failed"))
  effort = f"Of {formats.whole(tried)} schedules tried in {rounds} round{'s' * (rounds > 1)}"
  limit = f"{formats.score(float(entry['max_auc_drop']))} of AUC"
  if (balanced := entry.get("max_bacc_drop")) is not None:
    limit += f" and {formats.score(float(balanced))} of balanced accuracy"
  limit += " on the validation split"
  if (certified := entry.get("max_bytes")) is not None:
    limit += f", certified to carry at most {formats.size(float(certified))}"
  if chosen is None:
    why = f" ({failed} diverged or failed)" if failed else ""
    return f"{effort}, none loses at most {limit}{why}."
  if chosen["choice"] == "recommended":
    text = f"{effort}, {chosen['label']} is recommended: it stops every attack"
  else:
    text = f"{effort}, none stops every attack and loses at most {limit}. {chosen['label']} {chosen['choice']}"
    text += f": {chosen['stops']}" if chosen["choice"] == "stops most" else ""
  return formats.unbroken(
    f"{text}. It leaves re-identification {formats.percent(chosen['reid'])} % and loses "
    f"{formats.score(chosen['auc_drop_val'])} of AUC on the validation split, {formats.score(chosen['auc_drop'])} on "
    "the test split. New images may fare a little worse than those it was chosen by."
  )
