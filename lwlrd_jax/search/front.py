"""Which of the schedules that were tried are worth choosing from, and which one to take."""

import dataclasses
import operator
from collections.abc import Sequence
from typing import Any, NamedTuple

from lwlrd_jax.search.result import Result


class Recommendation(NamedTuple):
  """The schedule to take, None if no schedule keeps enough utility, and the reason in a sentence."""

  result: Result | None
  reason: str


def front(results: Sequence[Result]) -> list[Result]:
  """The results that no other beats in utility and leakage.

  Leakage is how many attacks get through, and how many images the worst of them gives away. Either alone says too
  little: one attack that nothing stops gives everything away whatever the others do, and a schedule that halves what
  each attack gets still stops none.

  Returns:
    Of the usable ones, those of which none other loses as little AUC on the validation split, lets as few attacks
    through, re-identifies as few images, and does better in one of the three. In ascending order of AUC lost.
  """
  usable = [result for result in results if result.usable]
  figures = [(result.auc_drop_val, len(result.through), result.reid) for result in usable]

  def beaten(ours: tuple[float, int, float]) -> bool:
    return any(theirs != ours and all(map(operator.le, theirs, ours)) for theirs in figures)

  return sorted((result for result, ours in zip(usable, figures, strict=True) if not beaten(ours)), key=_by_utility)


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


def _by_utility(result: Result) -> tuple[float, float, str]:
  # The label decides between equals, so that no order of the results does.
  return result.auc_drop_val, result.reid, result.candidate.label


def _entry(result: Result, *, recommended: bool) -> dict[str, Any]:
  schedule = dataclasses.asdict(result.candidate)
  finish = schedule.pop("finish")
  return {
    "label": result.candidate.label,
    "defense": "lwlrd",
    **schedule,
    "finish": "+".join(finish) or "none",
    "auc_drop": result.auc_drop_test,
    "auc_drop_val": result.auc_drop_val,
    "auc": result.auc,
    "reid": result.reid,
    "reid_by_attack": dict(result.reid_by_attack),
    "through": list(result.through),
    "recommended": recommended,
  }
