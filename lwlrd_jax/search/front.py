"""Which of the schedules that were tried are worth choosing from, and which one to take."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from lwlrd_jax.report.summary import pareto_front
from lwlrd_jax.search.result import Result


@dataclasses.dataclass(frozen=True)
class Recommendation:
  """The schedule to take, if there is one.

  Attributes:
    result: It; None if no schedule keeps enough utility.
    case: `stops`: it stops every attack; `none_stops`: it leaks least of those that keep enough utility;
      `none_within`: there is none.
    reason: The same in a sentence.
  """

  result: Result | None
  case: str
  reason: str


def front(results: Sequence[Result]) -> list[Result]:
  """The results that no other beats in both utility and leakage.

  Args:
    results: Any; those that are not usable are left out.

  Returns:
    Of the usable ones, those of which none other loses as little AUC on the validation split, re-identifies as few
    images, and does better in one of the two. In ascending order of AUC lost.
  """
  usable = [result for result in results if result.usable]
  lost = np.array([result.auc_drop_val for result in usable])
  reid = np.array([result.reid for result in usable])
  kept = pareto_front(reid, -lost)
  return sorted((result for result, keep in zip(usable, kept, strict=True) if keep), key=_by_utility)


def recommend(results: Sequence[Result], max_auc_drop: float) -> Recommendation:
  """The schedule to take.

  Of those whose worst loss of AUC on the validation split is at most `max_auc_drop`:

  1. if some stop every attack, the one of these that loses least; ties go to the lower re-identification;
  2. otherwise the one with the lowest worst re-identification; ties go to the smaller loss.

  Args:
    results: Any; those that are not usable are left out.
    max_auc_drop: Largest AUC that may be lost, under any attack.
  """
  within = [result for result in results if result.usable and result.auc_drop_val <= max_auc_drop]
  limit = f"at most {max_auc_drop:.12g} of AUC on the validation split"
  if not within:
    return Recommendation(None, "none_within", f"No schedule that was tried loses {limit}.")
  stopping = [result for result in within if result.stops]
  if stopping:
    best = min(stopping, key=_by_utility)
    reason = f"Of the {len(stopping)} that stop every attack and lose {limit}, it loses least: {best.auc_drop_val:.3f}."
    return Recommendation(best, "stops", reason)
  best = min(within, key=lambda result: (result.reid, result.auc_drop_val, result.candidate.label))
  reason = f"None of the {len(within)} that lose {limit} stops every attack. It lets least through: {best.reid:.1%}."
  return Recommendation(best, "none_stops", reason)


def describe(results: Sequence[Result], *, rounds: int, max_auc_drop: float) -> dict[str, Any]:
  """A search for the record of a run.

  Args:
    results: All that was tried.
    rounds: Populations that were asked for.
    max_auc_drop: As for `recommend`.

  Returns:
    What JSON can hold. `front`: the front, and the recommended schedule, should another beat it by leaking less without
    stopping every attack; `auc_drop` and `auc` are of the test split, `auc_drop_val`, by which `front` is selected and
    sorted, of the validation split. `recommended`: its index in `front`, or null.
  """
  choice = recommend(results, max_auc_drop)
  shown = front(results)
  if choice.result is not None and choice.result not in shown:
    shown = sorted([*shown, choice.result], key=_by_utility)
  return {
    "rounds": rounds,
    "tried": len(results),
    "failed": sum(not result.usable for result in results),
    "max_auc_drop": max_auc_drop,
    "front": [_entry(result, recommended=result is choice.result) for result in shown],
    "recommended": next((i for i, result in enumerate(shown) if result is choice.result), None),
  }


def _by_utility(result: Result) -> tuple[float, float, str]:
  # The label decides between equals, so that no order of the results does.
  return result.auc_drop_val, result.reid, result.candidate.label


def _entry(result: Result, *, recommended: bool) -> dict[str, Any]:
  candidate = result.candidate
  return {
    "label": candidate.label,
    "defense": "lwlrd",
    "decay": candidate.decay,
    "lr_max": candidate.lr_max,
    "epochs": candidate.epochs,
    "shape": candidate.shape,
    "floor": candidate.floor,
    "granularity": candidate.granularity,
    "finish": "+".join(candidate.finish) or "none",
    "auc_drop": float(result.auc_drop_test),
    "auc_drop_val": float(result.auc_drop_val),
    "auc": float(result.auc),
    "reid": float(result.reid),
    "reid_by_attack": {name: float(value) for name, value in result.reid_by_attack.items()},
    "stops": bool(result.stops),
    "recommended": recommended,
  }
