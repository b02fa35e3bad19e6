"""What a search for schedules found: its front of leakage and cost, and the schedule it recommends."""

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lwlrd_jax.disk.results import COLUMNS
from lwlrd_jax.errors import UserError
from lwlrd_jax.report import formats
from lwlrd_jax.report.sections.tables import Row, Table, number_cell, text_cell

_NUMBERS = ("decay", "lr_max", "epochs", "floor", "auc_drop", "auc_drop_val", "auc", "reid")
_TEXTS = ("label", "defense", "shape", "finish")
# Of the table: attribute, then header, format and meaning.
_SHAPE = ("label", "decay", "lr_max", "epochs", "shape", "floor", "finish")
_COLUMNS = (*_SHAPE, "auc_drop_val", "auc_drop", "auc", "reid", "stops", "choice")
_HEADERS: tuple[tuple[str, Callable[[float], str] | None, str], ...] = (
  ("schedule", None, "its name in the run"),
  ("decay", formats.rate, COLUMNS["decay"][1]),
  ("lr_max", formats.rate, COLUMNS["lr_max"][1]),
  ("epochs", formats.whole, COLUMNS["epochs"][1]),
  ("shape", None, COLUMNS["shape"][1]),
  ("floor", formats.rate, COLUMNS["floor"][1]),
  ("finish", None, COLUMNS["finish"][1]),
  ("AUC lost, validation", formats.score, "against the untreated model, on the validation split: what the front is of"),
  ("AUC lost, test", formats.score, "the same on the test split, which had no part in the choice"),
  ("AUC", formats.score, "what is left of it on the test split"),
  ("re-identified, %", formats.percent, COLUMNS["reid"][1]),
  ("attacks stopped", None, 'by the rule under "How leakage is measured"'),
  ("choice", None, "whether the search recommends it"),
)


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
    return "lets least through" if len(self.through) == self.attacks else "stops most"


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
      those that stop most attacks, or, if none stops any, the one that lets least through; None if all lose more.
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
    effort = (
      f"Of {formats.whole(self.tried)} schedules tried in {self.rounds} {'round' if self.rounds == 1 else 'rounds'}"
    )
    drop = formats.score(self.max_auc_drop)
    found = self.recommended
    if found is None:
      return f"{effort}, none can be recommended: {self._why_none}."
    name = formats.NAMES.get(found.defense, found.defense)
    name += f" with decay {formats.rate(found.decay)}" if math.isfinite(found.decay) else ""
    reid = f"re-identification {formats.percent(found.reid)} %"
    cost = (
      f"{formats.score(found.auc_drop_val)} of AUC lost on the validation split, where {drop} may be, and "
      f"{formats.score(found.auc_drop)} on the test split"
    )
    if not found.through:
      text = f"{effort}, {name} ({found.label}) is recommended. It stops every attack: {reid}, {cost}."
    else:
      text = f"{effort}, none stops every attack and loses at most {drop} of AUC on the validation split. "
      text += (
        f"Least is let through by {name} ({found.label}): {reid}, {cost}."
        if len(found.through) == found.attacks
        else f"Most are stopped by {name} ({found.label}): {found.stops} ({reid}), {cost}."
      )
    return formats.unbroken(f"{text} Leakage is that of the images it was chosen by: new ones may fare a little worse.")

  @property
  def _why_none(self) -> str:
    lost = f"more than {formats.score(self.max_auc_drop)} of AUC on the validation split"
    compared = self.tried - self.failed
    if not compared:
      return "all diverged or failed"
    if not self.failed:
      return f"all lose {lost}"
    return f"{self.failed} diverged or failed, and {compared} {'loses' if compared == 1 else 'lose'} {lost}"


def front_table(search: Search) -> Table:
  """The front as the page prints it, by AUC lost on the validation split; the recommended schedule is marked."""
  headers = [(name, form is not None, meaning) for name, form, meaning in _HEADERS]
  rows = []
  for candidate in search.front:
    values = [getattr(candidate, name) for name in _COLUMNS]
    cells = [
      text_cell(value) if form is None else number_cell(value, form)
      for value, (_, form, _) in zip(values, _HEADERS, strict=True)
    ]
    rows.append(Row("winner" if candidate.recommended else "", cells))
  return Table(headers, rows, constant=[], empty=[])


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
