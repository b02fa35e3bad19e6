"""What a search for schedules found: its front of leakage and cost, and the schedule it recommends."""

import dataclasses
import math
from pathlib import Path
from typing import Any

from lwlrd_jax.disk.results import COLUMNS, Column
from lwlrd_jax.errors import UserError
from lwlrd_jax.report import formats
from lwlrd_jax.report.tables import Row, Table, cell, header

_NUMBERS = ("decay", "lr_max", "epochs", "floor", "auc_drop", "auc_drop_val", "auc", "reid")
_TEXTS = ("label", "defense", "shape", "finish")
# Attributes of a candidate, as the page prints them.
_COLUMNS = {
  "label": Column("schedule", "text", "its name in the run"),
  **{name: COLUMNS[name] for name in ("decay", "lr_max", "epochs", "shape", "floor", "finish")},
  "auc_drop_val": Column("AUC lost, validation", "score", "against the untreated model: what the front is of"),
  "auc_drop": Column("AUC lost, test", "score", "the same on the test split, which had no part in the choice"),
  "auc": COLUMNS["auc"],
  "reid": COLUMNS["reid"],
  "stops": Column("attacks stopped", "text", 'by the rule under "How leakage is measured"'),
  "choice": Column("choice", "text", "whether the search recommends it"),
}


@dataclasses.dataclass(frozen=True)
class Candidate:
  """A schedule of the front: no other that was tried leaks and costs as little, and one of them less.

  Attributes:
    label: Its name in the run.
    defense: Column of the table, as are decay, lr_max, epochs, floor (NaN where it has none), shape and finish.
    decay: See above.
    lr_max: See above.
    epochs: See above.
    floor: See above.
    shape: See above.
    finish: See above.
    auc_drop: AUC lost against the untreated model; negative if it gained.
    auc: What is left of it.
    reid: Re-identification, in [0, 1].
    attacks: How many attacks it was tried against.
    through: Those that it does not stop.
    auc_drop_val: AUC lost on the validation split, by which it is chosen.
    recommended: Whether it is the search's choice.
  """

  label: str
  defense: str
  decay: float
  lr_max: float
  epochs: float
  floor: float
  shape: str
  finish: str
  auc_drop: float
  auc: float
  reid: float
  attacks: int
  through: tuple[str, ...]
  auc_drop_val: float
  recommended: bool

  @property
  def stops(self) -> str:
    """Which attacks it stops, in words."""
    if not self.through:
      return "all" if self.attacks == 1 else f"all {self.attacks}"
    if len(self.through) == self.attacks:
      return "none"
    return f"{self.attacks - len(self.through)} of {self.attacks}, all but {', '.join(self.through)}"

  @property
  def choice(self) -> str:
    """Whether it is the search's choice, in words."""
    if not self.recommended:
      return ""
    if not self.through:
      return "recommended"
    return "leaks least" if len(self.through) == self.attacks else "stops most"


@dataclasses.dataclass(frozen=True)
class Search:
  """A finished search.

  Attributes:
    rounds: Rounds it took.
    tried: Schedules it tried.
    failed: Those of them that ended without usable figures.
    max_auc_drop: AUC that may be lost.
    front: Its front, by AUC lost on the validation split.
    recommended: Its choice: of the schedules that lose no more than they may on the validation split, the best of
      those that stop most attacks, or, if none stops any, the one that leaks least; None if all lose more.
  """

  rounds: int
  tried: int
  failed: int
  max_auc_drop: float
  front: list[Candidate]
  recommended: Candidate | None

  @property
  def sentence(self) -> str:
    """What it recommends, in words."""
    rounds = f"{self.rounds} round{'s' * (self.rounds > 1)}"
    effort = f"Of {formats.whole(self.tried)} schedules tried in {rounds}"
    limit = f"{formats.score(self.max_auc_drop)} of AUC on the validation split"
    found = self.recommended
    if found is None:
      failed = f" ({self.failed} diverged or failed)" if self.failed else ""
      return f"{effort}, none can be recommended: all lose more than {limit}{failed}."
    if not found.through:
      text = f"{effort}, {found.label} is recommended: it stops every attack"
    else:
      text = f"{effort}, none stops every attack and loses at most {limit}. {found.label} {found.choice}"
      text += f": {found.stops}" if found.choice == "stops most" else ""
    text += f". It leaves re-identification {formats.percent(found.reid)} % and loses "
    text += f"{formats.score(found.auc_drop_val)} of AUC on the validation split, {formats.score(found.auc_drop)} on "
    return formats.unbroken(f"{text}the test split. New images may fare a little worse than those it was chosen by.")


def front_table(search: Search) -> Table:
  """The front as the page prints it, by AUC lost on the validation split; the recommended schedule is marked."""
  rows = [
    Row(
      "winner" if candidate.recommended else "",
      [cell(column, getattr(candidate, name)) for name, column in _COLUMNS.items()],
    )
    for candidate in search.front
  ]
  return Table([header(column) for column in _COLUMNS.values()], rows, constant=[], empty=[])


def read_search(file: Path, entry: Any) -> Search | None:
  """The entry `search` of config.json.

  Args:
    file: For messages.
    entry: What it says; None if nothing.

  Raises:
    UserError: It is not as `Search` has it.
  """
  if entry is None:
    return None
  try:
    index = entry["recommended"]
    front = [_candidate(candidate, recommended=place == index) for place, candidate in enumerate(entry["front"])]
    if index is not None and not 0 <= index < len(front):
      raise ValueError(f"recommended is {index} of {len(front)}")
    drop = float(entry["max_auc_drop"])
    rounds, tried, failed = (int(entry[name]) for name in ("rounds", "tried", "failed"))
    found = Search(rounds, tried, failed, drop, front, None if index is None else front[index])
  except (TypeError, ValueError, KeyError) as error:
    raise UserError(f"{file}: search cannot be read ({type(error).__name__}: {error})") from error
  return dataclasses.replace(found, front=sorted(front, key=lambda candidate: candidate.auc_drop_val))


def _candidate(entry: dict[str, Any], *, recommended: bool) -> Candidate:
  cells: dict[str, Any] = {name: math.nan if entry[name] is None else float(entry[name]) for name in _NUMBERS}
  cells |= {name: str(entry[name] or "") for name in _TEXTS}
  through, attacks = entry["through"], entry["reid_by_attack"]
  if not isinstance(through, list) or not set(through) <= set(attacks):
    raise TypeError(f"through is {through!r}, of {list(attacks)}")
  return Candidate(**cells, attacks=len(attacks), through=tuple(through), recommended=recommended)
