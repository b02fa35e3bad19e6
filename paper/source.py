"""One run as the claims need it: which attacks work, which schedules are shown, who stops what."""

import dataclasses
import functools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from lwlrd_jax.analysis.bootstrap import UNKNOWN, Interval
from lwlrd_jax.analysis.verdict import SCHEDULE, STEPS, TUNING, Verdict, alike, best, number_stopped, stops_most
from lwlrd_jax.attacks.registry import ATTACKS
from lwlrd_jax.report import formats
from lwlrd_jax.report.load import Run
from lwlrd_jax.report.naming import short_name, steps

# Schedules beside one another that a page has room for.
_COLUMNS = 6
# Names that a sentence has room for.
_NAMES = 9
# Attackers who know the defence, and what each is measured against.
COUNTERPARTS = {name: info.counterparts for name, info in ATTACKS.items() if info.counterparts}
ALONE = ("none", "none")
# Part of an untreated model's AUC above guessing: who keeps less has collapsed.
COLLAPSED = 0.5


@dataclasses.dataclass(frozen=True, eq=False)
class Source:
  """A run, and its name, unique among the runs of a file."""

  name: str
  run: Run

  @property
  def verdict(self) -> Verdict:
    """What its table says."""
    return self.run.verdict

  @property
  def has_floor(self) -> bool:
    """Whether it can be said of an attack that it is stopped."""
    return math.isfinite(self.verdict.floors.ssim_limit)

  @functools.cached_property
  def working(self) -> list[str]:
    """Attacks that get through without a defence; empty where that cannot be said."""
    rows = {attack: self.untreated(attack) for attack in self.verdict.attacks}
    return [attack for attack, row in rows.items() if self.stopped(row) is False]

  @property
  def idle(self) -> list[str]:
    """Attacks that get nothing through even without a defence."""
    return [attack for attack in self.verdict.attacks if self.stopped(self.untreated(attack))]

  @property
  def why_nothing_works(self) -> str:
    """Why there is no attack to stop, in words."""
    if not self.verdict.attacks:
      return "no attack was run"
    if not self.has_floor:
      return "without the mean-image control nothing can be called stopped"
    return "no attack works without a defence" if self.idle else "the untreated models were not measured"

  def untreated(self, attack: str) -> pd.Series | None:
    """The averaged row of an attack without a defence; None without an ok one."""
    return self.verdict.control("untreated", attack)

  def row(self, schedule: pd.Series, attack: str) -> pd.Series | None:
    """The averaged row of a schedule and an attack; None if they were not run together."""
    return self._rows.get((attack, *_key(schedule)))

  @functools.cached_property
  def _rows(self) -> dict[tuple[Any, ...], pd.Series]:
    return {(row.attack, *_key(row)): row for _, row in self.verdict.averaged.iterrows()}

  def stopped(self, row: pd.Series | None) -> bool | None:
    """Whether an attack is stopped; None where that cannot be said."""
    if row is None or not self.has_floor or row.status != "ok" or not np.isfinite([row.reid, row.ssim]).all():
      return None
    return bool(row.stops)

  def unsure(self, row: pd.Series) -> bool:
    """Whether the interval of re-identification reaches above the limit."""
    return bool(row.reid_high > self.verdict.floors.limit(row.attack))

  def members(self, row: pd.Series) -> list[str]:
    """Those members of an averaged row that are ok: whose mean it is."""
    table = self.run.table
    return table.member[table.member.isin(row.members) & (table.status == "ok")].tolist()

  def difference(self, figure: str, row: pd.Series | None, other: pd.Series | None) -> Interval:
    """A figure's difference, the first row's less the other's; without figures by image, without an interval."""
    if row is None or other is None:
      return UNKNOWN
    key = (figure, row.members, other.members)
    if key not in self._differences:
      found = self.verdict.outcomes.difference(figure, self.members(row), self.members(other))
      value = Interval(float(row[figure] - other[figure]), math.nan, math.nan)
      self._differences[key] = found if found.known else value
    return self._differences[key]

  def auc_difference(self, schedule: pd.Series, other: pd.Series) -> Interval:
    """The difference of two schedules in AUC, mean over the attacks that both were run with and are ok under."""
    both = [(self.row(schedule, attack), self.row(other, attack)) for attack in self.verdict.attacks]
    pairs = [(mine, theirs) for mine, theirs in both if mine is not None and theirs is not None]
    pairs = [(mine, theirs) for mine, theirs in pairs if mine.status == theirs.status == "ok"]
    mine, theirs = ([self.members(pair[side]) for pair in pairs] for side in (0, 1))
    found = self.verdict.outcomes.mean_difference("auc", mine, theirs)
    gaps = [float(mine.auc - theirs.auc) for mine, theirs in pairs]
    return found if found.known else Interval(float(np.mean(gaps)) if gaps else math.nan, math.nan, math.nan)

  def collapsed(self, row: pd.Series) -> int:
    """How many members of an averaged row keep less than `COLLAPSED` of what the untreated model knows."""
    untreated = self.untreated(row.attack)
    if untreated is None:
      return 0
    table = self.run.table
    auc = table.auc[table.member.isin(self.members(row))]
    return int((auc < 0.5 + COLLAPSED * (untreated.auc - 0.5)).sum())

  @functools.cached_property
  def _differences(self) -> dict[tuple[str, tuple[str, ...], tuple[str, ...]], Interval]:
    """Those that were asked for: several claims ask for the same, and each is a bootstrap."""
    return {}

  def knows(self, figure: str) -> bool:
    """Whether the run has a figure image by image, and so with intervals."""
    return any(name.startswith(f"{figure}/") for name in self.verdict.outcomes.arrays)

  def family(self, defenses: Sequence[str], group: tuple[str, str]) -> pd.DataFrame:
    """Schedules of some defences with one pair of steps before and after."""
    rows = self.verdict.schedules
    return rows[rows.defense.isin(defenses) & (rows.prepare == group[0]) & (rows.finish == group[1])]

  @functools.cached_property
  def groups(self) -> list[tuple[str, str]]:
    """Pairs of steps before and after the fine-tuning, none first."""
    found = dict.fromkeys(zip(*(self.verdict.schedules[name] for name in STEPS), strict=True))
    return sorted(found, key=lambda group: group != ALONE)

  @functools.cached_property
  def lwlrd(self) -> pd.DataFrame:
    """Every LWLRD schedule, by steps, then by decay."""
    rows = [self.family(["lwlrd"], group).sort_values("decay", kind="stable") for group in self.groups]
    return pd.concat(rows) if rows else self.verdict.schedules

  @functools.cached_property
  def shown(self) -> pd.DataFrame:
    """LWLRD schedules with a column of their own: all, or some evenly chosen by decay and the best of each steps."""
    rows = self.lwlrd
    if len(rows) <= _COLUMNS:
      return rows
    tunings = rows[TUNING].drop_duplicates().sort_values("decay", kind="stable").reset_index(drop=True)
    chosen = [self.best(self.family(["lwlrd"], group)) for group in self.groups]
    needed = {int(np.argmax(alike(tunings, row, TUNING))) for row in chosen if row is not None}
    picked = evenly(len(tunings), max(2, _COLUMNS // len(self.groups)), needed)
    return rows[[any(alike(tunings.iloc[picked], row, TUNING)) for _, row in rows.iterrows()]]

  def best(self, rows: pd.DataFrame) -> pd.Series | None:
    """The schedule that the rule of `verdict` names among some; None if none was judged."""
    judged = rows[rows.judged]
    if judged.empty:
      return None
    stopping = judged[judged.stops]
    return stops_most(judged, self.working) if stopping.empty else best(stopping)

  def stops(self, schedule: pd.Series) -> int:
    """How many working attacks a schedule stops."""
    return int(number_stopped(schedule.to_frame().T, self.working).iloc[0])

  def short(self, schedule: pd.Series) -> str:
    """A schedule's name in a table."""
    return short_name(schedule, self.verdict.schedules)

  def told(self, rows: pd.DataFrame) -> str:
    """Some LWLRD schedules of the same steps in words: their decays where nothing else tells them apart."""
    if rows.empty:
      return "none"
    if len(rows) > _NAMES:
      return f"{len(rows)} schedules, {listed_ends(rows.decay)}"
    if len(self.lwlrd[[name for name in TUNING if name != "decay"]].drop_duplicates()) == 1:
      return f"decay {', '.join(formats.rate(decay) for decay in rows.decay)}"
    return ", ".join(self.short(row) for _, row in rows.iterrows())

  def rule(self) -> str:
    """Up to which figures an attack counts as stopped."""
    if not self.has_floor:
      return "none (no mean-image control)"
    floors = self.verdict.floors
    usual = formats.percent(floors.reid_limit)
    images = int(floors.reid_limit * self.run.stolen)
    others = [
      f"{attack} {formats.percent(floors.limit(attack))} %"
      for attack in self.verdict.attacks
      if formats.percent(floors.limit(attack)) != usual
    ]
    reid = f"{usual} %, {images} of {self.run.stolen}" + (f" ({', '.join(others)})" if others else "")
    return f"re-id ≤ {reid}, SSIM ≤ {formats.score(floors.ssim_limit)}"


def _key(row: pd.Series) -> tuple[Any, ...]:
  """What tells a schedule from others; empty cells agree."""
  return tuple(None if pd.isna(value) else value for value in row[SCHEDULE])


def evenly(length: int, number: int, needed: set[int]) -> list[int]:
  """Places evenly spread, moved to where places are needed.

  Args:
    length: Places there are, more than `number`.
    number: Places wanted, 2 or more.
    needed: Places that must be among them; they may be more than `number`.

  >>> evenly(9, 3, {5}), evenly(9, 3, {0, 7}), evenly(9, 2, {3, 4, 5})
  ([0, 5, 8], [0, 4, 7], [3, 4, 5])
  """
  picked = {round(place) for place in np.linspace(0, length - 1, min(number, length))}
  for place in sorted(needed - picked):
    free = picked - needed
    if free:
      picked.remove(min(free, key=lambda other: (abs(other - place), other)))
    picked.add(place)
  return sorted(picked)


def listed_ends(decays: pd.Series) -> str:
  """A range of decays.

  >>> listed_ends(pd.Series([0.3, 0.1, 0.5]))
  'decays 0.1 to 0.5'
  """
  return f"decays {formats.rate(decays.min())} to {formats.rate(decays.max())}"


def group_name(group: tuple[str, str]) -> str:
  """Steps before and after a fine-tuning in words.

  >>> group_name(("none", "none")), group_name(("noise", "strip+scrub"))
  ('no finishing step', 'noise before, strip and scrub after')
  """
  before, after = (formats.listed(steps(cell)) for cell in group)
  return ", ".join([f"{before} before"] * bool(before) + [f"{after} after"] * bool(after)) or "no finishing step"


def with_group(group: tuple[str, str]) -> str:
  """The same in a sentence.

  >>> with_group(ALONE), with_group(("none", "scrub"))
  ('alone', 'with scrub after')
  """
  return "alone" if group == ALONE else f"with {group_name(group)}"
