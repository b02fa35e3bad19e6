"""Which codes get through: a table of defences and attacks."""

import dataclasses
import math

import pandas as pd

from lwlrd_jax.analysis.verdict import COMMON, DESTROYED_BER, TUNING, Verdict, alike, number_stopped
from lwlrd_jax.attacks.registry import ATTACKS
from lwlrd_jax.report import formats
from lwlrd_jax.report.naming import short_name

_ORDER = ("vanilla", "high_lr", "super_ft_long", "super_ft_short", "reversed", "lwlrd")
_MOST_DECAYS = 4


@dataclasses.dataclass(frozen=True)
class Cell:
  """What one attack still gives away.

  Attributes:
    verdict: `leaks`, `stopped`, `stopped, not destroyed`, or why that cannot be said; empty if the pair was not run.
    figures: Bit errors and re-identification.
    kind: `leaks`, `stopped`, `damaged` or `unknown`, for its colour.
  """

  verdict: str
  figures: str
  kind: str


@dataclasses.dataclass(frozen=True)
class Hidden:
  """What an attack hid in its model, in words; empty where it was not measured.

  Attributes:
    attack: Its name.
    payload: Size, and its share of the carrier's room.
    auc: Before and after.
    psnr: Of the codec alone, and of what is read back without a defence.
    ber: Of what is read back.
  """

  attack: str
  payload: str
  auc: str
  psnr: str
  ber: str


@dataclasses.dataclass(frozen=True)
class Codes:
  """What the page prints.

  Attributes:
    attacks: Columns: name, and what it hides where.
    rows: Name of a defence, whether it is the winner, and a cell an attack.
    hidden: What was hidden, an attack each; empty if no attack hides codes.
    omitted: Number of schedules that are not shown.
  """

  attacks: list[tuple[str, str]]
  rows: list[tuple[str, bool, list[Cell]]]
  hidden: list[Hidden]
  omitted: int


def codes(verdict: Verdict) -> Codes | None:
  """The table; None without an attack."""
  if not verdict.attacks:
    return None
  shown = main_schedules(verdict)
  untreated = verdict.averaged[verdict.averaged.defense == "untreated"]
  rows = [("untreated", False, _cells(untreated, verdict))] if len(untreated) else []
  for _, schedule in shown.iterrows():
    of_schedule = verdict.averaged[verdict.averaged.members.map(set(schedule.members).issuperset)]
    is_winner = verdict.case == "winner" and set(schedule.members) == set(verdict.chosen.members)  # type: ignore[union-attr]
    rows.append((short_name(schedule, verdict.schedules), is_winner, _cells(of_schedule, verdict)))
  attacks = [(attack, ATTACKS[attack].hides if attack in ATTACKS else "") for attack in verdict.attacks]
  hidden = [_hidden(row) for _, row in untreated.iterrows() if math.isfinite(row.payload_bytes)]
  return Codes(attacks, rows, hidden, len(verdict.schedules) - len(shown))


def _hidden(row: pd.Series) -> Hidden:
  return Hidden(
    row.attack,
    f"{formats.megabytes(row.payload_bytes)} MB, {formats.percent(row.carrier_share)} % of the room",
    f"{formats.score(row.host_auc)} → {formats.score(row.auc)}",
    f"{formats.decimal(row.codec_psnr)} → {formats.decimal(row.psnr)} dB",
    f"{row.ber:.3f}" if math.isfinite(row.ber) else "",
  )


def _cells(rows: pd.DataFrame, verdict: Verdict) -> list[Cell]:
  return [_cell(rows[rows.attack == attack], verdict) for attack in verdict.attacks]


def _cell(rows: pd.DataFrame, verdict: Verdict) -> Cell:
  if rows.empty:
    return Cell("", "not run", "unknown")
  row = rows.iloc[0]
  if row.status != "ok":
    return Cell(row.status.split(":")[0], "", "unknown")
  told = [f"BER {row.ber:.3f}"] if math.isfinite(row.ber) else []
  told += [f"re-id {formats.percent(row.reid)}\u00a0%"] if math.isfinite(row.reid) else []
  if not math.isfinite(row.reid) or math.isnan(row.ssim) or math.isnan(verdict.floors.ssim):
    return Cell("cannot be said", ", ".join(told), "unknown")
  if row.stops:
    # Where the attack failed without a defence, no defence has stopped it.
    failed = row.attack in verdict.failed_attacks
    if failed:
      return Cell("never worked", ", ".join(told), "unknown")
    if row.ber < DESTROYED_BER:
      return Cell("stopped, not destroyed", ", ".join(told), "damaged")
    return Cell("stopped", ", ".join(told), "stopped")
  if row.reid <= verdict.floors.limit(row.attack):
    told.append(f"SSIM {formats.score(row.ssim)}")
  return Cell("leaks", ", ".join(told), "leaks")


def main_schedules(verdict: Verdict) -> pd.DataFrame:
  """A readable selection: each baseline once, LWLRD at few decays, all with each of their steps on the weights."""
  schedules = verdict.schedules
  leading = verdict.leading_lwlrd()
  picked = []
  for defense in dict.fromkeys([*_ORDER, *schedules.defense]):
    rows = schedules[schedules.defense == defense]
    if rows.empty:
      continue
    if leading is not None:
      # Like with like: at the rates of the LWLRD schedules that are shown.
      columns = [name for name in TUNING if name not in {"defense", "decay"}] if defense == "lwlrd" else COMMON
      same = rows[alike(rows, leading, columns)]
      rows = same if len(same) else rows[alike(rows, rows.iloc[0], columns)]
    settings = rows.drop_duplicates(TUNING)
    keep = _decays(settings, rows, verdict) if defense == "lwlrd" else settings.iloc[:1].decay.tolist()
    chosen = rows[rows.decay.isin(keep)] if rows.decay.notna().any() else rows
    picked.append(chosen.sort_values(["decay"], kind="stable"))
  found = pd.concat(picked) if picked else schedules
  winner = verdict.chosen if verdict.case == "winner" else None
  if winner is not None and not (found.members == winner.members).any():
    found = pd.concat([found, schedules[schedules.members == winner.members]])
  return found


def _decays(settings: pd.DataFrame, rows: pd.DataFrame, verdict: Verdict) -> list[float]:
  """All decays if they are few; else the ends, and those that come closest to stopping everything."""
  decays = sorted(settings.decay.unique())
  if len(decays) <= _MOST_DECAYS + 1:
    return decays
  stopped = number_stopped(rows, verdict.working_attacks).where(rows.judged, -1)
  ranked = rows.assign(stopped=stopped).sort_values(["stopped", verdict.criterion], ascending=False, kind="stable")
  leading = verdict.leading_lwlrd()
  best = [] if leading is None else [leading.decay]
  keep = [decays[0], decays[-1], *best, *dict.fromkeys(ranked.decay)]
  return list(dict.fromkeys(keep))[:_MOST_DECAYS]
