"""What a search found: candidates' figures, which of them are worth choosing from, and which one to take."""

import dataclasses
import math
import operator
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from lwlrd_jax.analysis.verdict import Floors, Limits, utility_lost
from lwlrd_jax.defenses.member_id import step_names
from lwlrd_jax.search.space import Candidate

OK = "ok"


class Outcome(NamedTuple):
  """What one attack, in one infection, got through a candidate's fine-tuning and finishers.

  Drops are AUC and balanced accuracy lost against that infection's untreated model, on the validation and on the test
  split; `auc` is of the treated one on the test split, `reid` in [0, 1], `ssim` in [-1, 1]; `compute`,
  `certified_bytes` and `status` are as in the results table.
  """

  attack: str
  auc_drop_val: float
  auc_drop_test: float
  auc: float
  reid: float
  ssim: float
  status: str = OK
  bacc_drop_val: float = math.nan
  bacc_drop_test: float = math.nan
  compute: float = 0.0
  certified_bytes: float = math.nan


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
  bacc_drop_val: float = math.nan  # largest balanced accuracy lost, likewise
  bacc_drop_test: float = math.nan
  compute: float = 0.0  # of the defence, as a share of the original training
  certified_bytes: float = math.nan  # that get through at most, whatever the attack
  certified: bool = True  # whether that is within the limit

  @property
  def lost(self) -> float:
    """Utility lost on the validation split, by the rule of the verdict."""
    return utility_lost(self.auc_drop_val, self.bacc_drop_val)

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


def combine(candidate: Candidate, outcomes: Sequence[Outcome], floors: Floors, limits: Limits) -> Result:
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

  certified = float(np.max([outcome.certified_bytes for outcome in outcomes]))  # a bound: no mean of infections
  return Result(
    candidate,
    auc_drop_val=_largest(means("auc_drop_val")),
    auc_drop_test=_largest(means("auc_drop_test")),
    bacc_drop_val=_largest(means("bacc_drop_val")),
    bacc_drop_test=_largest(means("bacc_drop_test")),
    compute=_largest(means("compute")),
    certified_bytes=certified,
    certified=limits.certifies(certified),
    auc=float(np.min([*means("auc").values()])),
    reid_by_attack=means("reid"),
    ssim_excess=_largest(means("ssim")) - floors.ssim,
    # As in the report, a figure that is too high in one infection is enough.
    through=tuple(
      name for name, found in of_attack.items() if not all(floors.stops(name, one.reid, one.ssim) for one in found)
    ),
  )


def front(results: Sequence[Result]) -> list[Result]:
  """The results that no other beats in utility, leakage and compute.

  Leakage is how many attacks get through, and how many images the worst of them gives away. Either alone says too
  little: one attack that nothing stops gives everything away whatever the others do, and a schedule that halves what
  each attack gets still stops none.

  Of the usable ones, those of which none other loses as little utility on the validation split, lets as few attacks
  through, re-identifies as few images, takes as little compute, and does better in one of the four. In ascending order
  of utility lost.
  """
  usable = [result for result in results if result.usable]
  figures = [(result.lost, len(result.through), result.reid, result.compute) for result in usable]

  def beaten(ours: tuple[float, int, float, float]) -> bool:
    return any(theirs != ours and all(map(operator.le, theirs, ours)) for theirs in figures)

  return sorted((result for result, ours in zip(usable, figures, strict=True) if not beaten(ours)), key=_by_utility)


class Recommendation(NamedTuple):
  """The schedule to take, None if no schedule keeps enough utility, and the reason in a sentence."""

  result: Result | None
  reason: str


def recommend(results: Sequence[Result], limits: Limits) -> Recommendation:
  """The schedule to take, of the usable ones that lose no more utility on the validation split than they may.

  They must be certified to carry no more bytes than they may. It is the one that stops most attacks; of several, the
  one that loses least; ties go to the lower re-identification. If none stops any, it is the one with the lowest worst
  re-identification.
  """
  within = [
    result
    for result in results
    if result.usable
    and result.certified
    and limits.keeps(result.auc_drop_val, 0.0 if math.isnan(result.bacc_drop_val) else result.bacc_drop_val)
  ]
  limit = (
    f"at most {limits.auc:.12g} of AUC and {limits.balanced_accuracy:.12g} of balanced accuracy on the validation split"
  )
  if limits.bytes is not None:
    limit += f", certified to carry at most {limits.bytes} bytes"
  if not within:
    return Recommendation(None, f"No schedule that was tried loses {limit}.")
  best = min(within, key=lambda result: (len(result.through), *_by_utility(result)))
  if best.stops:
    count = sum(result.stops for result in within)
    reason = f"Of the {count} that stop every attack and lose {limit}, it loses least: {best.lost:.3f}."
    return Recommendation(best, reason)
  none = f"No schedule that was tried stops every attack and loses {limit}."
  attacks, through = len(best.reid_by_attack), len(best.through)
  if through == attacks:
    best = min(within, key=lambda result: (result.reid, result.lost, result.candidate.label))
    reason = f"{none} Least is let through by {best.candidate.label}: {best.reid:.1%} re-identified."
    return Recommendation(best, reason)
  stopped = f"{attacks - through} of {attacks}, all but {', '.join(best.through)} ({best.reid:.1%} re-identified)"
  return Recommendation(best, f"{none} Most are stopped by {best.candidate.label}: {stopped}.")


def describe(results: Sequence[Result], *, rounds: int, limits: Limits) -> dict[str, Any]:
  """A search of so many rounds for the record of a run.

  Returns:
    What JSON can hold. `front`: the front, which the recommended schedule is one of; `auc_drop`, `bacc_drop` and `auc`
    are of the test split, `lost`, by which `front` is selected and sorted, of the validation split. `recommended`: its
    index in `front`, or null.
  """
  chosen = recommend(results, limits).result
  shown = front(results)
  return {
    "rounds": rounds,
    "tried": len(results),
    "failed": sum(not result.usable for result in results),
    "max_auc_drop": limits.auc,
    "max_bacc_drop": limits.balanced_accuracy,
    "max_bytes": limits.bytes,
    "front": [_entry(result, recommended=result is chosen) for result in shown],
    "recommended": next((i for i, result in enumerate(shown) if result is chosen), None),
  }


def _entry(result: Result, *, recommended: bool) -> dict[str, Any]:
  schedule = vars(result.candidate) | {"start": str(result.candidate.start)}
  finish = step_names(schedule.pop("finish"))
  return {
    "label": result.candidate.label,
    "defense": "lwlrd",
    **schedule,
    "finish": finish,
    "auc_drop": result.auc_drop_test,
    "auc_drop_val": result.auc_drop_val,
    "bacc_drop": None if math.isnan(result.bacc_drop_test) else result.bacc_drop_test,
    "bacc_drop_val": None if math.isnan(result.bacc_drop_val) else result.bacc_drop_val,
    "lost": result.lost,
    "compute": result.compute,
    "certified_bytes": None if math.isnan(result.certified_bytes) else result.certified_bytes,
    "auc": result.auc,
    "reid": result.reid,
    "reid_by_attack": dict(result.reid_by_attack),
    "through": list(result.through),
    "recommended": recommended,
  }


def _by_utility(result: Result) -> tuple[float, float, str]:
  # The label decides between equals, so that no order of the results does.
  return result.lost, result.reid, result.candidate.label


def _largest(figures: Mapping[str, float]) -> float:
  """The largest, or NaN if there is one, whatever the order."""
  return float(np.max([*figures.values()]))
