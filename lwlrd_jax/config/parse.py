"""Flags that are more than a number or a name: lists, ranges, steps."""

import math

from lwlrd_jax.attacks.registry import ATTACKS, CARRIERS, FLAGS
from lwlrd_jax.config.names import FINISH_NAMES, STRATEGY_NAMES, TRACKERS
from lwlrd_jax.errors import UserError, not_known, shown

# Of a sweep. Each is a model on disk, a row of the table, and a schedule in memory before anything is trained.
MOST_MEMBERS = 100_000
_DEFAULT_DECAYS = 9


def parse_decays(text: str) -> tuple[float, ...]:
  """Reads `--decays`.

  Args:
    text: LO:HI, LO:HI:N or a comma list.

  Returns:
    Distinct values in the order given, each in (0, 1].

  Raises:
    UserError: Anything else.

  >>> parse_decays("0.1:0.9")
  (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
  >>> parse_decays("0.5:1:3"), parse_decays("0.7, 0.3")
  ((0.5, 0.75, 1.0), (0.7, 0.3))
  """
  allowed = "allowed: LO:HI, LO:HI:N or a comma list, each value in (0, 1]"
  if ":" not in text:
    return _distinct_floats("--decays", text, 1.0, allowed)
  parts, given = text.split(":"), f"--decays {shown(text)}"
  if len(parts) > 3:
    raise UserError(f"{given}: too many colons; {allowed}")
  try:
    low, high = float(parts[0]), float(parts[1])
    count = float(parts[2]) if len(parts) == 3 else _DEFAULT_DECAYS
  except ValueError:
    raise UserError(f"{given}: not numbers; {allowed}") from None
  if not float(count).is_integer():
    raise UserError(f"{given}: N is a whole number; {allowed}")
  if not (0 < low <= 1 and 0 < high <= 1):
    raise UserError(f"{given}: outside (0, 1]; {allowed}")
  if low >= high:
    raise UserError(f"{given}: LO must be below HI; {allowed}")
  if count < 2:
    raise UserError(f"{given}: a range has 2 values or more; {allowed}")
  if count > MOST_MEMBERS:
    raise UserError(f"{given}: {count:,.0f} values; allowed: at most {MOST_MEMBERS:,} members in a sweep")
  step = (high - low) / (count - 1)
  # Rounded, so that 0.1:0.9 has 0.3 in it and not 0.30000000000000004: decays are looked up by value.
  values = tuple(round(low + i * step, 9) for i in range(int(count)))
  if len(set(values)) < count or not values[0] > 0:
    raise UserError(f"{given}: too close together, or to 0, to tell apart; {allowed}")
  return values


def parse_lrs(text: str, flag: str = "--lrs") -> tuple[float, ...]:
  """Reads `--lrs` or `--high-lrs`: a comma list of learning rates above 0.

  >>> parse_lrs("1e-2,0.03")
  (0.01, 0.03)
  """
  return _distinct_floats(flag, text, math.inf, "allowed: a comma list of learning rates above 0")


def parse_names(flag: str, text: str, allowed: tuple[str, ...]) -> tuple[str, ...]:
  """Reads a comma list of names.

  >>> parse_names("--attacks", "dec, transpose", ("transpose", "dec"))
  ('dec', 'transpose')
  """
  names = [part.strip() for part in text.split(",")]
  for name in names:
    if name not in allowed:
      raise not_known(flag, text, allowed, name=name)
  return tuple(dict.fromkeys(names))


def parse_floors(text: str) -> tuple[float, ...]:
  """Reads `--floors`: a comma list of shares in [0, 1].

  >>> parse_floors("0,0.1")
  (0.0, 0.1)
  """
  return _distinct_floats("--floors", text, 1.0, "allowed: a comma list of shares in [0, 1]", zero=True)


def parse_strategy(text: str) -> str | int:
  """Reads `--strategy`: a name, or how many members a device works on at a time.

  >>> parse_strategy("vmap"), parse_strategy("4")
  ('vmap', 4)
  """
  if text in STRATEGY_NAMES:
    return text
  if not text.isdecimal() or int(text) < 1:
    raise not_known("--strategy", text, STRATEGY_NAMES, others=", or a number of members")
  return int(text)


def parse_attacks(text: str, carriers: str) -> tuple[str, ...]:
  """Reads `--attacks`: names as the results table has them, `dec` once for each of `--carriers`.

  >>> parse_attacks("transpose,flat,dec,late", "all,late")
  ('transpose', 'transpose-flat', 'dec', 'dec-late')
  """
  chosen = [CARRIERS[name] for name in parse_names("--carriers", carriers, tuple(CARRIERS))]
  found: list[str] = []
  for part in (part.strip() for part in text.split(",")):
    if part == "dec":
      found += chosen
    elif part in FLAGS or part in ATTACKS:
      found.append(FLAGS.get(part, part))
    else:
      raise not_known("--attacks", text, FLAGS, name=part)
  return tuple(dict.fromkeys(found))


def parse_finish(flag: str, text: str) -> tuple[tuple[str, ...], ...]:
  """Reads `--finish` or `--prepare`: a comma list of steps joined by +; `none` is no step.

  >>> parse_finish("--finish", "none,noise+scrub")
  ((), ('noise', 'scrub'))
  """
  found: dict[tuple[str, ...], None] = {}
  for part in text.split(","):
    steps = () if part.strip() == "none" else tuple(step.strip() for step in part.split("+"))
    for step in steps:
      if step not in FINISH_NAMES:
        raise not_known(flag, text, ("none", *FINISH_NAMES), name=step, others=", joined by +, in a comma list")
    found[steps] = None
  return tuple(found)


def parse_track(text: str) -> tuple[str, ...]:
  """Reads `--track`: none, or a comma list of trackers.

  >>> parse_track("none"), parse_track("mlflow, tensorboard")
  ((), ('mlflow', 'tensorboard'))
  """
  return () if text.strip() == "none" else parse_names("--track", text, tuple(TRACKERS))


def parse_planes(text: str) -> tuple[int, int]:
  """Reads `--planes`: N or LO:HI. Returns the lowest plane, and one above the highest.

  >>> parse_planes("8"), parse_planes("4:12")
  ((0, 8), (4, 12))
  """
  allowed = "allowed: N or LO:HI, mantissa planes from 0 up to 23"
  parts = text.split(":")
  try:
    numbers = [int(part) for part in parts]
  except ValueError:
    raise UserError(f"--planes {shown(text)}: not whole numbers; {allowed}") from None
  low, high = (0, numbers[0]) if len(numbers) == 1 else (numbers[0], numbers[-1])
  if len(numbers) > 2 or not 0 <= low < high <= 23:
    raise UserError(f"--planes {shown(text)}: out of range; {allowed}")
  return low, high


def _distinct_floats(flag: str, text: str, largest: float, allowed: str, *, zero: bool = False) -> tuple[float, ...]:
  """A comma list of distinct numbers in (0, largest], or [0, largest], finite."""
  count = text.count(",") + 1
  if count > MOST_MEMBERS:
    raise UserError(f"{flag} {shown(text)}: {count:,} values; allowed: at most {MOST_MEMBERS:,} members in a sweep")
  values = []
  for part in text.split(","):
    which = "" if part == text else f"'{shown(part)}' is "
    try:
      values.append(float(part))
    except ValueError:
      raise UserError(f"{flag} {shown(text)}: {which}no number; {allowed}") from None
    value = values[-1]
    if not ((value > 0 or (zero and value == 0)) and value <= largest and math.isfinite(value)):
      raise UserError(f"{flag} {shown(text)}: {which}out of range; {allowed}")
  return tuple(dict.fromkeys(values))
