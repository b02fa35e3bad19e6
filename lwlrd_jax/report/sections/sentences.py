"""Three sentences of plain language: which schedule wins, what it costs, what still leaks; and who comes close.

Every figure is printed by the functions that print the table; differences are those of the printed figures, so that a
reader who subtracts gets what the sentence says.
"""

import math

import pandas as pd

from lwlrd_jax.analysis.bootstrap import UNKNOWN, Interval
from lwlrd_jax.analysis.verdict import COMMON, SCHEDULE, STEPS, Verdict, alike, best, number_stopped
from lwlrd_jax.report import formats
from lwlrd_jax.report.distinguish import (
  IMAGES_ONLY,
  against_chance,
  apart,
  as_printed,
  auc_difference,
  bounded,
  rival,
  ties,
)
from lwlrd_jax.report.naming import long_name, subject

# Ranking quality up to which a model is hardly better than guessing (0.5).
_USELESS_AUC = 0.6


def three_sentences(verdict: Verdict, *, stolen: int, guessing: float) -> list[str]:
  """The report's first lines.

  Args:
    verdict: What the table says.
    stolen: Images the attacker took, where the table does not say it of the attack.
    guessing: Balanced accuracy of a model that always says the same.

  Returns:
    Winner, cost, leakage.
  """
  sentences = [_winner(verdict) + _images_only(verdict), _cost(verdict, guessing), _leakage(verdict, stolen)]
  return [formats.unbroken(sentence) for sentence in sentences]


def rivals_sentence(verdict: Verdict) -> str:
  """Which schedules the winner can be told apart from in AUC; empty without a winner, or without figures by image."""
  if verdict.case != "winner":
    return ""
  return formats.unbroken(" ".join(part for part in (ties(verdict), rival(verdict)) if part))


def _winner(verdict: Verdict) -> str:
  chosen, schedules = verdict.chosen, verdict.schedules
  if verdict.case == "no_defences":
    return f"No defence was run: the table {'is empty' if verdict.averaged.empty else 'has nothing but controls'}."
  if chosen is None:
    return (
      f"No schedule can be recommended: of {_count(len(schedules))}, none could be judged ({_unjudged(schedules)})."
    )
  judged = schedules[schedules.judged]
  name = long_name(chosen, schedules)
  if verdict.case == "winner":
    return _praise(verdict, name) + _aside(schedules)
  figures = (
    f"re-identification {bounded(chosen, 'reid', formats.percent)} % at AUC {bounded(chosen, 'auc', formats.score)}"
  )
  reid = "lowest re-identification" + _over_all(verdict)
  attack = "attack" if len(verdict.attacks) <= 1 else "attacks"
  if verdict.case == "attack_failed":
    text = (
      f"The {attack} did not work in this run: the untreated model already gives away no more than the floor, so no "
      f"schedule can be credited with stopping anything; the {reid} was measured for "
      f"{name} ({figures})"
    )
  elif verdict.case == "no_floor":
    text = (
      f"Whether a schedule stops the {attack} cannot be said, because the mean-image control is missing; the {reid} of "
      f"{_count(len(judged))} is that of {name} ({figures})"
    )
  else:
    text = _closest(verdict, name, figures)
  return text + "." + _aside(schedules)


def _images_only(verdict: Verdict) -> str:
  chosen = verdict.chosen
  if chosen is None or chosen.seeds > 1 or math.isnan(chosen.auc_low):
    return ""
  return f" ({IMAGES_ONLY[:1].upper()}{IMAGES_ONLY[1:]}.)"


def _closest(verdict: Verdict, name: str, figures: str) -> str:
  """Nothing stops every attack: who comes closest, and what still gets through."""
  chosen, working = verdict.chosen, verdict.working_attacks
  assert chosen is not None
  judged = verdict.schedules[verdict.schedules.judged]
  stopped = number_stopped(judged, working)
  none = f"None of {_count(len(judged))}" if len(judged) > 1 else "The only schedule that could be judged does not"
  verb = "stops" if len(judged) > 1 else "stop"
  most = int(stopped.max())
  if most == 0:
    whom = _attacks(verdict) if len(working) <= 1 else f"any of the {len(working)} attacks"
    reason = _reason(verdict)
    return (
      f"{none} {verb} {whom}; the lowest re-identification{_over_all(verdict)} is that of {name} ({figures}), "
      f"but {reason}"
    )
  through = [attack for attack in verdict.attacks if attack in chosen.through]
  closest = int((stopped == most).sum())
  if closest == 1:
    lead = f"{subject(name)} comes closest: it stops {most} of them, at AUC {bounded(chosen, 'auc', formats.score)}"
  else:
    comma = "," if ", then " in name else ""
    lead = f"Of the {closest} that stop {most} of them, {name}{comma} keeps {_highest(verdict)}"
  return f"{none} {verb} {_attacks(verdict)}. {lead}; what still gets through {_be(through)} {_leaks(verdict, through)}"


def _leaks(verdict: Verdict, through: list[str]) -> str:
  """Attacks that the chosen schedule does not stop, with what each gives away."""
  assert verdict.chosen is not None
  rows = verdict.averaged[alike(verdict.averaged, verdict.chosen, SCHEDULE)]
  told = []
  for attack in through:
    row = rows[rows.attack == attack].iloc[0]
    above = row.reid > verdict.floors.limit(attack)
    figure = f"re-identification {formats.percent(row.reid)} %" if above else f"SSIM {formats.score(row.ssim)}"
    told.append(f"{attack} ({figure})")
  return formats.listed(told)


def _be(attacks: list[str]) -> str:
  return "is" if len(attacks) == 1 else "are"


def _over_all(verdict: Verdict) -> str:
  """With several attacks a schedule is known by its worst."""
  return " under its worst attack" if len(verdict.attacks) > 1 else ""


def _praise(verdict: Verdict, name: str) -> str:
  """A winner, and how the method and its closest rival compare."""
  chosen, schedules = verdict.chosen, verdict.schedules
  assert chosen is not None
  judged = schedules[schedules.judged]
  stopping = judged[judged.stops]
  auc = bounded(chosen, "auc", formats.score)
  seeds = f" (means of {chosen.seeds} infections)" if chosen.seeds > 1 else ""
  whom = _attacks(verdict)
  if len(judged) == 1:
    lead = (
      f"{subject(name).removesuffix(',')}, the only schedule that could be judged, stops {whom}, at AUC {auc}{seeds}"
    )
  elif len(stopping) == 1:
    lead = f"{subject(name)} is the only one of {len(judged)} schedules that stops {whom}, at AUC {auc}{seeds}"
  else:
    lead = (
      f"{subject(name)} wins: of the {len(stopping)} schedules (out of {len(judged)}) that stop {whom}, it keeps "
      f"{_highest(verdict)}{seeds}"
    )
  if chosen.defense == "lwlrd":
    return f"{lead}; {_high_lr(chosen, schedules)}."
  return f"{lead}; it is a baseline, and {_best_lwlrd(verdict)}."


def _highest(verdict: Verdict) -> str:
  """The chosen schedule's AUC, as that by which it was chosen."""
  chosen = verdict.chosen
  assert chosen is not None
  auc = bounded(chosen, "auc", formats.score)
  if verdict.criterion == "auc":
    return f"the highest AUC, {auc}"
  return f"the highest AUC on the validation split, {formats.score(chosen.auc_val)}; on the test split it has {auc}"


def _high_lr(chosen: pd.Series, schedules: pd.DataFrame) -> str:
  """How the same largest rate on every layer fares."""
  if chosen.decay == 1:
    return "at decay 1 every layer has the same rate, so this is high-LR itself"
  same = [*COMMON, *STEPS]
  rivals = schedules[(schedules.defense == "high_lr") & alike(schedules, chosen, same)]
  where = f"high-LR at the same lr_max ({formats.rate(chosen.lr_max)})"
  if any(chosen[step] != "none" for step in STEPS):
    where += " and with the same steps on the weights"
  if rivals.empty:
    return f"{where} was not run"
  rival = rivals.iloc[0]
  if not rival.judged:
    return f"{where} could not be judged ({rival.status if rival.status != 'ok' else 'figures are missing'})"
  stops = "does so too" if rival.stops else "does not"
  auc, reid = formats.score(rival.auc), formats.percent(rival.reid)
  return f"{where} {stops}, with an AUC of {auc} and re-identification of {reid} %"


def _best_lwlrd(verdict: Verdict) -> str:
  """How far the method is behind a baseline that wins."""
  chosen, schedules = verdict.chosen, verdict.schedules
  assert chosen is not None
  lwlrd = schedules[schedules.defense == "lwlrd"]
  if lwlrd.empty:
    return "no LWLRD schedule was run"
  if not lwlrd.judged.any():
    return "no LWLRD schedule could be judged"
  stopping = lwlrd[lwlrd.stops]
  if stopping.empty:
    return "no LWLRD schedule does so"
  ours = best(stopping, verdict.criterion)
  gap = auc_difference(verdict, ours, chosen)
  behind = (
    apart(as_printed(gap, ours.auc, chosen.auc), "that", formats.score, "less than", "more than")
    if gap.known
    else f"{_difference(ours.auc, chosen.auc, 'the same as', 'less than', 'more than')} that"
  )
  auc = bounded(ours, "auc", formats.score)
  return f"the best LWLRD schedule that does so too, {long_name(ours, schedules)}, has AUC {auc}, {behind}"


def _reason(verdict: Verdict) -> str:
  """Why the least leaking schedule does not stop the attack."""
  chosen, floors = verdict.chosen, verdict.floors
  assert chosen is not None
  above = []
  if chosen.reid > floors.limit(chosen.reid_attack):
    above.append("that")
  if chosen.ssim > floors.ssim_limit:
    above.append(f"its SSIM, {formats.score(chosen.ssim)},")
  if not above:  # the most that is given away is within its attack's limit, but another's is not within its own
    return f"re-identification under {formats.listed(chosen.through)} is above its limit"
  return f"{' and '.join(above)} {'is' if len(above) == 1 else 'are'} above the limit"


def _cost(verdict: Verdict, guessing: float) -> str:
  chosen = verdict.chosen
  if chosen is None:
    return "What a defence costs cannot be said: no schedule has complete figures."
  attack = chosen.attack
  against = [
    (verdict.control("untreated", attack), "the untreated model's"),
    (verdict.control("clean", attack), "a never infected model's"),
  ]
  known = [(row, whose) for row, whose in against if row is not None]
  under = f", the lowest over the {len(verdict.attacks)} attacks," if len(verdict.attacks) > 1 else ""
  text = f"Its AUC{under} is {bounded(chosen, 'auc', formats.score)}" + _hardly(chosen.auc)
  ours = verdict.under(chosen, attack)
  told = [
    c for row, whose in known if (c := _compare(chosen.auc, row.auc, whose, verdict.difference("auc", ours, row)))
  ]
  text += f", {' and '.join(told)}" if told else ", with no untreated or clean model in the table to compare with"
  if not math.isfinite(chosen.balanced_accuracy):
    return text + "; its balanced accuracy was not measured."
  text += f"; its balanced accuracy is {formats.score(chosen.balanced_accuracy)}"
  told = [c for row, whose in known if (c := _compare(chosen.balanced_accuracy, row.balanced_accuracy, whose))]
  text += f", {' and '.join(told)}" if told else ""
  if chosen.balanced_accuracy <= guessing + 0.005:
    text += "; no better than always giving the same answer"
  return text + "."


def _leakage(verdict: Verdict, stolen: int) -> str:
  chosen, floors = verdict.chosen, verdict.floors
  if chosen is None:
    rows = [row for attack in verdict.attacks if (row := verdict.control("untreated", attack)) is not None]
    rows = [row for row in rows if math.isfinite(row.reid)]
    if not rows:
      return "What leaks without a defence is not in the table."
    worst = max(rows, key=lambda row: row.reid)
    return (
      f"Released as it is, the model gives away {bounded(worst, 'reid', formats.percent)} % of the "
      f"{_number(worst, stolen)} stolen images "
      f"(guessing: {formats.percent(floors.chance)} %)."
    )
  text = (
    f"After it, {bounded(chosen, 'reid', formats.percent)} % of the {_number(chosen, stolen)} stolen images can still "
    f"be re-identified{_under(verdict)}{_at_worst(chosen)} (guessing: {formats.percent(floors.chance)} %, counted as "
    f"stopped up to {formats.percent(floors.limit(chosen.reid_attack))} %){_measured_chance(verdict)}, and the "
    f"reconstructions' SSIM is {bounded(chosen, 'ssim', formats.score)}"
  )
  if math.isfinite(floors.ssim):
    text += f" where the mean training image alone has {formats.score(floors.ssim)}"
  return f"{text}; {_surviving(verdict)}.{_damaged(verdict)}"


def _number(row: pd.Series, stolen: int) -> str:
  """Images the attack of a row took."""
  return f"{row.stolen if math.isfinite(row.stolen) else stolen:.0f}"


def _measured_chance(verdict: Verdict) -> str:
  told = against_chance(verdict)
  return f", {told}" if told else ""


def _damaged(verdict: Verdict) -> str:
  """Attacks that are stopped though a code with more redundancy might get through."""
  chosen = verdict.chosen
  assert chosen is not None
  if not chosen.damaged:
    return ""
  told = [f"{attack} (bit error rate {formats.score(ber)})" for attack, ber in chosen.damaged]
  return f" Stopped but not destroyed: {formats.listed(told)}; 0.5 would be."


def _surviving(verdict: Verdict) -> str:
  chosen = verdict.chosen
  assert chosen is not None
  if not math.isfinite(chosen.surviving_bytes):
    return "how much of the weights survives for another channel was not measured"
  amount = f"{formats.megabytes(chosen.surviving_bytes)} MB"
  if math.isfinite(chosen.surviving_share):
    amount += f", {formats.percent(chosen.surviving_share)} % of the untreated model's capacity,"
  text = f"{amount} survive in the weights, which a channel keyed by position (such as DEC) could still use"
  clean = verdict.control("clean", chosen.attack)
  if clean is not None and math.isfinite(clean.surviving_bytes):
    text += (
      f" (but the same count gives {formats.megabytes(clean.surviving_bytes)} MB for a model never infected, whose bits"
      " agree by chance)"
    )
  if math.isfinite(chosen.surviving_dead):
    dead = formats.megabytes(chosen.surviving_dead)
    text += f"; in weights that the model does not use, where hiding costs nothing, {dead} MB are left"
  return text


def _under(verdict: Verdict) -> str:
  """Of several attacks, which the figure is of."""
  chosen, number = verdict.chosen, len(verdict.attacks)
  assert chosen is not None
  if number <= 1:
    return ""
  return f" whichever of the {number} attacks was used" if chosen.stops else f" under {chosen.reid_attack}"


def _at_worst(chosen: pd.Series) -> str:
  worst = formats.percent(chosen.reid_worst)
  return f", {worst} % in the worst infection" if chosen.seeds > 1 and worst != formats.percent(chosen.reid) else ""


def _compare(value: float, other: float, whose: str, gap: Interval = UNKNOWN) -> str:
  if not (math.isfinite(value) and math.isfinite(other)):
    return ""
  if gap.known:
    return apart(as_printed(gap, value, other), f"{whose} {formats.score(other)}", formats.score)
  return _difference(value, other, f"equal to {whose}", f"below {whose}", f"above {whose}") + f" {formats.score(other)}"


def _difference(value: float, other: float, equal: str, below: str, above: str) -> str:
  """The difference of two scores as printed, in words."""
  gap = round(value, 3) - round(other, 3)
  if round(gap, 3) == 0:
    return equal
  return f"{formats.score(abs(gap))} {below if gap < 0 else above}"


def _hardly(auc: float) -> str:
  return " (hardly better than guessing, 0.5)" if auc <= _USELESS_AUC else ""


def _attacks(verdict: Verdict) -> str:
  number = len(verdict.attacks)
  return "the attack" if number <= 1 else "both attacks" if number == 2 else f"all {number} attacks"


def _count(number: int) -> str:
  return "1 schedule" if number == 1 else f"{number} schedules"


def _unjudged(schedules: pd.DataFrame) -> str:
  """Why schedules could not be judged, counted."""
  bad = schedules[~schedules.judged]
  kinds = bad.status.map(lambda status: "diverged" if status.startswith("diverged") else "failed")
  kinds = kinds.where(bad.status != "ok", "with figures missing")
  counted = kinds.value_counts()
  return ", ".join(
    f"{counted[kind]} {kind}" for kind in ("diverged", "failed", "with figures missing") if kind in counted
  )


def _aside(schedules: pd.DataFrame) -> str:
  return "" if schedules.judged.all() else f" (Not judged: {_unjudged(schedules)}.)"
