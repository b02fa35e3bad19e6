"""Which schedule wins: the rule, on a table of results.

A *schedule* is a row without its seed and attack: defense, decay, lr_max, floor, granularity, epochs, shape, optimizer,
batch size, share and overlap, and the steps on the weights before (prepare) and after (finish).

0. The utility that a schedule loses is the AUC that it loses against the untreated model, or half of the balanced
   accuracy if that is more; the most of all attacks. On the validation split where that was measured, else on the test
   split. Against a model without a fault if there is no untreated one.
1. Figures are averaged over seeds, for each attack and schedule. A schedule is *judged* if every one of its members has
   the status `ok` and AUC, re-identification and SSIM are numbers; others can neither win nor lose.
2. A schedule *stops* an attack only if what leaks is at the floor in every infection, by both measures:
   - `reid` is at most REID_FLOOR, or what guessing reaches within REID_ERRORS standard errors (of as many images as
     this attack took) if that is more;
   - `ssim` is at most that of the mean training image plus SSIM_MARGIN. Without that control nothing is stopped.
   Where bytes are limited (`Limits.bytes`), a schedule only counts if no more are certified.
3. With several attacks a schedule must stop each of them. It is then known by its worst figures: the owner of the data
   cannot know which attack a model carries.
4. Of the schedules that stop the attack, the one that loses least utility wins. Ties go to the lower re-identification,
   then to the lower SSIM, then to the earlier row.
5. If none stops them all there is no winner. Of those that stop most attacks, the one that loses least utility is
   named; if none stops any, the one with the lowest re-identification (then lowest SSIM, then least utility lost).
6. If the untreated model is at the floor already, the attack did not work and nothing can be credited.
"""

import dataclasses
import math
from typing import Literal

import numpy as np
import pandas as pd

from lwlrd_jax.analysis import outcomes as by_image
from lwlrd_jax.analysis.bootstrap import Interval
from lwlrd_jax.analysis.outcomes import Outcomes
from lwlrd_jax.disk.results import COLUMNS

# One image in fifty: what a few hundred random reconstructions have reached at most. A choice, not a
# law: of a thousand stolen images it lets twenty pass.
REID_FLOOR = 0.02
# Guessing hits `chance` of the stolen images, give or take a binomial standard error; two cover 95 %.
REID_ERRORS = 2.0
# Below it more bits are right than by chance: with more redundancy a code can be read again (Shannon 1948).
DESTROYED_BER = 0.49
# Seeds and post-processings move the SSIM of useless reconstructions by a few hundredths.
SSIM_MARGIN = 0.05

# Of what a fresh classifier learns from stolen images: nothing but that is measured of the last two.
DOWNSTREAM_CONTROLS = ("originals", "mean_image", "noise_images")
CONTROLS = ("untreated", "clean", *DOWNSTREAM_CONTROLS)
# Steps on the weights, before and after the fine-tuning.
STEPS = ["prepare", "finish"]
# Of balanced accuracy, which single images of rare classes move, as much may be lost as half of it in AUC.
BACC_WEIGHT = 0.5
_ROUNDING = 1e-9
# Shares of the original training that somebody may be able to spend on a defence.
BUDGETS = (0.10, 0.35, 1.0)
# What two kinds of fine-tuning have in common where they can be compared.
_COURSE = ["epochs", "shape", "optimizer", "batch_size", "share", "overlap"]
COMMON = ["lr_max", *_COURSE]
# What only a schedule with a decay has: nothing to tell others apart by.
DECAYING = ("decay", "floor", "granularity")
# The fine-tuning itself, and the schedule as a whole.
TUNING = ["start", "defense", "decay", "lr_max", "floor", "granularity", *_COURSE]
SCHEDULE = [*TUNING, *STEPS]
# Defaults of these; tables of earlier versions have no such columns.
USUAL = {"start": "keep", "floor": 0.0, "granularity": "layer", "share": 1.0, "overlap": "any"}
_FIGURES = [name for name, column in COLUMNS.items() if column.is_figure]
# Figures with intervals, in the columns <figure>_low and <figure>_high.
BOUNDED = ("auc", "reid", "ssim", "psnr", "downstream_auc")
# Over attacks a schedule has the largest of these; and some columns of the attack under which a figure is largest, a
# missing one taken as the largest ("first") or the smallest ("last").
_LARGEST = [
  *("reid", "ssim", "ssim_naive", "reid_worst", "ssim_worst", "surviving_dead"),
  *("lost", "auc_lost", "balanced_accuracy_lost", "compute", "certified_bytes"),
]
_WITH_LARGEST: dict[tuple[str, Literal["first", "last"]], list[str]] = {
  ("reid", "last"): ["reid_attack", "stolen", "reid_low", "reid_high"],
  ("ssim", "last"): ["ssim_low", "ssim_high"],
  ("surviving_bytes", "first"): ["surviving_bytes", "surviving_share"],
}


@dataclasses.dataclass(frozen=True)
class Limits:
  """What a recommended defence may cost against the untreated model, and may let through whatever the attack."""

  auc: float = 0.01
  balanced_accuracy: float = 0.02
  bytes: int | None = None  # None is any number

  def keeps(self, auc_lost: float, balanced_accuracy_lost: float) -> bool:
    """Whether that much may be lost; NaN may not."""
    # Differences of figures that are limits exactly are within them.
    return auc_lost <= self.auc + _ROUNDING and balanced_accuracy_lost <= self.balanced_accuracy + _ROUNDING

  def certifies(self, certified: float) -> bool:
    """Whether so many certified bytes may leave; NaN, where nothing is certified, only without a limit."""
    return self.bytes is None or certified <= self.bytes


def utility_lost(auc: float, balanced_accuracy: float) -> float:
  """From losses of AUC and of balanced accuracy: rule 0. NaN if AUC is; an unknown balanced accuracy does not count.

  >>> utility_lost(0.01, 0.04), utility_lost(0.01, math.nan)
  (0.02, 0.01)
  """
  return auc if math.isnan(balanced_accuracy) or math.isnan(auc) else max(auc, BACC_WEIGHT * balanced_accuracy)


@dataclasses.dataclass(frozen=True)
class Floors:
  """What useless reconstructions reach: re-identification by guessing, and SSIM of the mean training image.

  An attack counts as stopped up to `limit` of re-identification, which is `reid_limit` for as many images as the run
  says were stolen, and up to `ssim_limit`. SSIM is NaN if it was not measured.
  """

  chance: float
  reid_limits: dict[str, float]
  reid_limit: float
  ssim: float
  ssim_limit: float

  def limit(self, attack: str) -> float:
    """Re-identification up to which an attack counts as stopped."""
    return self.reid_limits.get(attack, self.reid_limit)

  def stops(self, attack: str, reid: float, ssim: float) -> bool:
    """Whether what leaks in the worst infection is at the floor by both measures: rule 2."""
    return reid <= self.limit(attack) and ssim <= self.ssim_limit


@dataclasses.dataclass(frozen=True, eq=False)
class Verdict:
  """What a table says."""

  # `winner`, `none_certified`, `none_stops`, `no_floor`, `attack_failed`, `none_judged` or `no_defences`
  case: str
  # The schedule the sentences are about, a row of `schedules`: the winner, or see rule 5; None if no schedule was
  # judged.
  chosen: pd.Series | None
  schedules: pd.DataFrame  # one row a schedule, see `combine`
  averaged: pd.DataFrame  # one row an attack and schedule, see `average`
  floors: Floors  # what counts as stopped
  attacks: list[str]  # all in the table
  failed_attacks: list[str]  # those that are at the floor without any defence
  split: str = "test"  # by which schedules are chosen: `validation` or `test`
  limits: Limits = Limits()
  outcomes: Outcomes = by_image.NONE  # figures by image; empty in runs without them

  @property
  def working_attacks(self) -> list[str]:
    """Attacks that get through without a defence."""
    return [attack for attack in self.attacks if attack not in self.failed_attacks]

  @property
  def main_attack(self) -> str:
    """The attack for figures that have room for one, of bits that are left: `dec` if it was run, else the first."""
    return "dec" if "dec" in self.attacks else next(iter(self.attacks), "none")

  def affordable(self, compute: float) -> pd.Series | None:
    """The schedule to take for at most that share of the original training; None if none of them stops every attack.

    One that costs no more utility than it may goes before others.
    """
    rows = self.schedules
    rows = rows[rows.judged & rows.stops & rows.certified & (rows.compute <= compute)]
    rows = rows[rows.keeps] if rows.keeps.any() else rows
    return None if rows.empty else best(rows)

  def leading_lwlrd(self) -> pd.Series | None:
    """The LWLRD schedule to show where there is room for one: the chosen one, else one in the middle of the decays."""
    if self.chosen is not None and self.chosen.defense == "lwlrd":
      return self.chosen
    rows = self.schedules[self.schedules.defense == "lwlrd"]
    rows = rows[rows.judged] if rows.judged.any() else rows
    return None if rows.empty else rows.sort_values("decay", kind="stable").iloc[len(rows) // 2]

  def control(self, name: str, attack: str) -> pd.Series | None:
    """A control's averaged row, of the attack or of none; None if it is not there or not ok."""
    rows = self.averaged
    found = rows[(rows.defense == name) & rows.attack.isin([attack, "none"]) & (rows.status == "ok")]
    return None if found.empty else found.iloc[0]

  def under(self, schedule: pd.Series, attack: str) -> pd.Series:
    """A schedule's averaged row of one of its attacks."""
    rows = self.averaged[self.averaged.attack == attack]
    return rows[rows.members.map(set(schedule.members).issuperset)].iloc[0]

  def difference(self, figure: str, row: pd.Series, other: pd.Series) -> Interval:
    """The difference of one of `outcomes.QUANTITIES`, of two rows of `averaged`; unknown without outcomes."""
    return self.outcomes.difference(figure, row.members, other.members)


def judge(
  table: pd.DataFrame, *, chance: float, stolen: int, outcomes: Outcomes = by_image.NONE, limits: Limits = Limits()
) -> Verdict:
  """Applies the rule to a table of `disk.results.COLUMNS`; `outcomes` are figures by image, for intervals.

  `chance` is re-identification by guessing; `stolen` how many images the attacker took, where the table lacks it.
  """
  averaged = average(table, outcomes)
  averaged["stolen"] = averaged.stolen.fillna(stolen)
  floors = find_floors(averaged, chance, stolen)
  worst = zip(averaged.attack, averaged.reid_worst, averaged.ssim_worst, strict=True)
  averaged["stops"] = np.array([floors.stops(*figures) for figures in worst], bool) & (averaged.status == "ok")
  attacks = [attack for attack in dict.fromkeys(averaged.attack) if attack not in {"none", ""}]
  unstopped = averaged[(averaged.defense == "untreated") & averaged.stops]
  failed = [attack for attack in attacks if attack in set(unstopped.attack)]
  working = [attack for attack in attacks if attack not in failed]
  defences = averaged[~averaged.defense.isin(CONTROLS) & (averaged.status == "ok")]
  split = "validation" if len(defences) and defences.auc_val.notna().all() else "test"
  averaged = _with_losses(averaged, split)
  schedules = combine(averaged, attacks, limits)
  judged = schedules[schedules.judged]
  stopping = judged[judged.stops]
  certified = stopping[stopping.certified]

  if judged.empty:
    case, chosen = "no_defences" if schedules.empty else "none_judged", None
  elif attacks and not working:
    case, chosen = "attack_failed", stops_most(judged, working)
  elif stopping.empty:
    case = "no_floor" if math.isnan(floors.ssim) else "none_stops"
    chosen = stops_most(judged, working)
  elif certified.empty:
    case, chosen = "none_certified", stopping.sort_values("certified_bytes", kind="stable").iloc[0]
  else:
    case, chosen = "winner", best(certified)
  return Verdict(case, chosen, schedules, averaged, floors, attacks, failed, split, limits, outcomes)


def _with_losses(averaged: pd.DataFrame, split: str) -> pd.DataFrame:
  """With what each row loses against its attack's untreated model: `auc_lost`, `balanced_accuracy_lost`, `lost`."""
  suffix, found = "_val" if split == "validation" else "", {}
  untreated = averaged[(averaged.defense == "untreated") & (averaged.status == "ok")].set_index("attack")
  for figure in ("auc", "balanced_accuracy"):
    column = averaged[figure + suffix]
    before = averaged.attack.map(untreated[figure + suffix]).astype(float).fillna(1.0)
    found[f"{figure}_lost"] = before - column
  lost = [utility_lost(*pair) for pair in zip(*found.values(), strict=True)]
  return averaged.assign(**found, lost=np.array(lost, float))


def find_floors(averaged: pd.DataFrame, chance: float, stolen: int) -> Floors:
  """The floors of a run; see `Floors`."""

  def limit(images: float) -> float:
    return max(REID_FLOOR, chance + REID_ERRORS * math.sqrt(chance * (1 - chance) / images))

  # Whatever a row of another number says, the attack is known by the fewest: the limit is then the wider one.
  limits = {str(attack): limit(images) for attack, images in averaged.groupby("attack").stolen.min().items()}
  mean_image = averaged[(averaged.defense == "mean_image") & (averaged.status == "ok")].ssim
  ssim = math.nan if mean_image.empty else float(mean_image.iloc[0])
  return Floors(chance, limits, limit(stolen), ssim, ssim + SSIM_MARGIN)


def average(table: pd.DataFrame, outcomes: Outcomes = by_image.NONE) -> pd.DataFrame:
  """Means over seeds of a table of `disk.results.COLUMNS`.

  One row an attack and schedule, in the table's order. Beside their columns and the figures, which are means over the
  members that are ok (NaN if one of these is NaN): `status` (`ok` only if all are), `seeds`, `members` (a tuple),
  `stolen`, the largest `certified_bytes`, `reid_worst` and `ssim_worst` (of a single seed), `surviving_share`
  (surviving bytes, of those of the untreated model), and of the figures in `BOUNDED` the ends of their 95 % intervals,
  `<figure>_low` and `<figure>_high` (NaN without outcomes).
  """
  rows, measured = [], []
  for _, group in with_usual(table).groupby(["attack", *SCHEDULE], sort=False, dropna=False):
    ok = group[group.status == "ok"]
    first = group.iloc[0]
    row = {name: first[name] for name in ["attack", *SCHEDULE]}
    row |= {name: ok[name].mean(skipna=False) if len(ok) else math.nan for name in _FIGURES}
    row["certified_bytes"] = ok.certified_bytes.max(skipna=False) if len(ok) else math.nan  # a bound, not a figure
    row |= {"status": _common_status(group.status.tolist()), "seeds": group.seed.nunique()}
    row |= {"members": tuple(group.member), "reid_worst": ok.reid.max(), "ssim_worst": ok.ssim.max()}
    rows.append(row | {"stolen": first.stolen})
    measured.append(tuple(ok.member))
  columns = ["attack", *SCHEDULE, *_FIGURES, "status", "seeds", "members", "reid_worst", "ssim_worst", "stolen"]
  averaged = pd.DataFrame(rows, columns=columns)
  for name in BOUNDED:
    found = outcomes.intervals(name, measured)
    averaged[f"{name}_low"] = [interval.low for interval in found]
    averaged[f"{name}_high"] = [interval.high for interval in found]
  untreated = averaged[(averaged.defense == "untreated") & (averaged.status == "ok")]
  total = averaged.attack.map(dict(zip(untreated.attack, untreated.surviving_bytes, strict=True))).astype(float)
  averaged["surviving_share"] = averaged.surviving_bytes / total.where(total > 0)
  return averaged


def with_usual(table: pd.DataFrame) -> pd.DataFrame:
  """Empty cells of fine-tuned rows get the usual value, so that they agree with rows that say it."""
  fine_tuned = ~table.defense.isin(CONTROLS)
  empty = {name: fine_tuned & (table[name].isna() | (table[name] == "").fillna(False)) for name in USUAL}
  return table.assign(**{name: table[name].mask(empty[name], USUAL[name]) for name in USUAL})


def combine(averaged: pd.DataFrame, attacks: list[str], limits: Limits = Limits()) -> pd.DataFrame:
  """Each schedule's worst figures over attacks, all of which it has to stop; controls are left out.

  `averaged` is from `average`, with the column `stops`. One row a schedule: its columns; utility and `attack` of the
  attack under which its AUC is lowest; the largest `reid`, `ssim`, `surviving_dead` and so on; `reid_attack`, the
  attack the first is of, with its interval and its `stolen`; the largest `lost`, `auc_lost`, `balanced_accuracy_lost`,
  `compute` and `certified_bytes`; `keeps` and `certified`, whether these are within `limits`; `surviving_bytes` and
  `surviving_share` of the attack that keeps most; `judged`, `stops`, `through`, a tuple of the attacks it does not
  stop, and `damaged`, of those that it stops though their bits are not all destroyed: name and bit error rate.
  """
  rows = []
  defences = averaged[~averaged.defense.isin(CONTROLS)].assign(reid_attack=lambda rows: rows.attack)
  for _, group in defences.groupby(SCHEDULE, sort=False, dropna=False):
    measured = group[["auc", "reid", "ssim"]].notna().all(axis=None)
    damaged = group[(group.ber < DESTROYED_BER) & group.stops]
    row = group.sort_values("auc", kind="stable").iloc[0].copy()
    row[_LARGEST] = group[_LARGEST].max(skipna=False)
    for (figure, missing), names in _WITH_LARGEST.items():
      ordered = group.sort_values(figure, ascending=False, na_position=missing, kind="stable")
      row[names] = ordered.iloc[0][names]
    row["auc_val"] = group.auc_val.min(skipna=False)
    row["keeps"] = limits.keeps(row.auc_lost, row.balanced_accuracy_lost)
    row["certified"] = limits.certifies(row.certified_bytes)
    row["damaged"] = tuple(zip(damaged.attack, damaged.ber, strict=True))
    row["judged"] = bool((group.status == "ok").all() and measured and set(attacks) <= set(group.attack))
    row["stops"] = bool(row["judged"] and group.stops.all())
    row["through"] = tuple(group.attack[~group.stops])
    row["status"] = next((status for status in group.status if status != "ok"), "ok")
    row["members"] = tuple(member for members in group.members for member in members)
    rows.append(row)
  columns = [*averaged.columns, "judged", "reid_attack", "through", "damaged", "keeps", "certified"]
  schedules = pd.DataFrame(rows, columns=columns).reset_index(drop=True)
  return schedules.astype(dict.fromkeys(("judged", "stops", "keeps", "certified"), bool))


def alike(rows: pd.DataFrame, row: pd.Series, columns: list[str]) -> pd.Series:
  """Which rows agree with one in some columns; two empty cells agree."""
  values = row[columns]
  return ((rows[columns] == values) | (rows[columns].isna() & values.isna())).all(axis=1)


def best(schedules: pd.DataFrame) -> pd.Series:
  """The one that loses least utility; see the rule for ties."""
  return schedules.sort_values(["lost", "reid", "ssim"], kind="stable").iloc[0]


def stops_most(schedules: pd.DataFrame, working: list[str]) -> pd.Series:
  """Which comes closest where none stops every attack: rule 5."""
  stopped = number_stopped(schedules, working)
  if stopped.max() > 0:
    return best(schedules[stopped == stopped.max()])
  return schedules.sort_values(["reid", "ssim", "lost"], kind="stable").iloc[0]


def number_stopped(schedules: pd.DataFrame, working: list[str]) -> pd.Series:
  """How many attacks each schedule stops, of those that work without a defence."""
  return schedules.through.map(lambda through: len(set(working) - set(through))).astype(int)


def pareto_front(reid: np.ndarray, auc: np.ndarray) -> np.ndarray:
  """Which points no other point beats: as little leakage and as much utility, and more of one.

  bool[N] of `reid` f64[N], to be small, and `auc` f64[N], to be large; False where either is NaN.

  >>> pareto_front(np.array([0.0, 0.5, 0.5, 0.9]), np.array([0.7, 0.8, 0.75, np.nan])).tolist()
  [True, True, False, False]
  """
  no_worse = (reid[:, None] <= reid) & (auc[:, None] >= auc)
  better = (reid[:, None] < reid) | (auc[:, None] > auc)
  return np.isfinite(reid) & np.isfinite(auc) & ~(no_worse & better).any(axis=0)


def _common_status(statuses: list[str]) -> str:
  """One status for several seeds.

  >>> _common_status(["ok", "ok"]), _common_status(["ok", "diverged"])
  ('ok', 'diverged (1 of 2 seeds)')
  """
  bad = [status or "unknown" for status in statuses if status != "ok"]
  if not bad:
    return "ok"
  return bad[0] if len(statuses) == 1 else f"{bad[0]} ({len(bad)} of {len(statuses)} seeds)"
