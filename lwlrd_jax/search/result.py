"""What a search found: candidates' figures, which of them are worth choosing from, and which one to take."""

import dataclasses
import math
import operator
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from lwlrd_jax.analysis.verdict import Floors
from lwlrd_jax.defenses.member_id import step_names
from lwlrd_jax.search.space import Candidate

OK = "ok"


class Outcome(NamedTuple):
  """What one attack, in one infection, got through a candidate's fine-tuning and finishers.

  Drops are AUC lost against that infection's untreated model, on the validation and on the test split; `auc` is of the
  treated one on the test split, `reid` in [0, 1], `ssim` in [-1, 1], `status` as in the results table.
  """

  attack: str
  auc_drop_val: float
  auc_drop_test: float
  auc: float
  reid: float
  ssim: float
  status: str = OK


@dataclasses.dataclass(frozen=True)
class Result:
  """A candidate's figures: the worst over attacks, since it is not known which attack a model carries."""

  candidate: Candidate
  auc_drop_val: float  # largest AUC lost on the validation split, by which a search selects
  auc_drop_test: float  # largest AUC lost on the test split, which is reported of the selected
  auc: float  # lowest AUC on the test split
  reid_by_attack: Mapping[str, float]  # re-identification of each attack, in [0, 1]
  ssim_excess: float  # largest SSIM over that of the mean training image; negative below it
  through: tuple[str, ...]  # attacks that are not stopped, by the rule of the verdict (`analysis/verdict.py`)
  status: str = OK  # `ok`, or that of a member that is not

  @property
  def stops(self) -> bool:
    """Whether every attack is stopped."""
    return self.status == OK and not self.through

  @property
  def reid(self) -> float:
    """Largest re-identification over attacks; NaN if there is none."""
    return _largest(self.reid_by_attack) if self.reid_by_attack else math.nan

  @property
  def usable(self) -> bool:
    """Whether it can be compared: its status is ok, and none of its figures is NaN or infinity."""
    figures = (self.auc_drop_val, self.auc_drop_test, self.auc, self.reid, self.ssim_excess)
    return self.status == OK and all(map(math.isfinite, figures))


def combine(candidate: Candidate, outcomes: Sequence[Outcome], floors: Floors) -> Result:
  """One result of all attacks and infections, one or more: means over infections, then the worst attack.

  Its status is that of the first outcome that is not ok, and its figures are NaN then.
  """
  status = next((outcome.status for outcome in outcomes if outcome.status != OK), OK)
  if status != OK:
    return Result(candidate, math.nan, math.nan, math.nan, {}, math.nan, (), status)
  of_attack: dict[str, list[Outcome]] = {}
  for outcome in outcomes:
    of_attack.setdefault(outcome.attack, []).append(outcome)

  def means(figure: str) -> dict[str, float]:
    return {name: sum(getattr(one, figure) for one in found) / len(found) for name, found in of_attack.items()}

  return Result(
    candidate,
    auc_drop_val=_largest(means("auc_drop_val")),
    auc_drop_test=_largest(means("auc_drop_test")),
    auc=float(np.min([*means("auc").values()])),
    reid_by_attack=means("reid"),
    ssim_excess=_largest(means("ssim")) - floors.ssim,
    # As in the report, a figure that is too high in one infection is enough.
    through=tuple(
      name for name, found in of_attack.items() if not all(floors.stops(name, one.reid, one.ssim) for one in found)
    ),
  )


def front(results: Sequence[Result]) -> list[Result]:
  """The results that no other beats in utility and leakage.

  Leakage is how many attacks get through, and how many images the worst of them gives away. Either alone says too
  little: one attack that nothing stops gives everything away whatever the others do, and a schedule that halves what
  each attack gets still stops none.

  Of the usable ones, those of which none other loses as little AUC on the validation split, lets as few attacks
  through, re-identifies as few images, and does better in one of the three. In ascending order of AUC lost.
  """
  usable = [result for result in results if result.usable]
  figures = [(result.auc_drop_val, len(result.through), result.reid) for result in usable]

  def beaten(ours: tuple[float, int, float]) -> bool:
    return any(theirs != ours and all(map(operator.le, theirs, ours)) for theirs in figures)

  return sorted((result for result, ours in zip(usable, figures, strict=True) if not beaten(ours)), key=_by_utility)


class Recommendation(NamedTuple):
  """The schedule to take, None if no schedule keeps enough utility, and the reason in a sentence."""

  result: Result | None
  reason: str


def recommend(results: Sequence[Result], max_auc_drop: float) -> Recommendation:
  """The schedule to take, of the usable ones whose worst loss of AUC on the validation split is at most `max_auc_drop`.

  It is the one that stops most attacks; of several, the one that loses least; ties go to the lower re-identification.
  If none stops any, it is the one with the lowest worst re-identification.
  """
  within = [result for result in results if result.usable and result.auc_drop_val <= max_auc_drop]
  limit = f"at most {max_auc_drop:.12g} of AUC on the validation split"
  if not within:
    return Recommendation(None, f"No schedule that was tried loses {limit}.")
  best = min(within, key=lambda result: (len(result.through), *_by_utility(result)))
  if best.stops:
    count = sum(result.stops for result in within)
    reason = f"Of the {count} that stop every attack and lose {limit}, it loses least: {best.auc_drop_val:.3f}."
    return Recommendation(best, reason)
  none = f"No schedule that was tried stops every attack and loses {limit}."
  attacks, through = len(best.reid_by_attack), len(best.through)
  if through == attacks:
    best = min(within, key=lambda result: (result.reid, result.auc_drop_val, result.candidate.label))
    reason = f"{none} Least is let through by {best.candidate.label}: {best.reid:.1%} re-identified."
    return Recommendation(best, reason)
  stopped = f"{attacks - through} of {attacks}, all but {', '.join(best.through)} ({best.reid:.1%} re-identified)"
  return Recommendation(best, f"{none} Most are stopped by {best.candidate.label}: {stopped}.")


def describe(results: Sequence[Result], *, rounds: int, max_auc_drop: float) -> dict[str, Any]:
  """A search of so many rounds for the record of a run.

  Returns:
    What JSON can hold. `front`: the front, which the recommended schedule is one of; `auc_drop` and `auc` are of the
    test split, `auc_drop_val`, by which `front` is selected and sorted, of the validation split. `recommended`: its
    index in `front`, or null.
  """
  chosen = recommend(results, max_auc_drop).result
  shown = front(results)
  return {
    "rounds": rounds,
    "tried": len(results),
    "failed": sum(not result.usable for result in results),
    "max_auc_drop": max_auc_drop,
    "front": [_entry(result, recommended=result is chosen) for result in shown],
    "recommended": next((i for i, result in enumerate(shown) if result is chosen), None),
  }


def _entry(result: Result, *, recommended: bool) -> dict[str, Any]:
  schedule = dataclasses.asdict(result.candidate)
  finish = step_names(schedule.pop("finish"))
  return {
    "label": result.candidate.label,
    "defense": "lwlrd",
    **schedule,
    "finish": finish,
    "auc_drop": result.auc_drop_test,
    "auc_drop_val": result.auc_drop_val,
    "auc": result.auc,
    "reid": result.reid,
    "reid_by_attack": dict(result.reid_by_attack),
    "through": list(result.through),
    "recommended": recommended,
  }


def _by_utility(result: Result) -> tuple[float, float, str]:
  # The label decides between equals, so that no order of the results does.
  return result.auc_drop_val, result.reid, result.candidate.label


def _largest(figures: Mapping[str, float]) -> float:
  """The largest, or NaN if there is one, whatever the order."""
  return float(np.max([*figures.values()]))
