"""What is found of a candidate: its worst figures over attacks."""

import dataclasses
import math
from collections.abc import Mapping, Sequence

import numpy as np

from lwlrd_jax.analysis.verdict import Floors
from lwlrd_jax.search.space import Candidate

OK = "ok"


@dataclasses.dataclass(frozen=True)
class Outcome:
  """What one attack, in one infection, got through a candidate's fine-tuning and finishing steps.

  Attributes:
    attack: Its name.
    auc_drop_val: AUC on the validation split of that infection's untreated model, less that of the treated one.
    auc_drop_test: The same on the test split.
    auc: Of the treated model, on the test split.
    reid: Share of stolen images re-identified, in [0, 1].
    ssim: Mean SSIM of the reconstructions, in [-1, 1].
    status: As in the results table: `ok`, `diverged` or `failed: <why>`.
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
  """A candidate's figures: the worst over attacks, since nobody knows which attack a model carries.

  Attributes:
    candidate: The candidate.
    auc_drop_val: Largest AUC lost on the validation split, by which a search selects.
    auc_drop_test: Largest AUC lost on the test split, which is reported of the selected.
    auc: Lowest AUC on the test split.
    reid_by_attack: Re-identification of each attack, in [0, 1].
    ssim_excess: Largest SSIM over that of the mean training image; negative below it.
    through: Attacks that are not stopped, by the rule of the verdict (`analysis/verdict.py`).
    status: `ok`, or that of a member that is not.
  """

  candidate: Candidate
  auc_drop_val: float
  auc_drop_test: float
  auc: float
  reid_by_attack: Mapping[str, float]
  ssim_excess: float
  through: tuple[str, ...]
  status: str = OK

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

  Raises:
    ValueError: No outcomes.
  """
  if not outcomes:
    raise ValueError(f"no outcomes of {candidate.label}")
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


def _largest(figures: Mapping[str, float]) -> float:
  """The largest, or NaN if there is one, whatever the order."""
  return float(np.max([*figures.values()]))
