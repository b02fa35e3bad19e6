"""The report's first lines: which schedule wins, what it costs, what still leaks.

Every figure is printed by the functions that print the table; differences are those of the printed figures.
"""

import math

import pandas as pd

from lwlrd_jax.analysis.verdict import BUDGETS, Verdict, best
from lwlrd_jax.report import formats
from lwlrd_jax.report.distinguish import IMAGES_ONLY, apart, bounded
from lwlrd_jax.report.naming import long_name, subject

# Ranking quality up to which a model is hardly better than guessing (0.5).
_USELESS_AUC = 0.6


def sentences(verdict: Verdict, *, stolen: int) -> list[tuple[str, str]]:
  """Headings and sentences: winner, cost, leakage, certificate, what to take for less or more compute.

  `stolen` images where the table does not say it of an attack.
  """
  found = [
    ("Verdict", _verdict(verdict)),
    ("Cost", _cost(verdict)),
    ("Still leaks", _leakage(verdict, stolen)),
    ("Certified", _certified(verdict)),
    ("By compute", _by_compute(verdict)),
  ]
  return [(heading, formats.unbroken(sentence)) for heading, sentence in found if sentence]


def _verdict(verdict: Verdict) -> str:
  chosen, schedules = verdict.chosen, verdict.schedules
  if verdict.case == "no_defences":
    return f"No defence was run: the table {'is empty' if verdict.averaged.empty else 'has nothing but controls'}."
  if chosen is None:
    return (
      f"No schedule can be recommended: of {_count(len(schedules))}, none could be judged ({_unjudged(schedules)})."
    )
  number = int(schedules.judged.sum())
  lowest = (
    f"that of {long_name(chosen, schedules)} (re-identification {bounded(chosen, 'reid')} % at AUC "
    f"{bounded(chosen, 'auc')})"
  )
  if verdict.case == "winner":
    text = _winner(verdict, chosen, number)
  elif verdict.case == "none_certified":
    text = (
      f"None of {_count(number)} that was run stops {_attacks(verdict)} and is certified to carry at most "
      f"{formats.size(verdict.limits.bytes or 0)}. Of those that stop {_attacks(verdict)}, "
      f"{long_name(chosen, schedules)} is certified for least: {formats.size(chosen.certified_bytes) or 'nothing'}."
    )
  elif verdict.case == "attack_failed":
    text = (
      "No attack worked in this run: already the untreated model gives away no more than the floor, so no schedule can "
      f"be credited with stopping anything. The lowest re-identification is {lowest}."
    )
  elif verdict.case == "no_floor":
    text = (
      "Whether a schedule stops an attack cannot be said, because the mean-image control is missing. The lowest "
      f"re-identification of {_count(number)} is {lowest}."
    )
  elif not _stopped(verdict, chosen):
    working, floors = verdict.working_attacks, verdict.floors
    whom = _attacks(verdict) if len(working) <= 1 else f"any of the {len(working)} attacks"
    text = f"None of {_count(number)} stops {whom}. The lowest re-identification is {lowest}"
    if chosen.reid <= floors.limit(chosen.reid_attack) and chosen.ssim > floors.ssim_limit:
      text += f", but its SSIM, {formats.score(chosen.ssim)}, is above the limit"
    text += "."
  else:
    text = _closest(verdict, chosen, number)
  aside = "" if schedules.judged.all() else f" (Not judged: {_unjudged(schedules)}.)"
  one = chosen.seeds == 1 and math.isfinite(chosen.auc_low)
  return text + aside + (f" ({IMAGES_ONLY[:1].upper()}{IMAGES_ONLY[1:]}.)" if one else "")


def _winner(verdict: Verdict, chosen: pd.Series, number: int) -> str:
  schedules = verdict.schedules
  stopping = int(schedules.stops.sum())
  among = f"of the {stopping} defences (out of {number}) that stop {_attacks(verdict)}, it loses"
  if stopping == 1:
    among = f"it alone of {_count(number)} stops {_attacks(verdict)}, and loses"
  if verdict.limits.bytes is not None:
    among = f"of those that stop {_attacks(verdict)} and are certified for at most "
    among += f"{formats.size(verdict.limits.bytes)}, it loses"
  seeds = f" (means of {chosen.seeds} infections)" if chosen.seeds > 1 else ""
  text = f"{subject(long_name(chosen, schedules))} wins: {among} {_least(verdict, chosen)}{seeds}."
  lwlrd = schedules[(schedules.defense == "lwlrd") & (schedules.start == "keep")]
  if chosen.defense == "lwlrd" and chosen.start == "keep":
    return text
  if (lwlrd.stops & lwlrd.certified).any():
    method = best(lwlrd[lwlrd.stops & lwlrd.certified])
    return (
      f"{text} Of LWLRD, {long_name(method, schedules)} does best: it loses {formats.score(max(method.lost, 0.0))} and "
      f"has AUC {bounded(method, 'auc')}."
    )
  return f"{text} No LWLRD schedule {'was run' if lwlrd.empty else 'does as much'}."


def _least(verdict: Verdict, chosen: pd.Series) -> str:
  """What the chosen schedule loses, as that by which it was chosen."""
  lost = formats.score(max(chosen.lost, 0.0))
  return f"least utility, {lost} on the {verdict.split} split; its AUC on the test split is {bounded(chosen, 'auc')}"


def _stopped(verdict: Verdict, chosen: pd.Series) -> int:
  """How many working attacks a schedule stops."""
  return len(set(verdict.working_attacks) - set(chosen.through))


def _closest(verdict: Verdict, chosen: pd.Series, number: int) -> str:
  """Nothing stops every attack: which schedule comes closest, and what still gets through."""
  leaks = []
  for attack in verdict.attacks:
    if attack in chosen.through:
      row = verdict.under(chosen, attack)
      above = row.reid > verdict.floors.limit(attack)
      figure = f"re-identification {formats.percent(row.reid)} %" if above else f"SSIM {formats.score(row.ssim)}"
      leaks.append(f"{attack} ({figure})")
  return (
    f"None of {_count(number)} stops {_attacks(verdict)}. {subject(long_name(chosen, verdict.schedules))} comes "
    f"closest: it stops {_stopped(verdict, chosen)} of them and loses {_least(verdict, chosen)}. Still through: "
    f"{formats.listed(leaks)}."
  )


def _cost(verdict: Verdict) -> str:
  chosen = verdict.chosen
  if chosen is None:
    return "What a defence costs cannot be said: no schedule has complete figures."
  ours = verdict.under(chosen, chosen.attack)
  gaps = [
    apart(chosen.auc, row.auc, whose, verdict.difference("auc", ours, row))
    for name, whose in (("untreated", "the untreated model's"), ("clean", "a never infected model's"))
    if (row := verdict.control(name, chosen.attack)) is not None and math.isfinite(row.auc)
  ]
  under = f", the lowest over the {len(verdict.attacks)} attacks," if len(verdict.attacks) > 1 else ""
  hardly = " (hardly better than guessing, 0.5)" if chosen.auc <= _USELESS_AUC else ""
  compared = " and ".join(gaps) or "with no untreated or clean model in the table to compare with"
  text = f"Its AUC{under} is {bounded(chosen, 'auc')}{hardly}, {compared}."
  before = verdict.control("untreated", chosen.attack)
  if before is not None and math.isfinite(chosen.balanced_accuracy):
    text += (
      f" Its balanced accuracy is {formats.score(chosen.balanced_accuracy)}, the untreated model's "
      f"{formats.score(before.balanced_accuracy)}."
    )
  if math.isfinite(chosen.compute):
    text += f" It takes {formats.percent(chosen.compute)} % of the operations of the original training."
  if not chosen.keeps and math.isfinite(chosen.lost):
    limits = verdict.limits
    text += (
      f" On the {verdict.split} split it loses more than is allowed, {formats.rate(limits.auc)} of AUC and "
      f"{formats.rate(limits.balanced_accuracy)} of balanced accuracy."
    )
  return text


def _leakage(verdict: Verdict, stolen: int) -> str:
  chosen, floors = verdict.chosen, verdict.floors
  if chosen is None:
    rows = [row for attack in verdict.attacks if (row := verdict.control("untreated", attack)) is not None]
    rows = [row for row in rows if math.isfinite(row.reid)]
    if not rows:
      return "What leaks without a defence is not in the table."
    worst = max(rows, key=lambda row: row.reid)
    return (
      f"Released as it is, the model gives away {bounded(worst, 'reid')} % of the {_number(worst, stolen)} stolen "
      f"images (guessing: {formats.percent(floors.chance)} %)."
    )
  number, highest = len(verdict.attacks), formats.percent(chosen.reid_worst)
  whichever = f" whichever of the {number} attacks was used" if chosen.stops else f" under {chosen.reid_attack}"
  under = whichever if number > 1 else ""
  if chosen.seeds > 1 and highest != formats.percent(chosen.reid):
    under += f", {highest} % in the worst infection"
  text = (
    f"After it, {bounded(chosen, 'reid')} % of the {_number(chosen, stolen)} stolen images can still be re-identified"
    f"{under} (guessing: {formats.percent(floors.chance)} %, counted as stopped up to "
    f"{formats.percent(floors.limit(chosen.reid_attack))} %), and the reconstructions' SSIM is "
    f"{bounded(chosen, 'ssim')}"
  )
  if math.isfinite(floors.ssim):
    text += f" where the mean training image alone has {formats.score(floors.ssim)}"
  if chosen.damaged:
    left = [f"{attack} (bit error rate {formats.score(ber)})" for attack, ber in chosen.damaged]
    text += f". Stopped but not destroyed: {formats.listed(left)}; 0.5 would be"
  return f"{text}."


def _certified(verdict: Verdict) -> str:
  """What no attack can exceed, of the chosen schedule."""
  chosen = verdict.chosen
  if chosen is None or not math.isfinite(chosen.certified_bytes):
    return ""
  size = formats.size(chosen.certified_bytes)
  if chosen.start == "keep":
    return (
      f"Nothing but the size of the checkpoint, {size}: it begins from the exported weights, so an attack that is not "
      "in this table may still get through. Starts that draw weights anew have a bound (docs/certificate.md)."
    )
  return (
    f"Whatever the attack, known or not, at most {size} of what was hidden can leave. This does not bound what a model "
    "learns of its training images by honest training."
  )


def _by_compute(verdict: Verdict) -> str:
  """What to take for at most so much of the original training."""
  if not verdict.schedules.compute.notna().any() or not verdict.working_attacks:
    return ""
  found: list[tuple[list[str], pd.Series | None]] = []
  for budget in BUDGETS:
    row, share = verdict.affordable(budget), f"{100 * budget:.0f} %"
    last = found[-1][1] if found else None
    same = found and (row is None if last is None else row is not None and row["members"] == last["members"])
    if same:
      found[-1][0].append(share)
    else:
      found.append(([share], row))
  parts = []
  for shares, row in found:
    if row is None:
      what = f"nothing that was run stops {_attacks(verdict)}"
    else:
      what = f"{long_name(row, verdict.schedules)} (AUC {formats.score(row.auc)}, balanced accuracy "
      what += f"{formats.score(row.balanced_accuracy)}, certified {formats.size(row.certified_bytes)})"
    parts.append(f"for at most {formats.listed(shares, 'or')} of the original training: {what}")
  return f"What to take {'; '.join(parts)}."


def _number(row: pd.Series, stolen: int) -> str:
  """Images the attack of a row took."""
  return f"{row.stolen if math.isfinite(row.stolen) else stolen:.0f}"


def _attacks(verdict: Verdict) -> str:
  number = len(verdict.attacks)
  return "the attack" if number <= 1 else "both attacks" if number == 2 else f"all {number} attacks"


def _count(number: int) -> str:
  return "1 schedule" if number == 1 else f"{number} schedules"


def _unjudged(schedules: pd.DataFrame) -> str:
  """Why schedules could not be judged, counted."""
  bad = schedules[~schedules.judged]
  kinds = bad.status.str.split(r"[:\s]").str[0].where(bad.status != "ok", "with figures missing")
  return ", ".join(f"{number} {kind}" for kind, number in kinds.value_counts(sort=False).items())
