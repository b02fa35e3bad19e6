"""Which codes get through: a table of defences and attacks, and what it says in words."""

import dataclasses
import math

import pandas as pd

from lwlrd_jax.attacks.registry import ATTACKS
from lwlrd_jax.report import formats
from lwlrd_jax.report.naming import short_name, steps
from lwlrd_jax.report.summary import COMMON, DESTROYED_BER, STEPS, TUNING, Verdict, alike, number_stopped

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
    text: What the table shows, in sentences.
  """

  attacks: list[tuple[str, str]]
  rows: list[tuple[str, bool, list[Cell]]]
  hidden: list[Hidden]
  omitted: int
  text: list[str]


def codes(verdict: Verdict) -> Codes | None:
  """The table and its sentences; None without an attack."""
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
  return Codes(attacks, rows, hidden, len(verdict.schedules) - len(shown), _text(verdict))


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


def _text(verdict: Verdict) -> list[str]:
  """What still gets through, and whether a finishing step closes it."""
  if math.isnan(verdict.floors.ssim):
    return ["Whether a code gets through cannot be said, because the mean-image control is missing."]
  untreated = verdict.averaged[(verdict.averaged.defense == "untreated") & (verdict.averaged.status == "ok")]
  works = [
    attack for attack in verdict.attacks if attack in set(untreated.attack) and attack in verdict.working_attacks
  ]
  sentences = []
  if works:
    sentences.append(f"Without a defence, {formats.listed(works)} {_verb(len(works), 'gets', 'get')} through.")
  ours = verdict.schedules[verdict.schedules.defense == "lwlrd"]
  name = "LWLRD"
  if ours.empty:
    ours, name = verdict.schedules, "fine-tuning"
  ours = ours[ours.judged]
  attacks = verdict.working_attacks
  if ours.empty or not attacks:
    return sentences
  is_bare = (ours[STEPS] == "none").all(axis=1)
  bare, alone = ours[is_bare], f"{name} alone"
  if len(bare):
    sentences.append(f"{_stops_and_lets(alone, bare, attacks)}; {_all_stopped(bare, verdict)}.")
  for _, group in ours[~is_bare].groupby(STEPS, sort=False):
    label = _with_steps(name, group.iloc[0].prepare, group.iloc[0].finish)
    found = _closes(label, alone, bare, group, attacks) if len(bare) else _stops_and_lets(label, group, attacks)
    sentences.append(f"{found}; {_all_stopped(group, verdict)}.")
  return [sentence[:1].upper() + sentence[1:] for sentence in sentences]


def _all_stopped(rows: pd.DataFrame, verdict: Verdict) -> str:
  """At how many settings nothing gets through."""
  attacks = verdict.working_attacks
  number = int((number_stopped(rows, attacks) == len(attacks)).sum())
  what = "the attack" if len(attacks) == 1 else "both attacks" if len(attacks) == 2 else f"all {len(attacks)} attacks"
  what += " that work" if verdict.failed_attacks and len(attacks) > 1 else ""
  if number == 0:
    return f"no setting stops {what}"
  return f"{number} of its {len(rows)} settings {_verb(number, 'stops', 'stop')} {what}"


def _stops_and_lets(name: str, rows: pd.DataFrame, attacks: list[str]) -> str:
  """Which attacks a kind of defence stops, at how many of its settings."""
  counts = {attack: sum(attack not in through for through in rows.through) for attack in attacks}
  number = len(rows)
  every = " at all of them" if number > 1 else ""
  parts = []
  for count in sorted(set(counts.values()), reverse=True):
    some = formats.listed([attack for attack, found in counts.items() if found == count])
    parts.append(
      f"stops {some}{every}"
      if count == number
      else f"stops {some} at {count}"
      if count
      else f"lets {some} through{every}"
    )
  return f"{name} ({number} {_verb(number, 'setting', 'settings')}) {formats.listed(parts)}"


def _closes(name: str, alone: str, bare: pd.DataFrame, treated: pd.DataFrame, attacks: list[str]) -> str:
  """What steps on the weights close that the same schedules alone leave open."""
  pairs = [
    (set(same.iloc[0].through), set(schedule.through))
    for _, schedule in treated.iterrows()
    if len(same := bare[alike(bare, schedule, TUNING)])
  ]
  leaking = {attack: sum(attack in before for before, _ in pairs) for attack in attacks}
  closed = {attack: sum(attack in before - after for before, after in pairs) for attack in attacks}
  opened = [attack for attack in attacks if any(attack in after - before for before, after in pairs)]
  whole = [attack for attack in attacks if 0 < closed[attack] == leaking[attack]]
  none = [attack for attack in attacks if 0 == closed[attack] < leaking[attack]]
  parts = (
    [f"closes {formats.listed(whole)} wherever {alone} lets {_verb(len(whole), 'it', 'them')} through"] if whole else []
  )
  for attack in attacks:
    if 0 < closed[attack] < leaking[attack]:
      parts.append(f"closes {attack} at {closed[attack]} of the {leaking[attack]} settings where it got through")
  parts += (
    [f"leaves {formats.listed(none)} open where {_verb(len(none), 'it got', 'they got')} through"] if none else []
  )
  parts += [f"lets {formats.listed(opened)} through where {alone} does not"] if opened else []
  parts = parts or ["changes nothing that could be compared"]
  return f"{name}, {formats.listed(parts)}"


def _with_steps(name: str, before: str, after: str) -> str:
  parts = [formats.listed(steps(before)), name, formats.listed(steps(after))]
  return ", then ".join(part for part in parts if part)


def _verb(number: int, one: str, many: str) -> str:
  return one if number == 1 else many
