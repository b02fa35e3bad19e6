"""How a flag's text becomes its value."""

import math
import re

from lwlrd_jax.config.values import (
  FINISHERS,
  MOST_MEMBERS,
  STARTS,
  STRATEGIES,
  Listed,
  Planes,
  Redundancy,
  Size,
  Start,
)
from lwlrd_jax.errors import UserError, did_you_mean, nearest, not_known, shown

_DEFAULT_DECAYS = 9
_STARTS_ALLOWED = "allowed: keep, redraw, distil, shrink-L or shrink-L:L with L in (0, 1), in a comma list"


def read_decays(flag: str, text: str) -> Listed:
  """Reads LO:HI, LO:HI:N or a comma list, each value in (0, 1].

  >>> read_decays("--decays", "0.1:0.9")
  (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
  >>> read_decays("--decays", "0.5:1:3"), read_decays("--decays", "0.7, 0.3")
  ((0.5, 0.75, 1.0), (0.7, 0.3))
  """
  allowed = "allowed: LO:HI, LO:HI:N or a comma list, each value in (0, 1]"
  if ":" not in text:
    return _distinct_floats(flag, text, 1.0, allowed)
  parts, given = text.split(":"), f"{flag} {shown(text)}"
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
  return Listed(values, text)


def read_lrs(flag: str, text: str) -> Listed:
  """Reads a comma list of learning rates above 0."""
  return _distinct_floats(flag, text, math.inf, "allowed: a comma list of learning rates above 0")


def read_floors(flag: str, text: str) -> Listed:
  """Reads a comma list of shares in [0, 1]."""
  return _distinct_floats(flag, text, 1.0, "allowed: a comma list of shares in [0, 1]", zero=True)


def read_lengths(flag: str, text: str) -> Listed:
  """Reads `none`, or a comma list of lengths above 0."""
  if text.strip() == "none":
    return Listed((), text)
  return _distinct_floats(flag, text, 100.0, "allowed: none, or a comma list of shares above 0")


def read_words(flag: str, text: str) -> Listed:
  """Reads a comma list of words, which others know."""
  del flag
  return Listed([part.strip() for part in text.split(",")], text)


def read_names(flag: str, text: str, *, allowed: tuple[str, ...]) -> Listed:
  """Reads `none`, or a comma list of names.

  >>> read_names("--directions", "late, early", allowed=("early", "late"))
  ('late', 'early')
  """
  names = Listed((), text) if text.strip() == "none" else read_words(flag, text)
  for name in names:
    if name not in allowed:
      raise not_known(flag, text, allowed, name=name)
  return names


def read_finish(flag: str, text: str) -> Listed:
  """Reads a comma list of finishers joined by +; `none` is no finisher.

  >>> read_finish("--finish", "none,noise+scrub")
  ((), ('noise', 'scrub'))
  """
  found = []
  for part in text.split(","):
    steps = () if part.strip() == "none" else tuple(step.strip() for step in part.split("+"))
    for step in steps:
      if step not in FINISHERS:
        raise not_known(flag, text, ("none", *FINISHERS), name=step, others=", joined by +, in a comma list")
    found.append(steps)
  return Listed(found, text)


def read_start(flag: str, text: str) -> Listed:
  """Reads a comma list of starts.

  >>> [tuple(start) for start in read_start("--start", "keep, shrink-0.1, shrink-0.1:0.5")]
  [('keep', 0.0, 0.0), ('shrink', 0.1, 0.1), ('shrink', 0.1, 0.5)]
  """
  found = []
  for part in (part.strip() for part in text.split(",")):
    if part in {"keep", "redraw", "distil"}:
      found.append(Start(part))  # type: ignore[arg-type]
      continue
    given = f"{flag} {shown(text)}: '{shown(part)}'"
    match = re.fullmatch(r"shrink-([^:]+)(?::([^:]+))?", part)
    if match is None:
      raise not_known(
        flag, text, STARTS, name=part, others=", with any number in (0, 1), or shrink-L:L, in a comma list"
      )
    try:
      first = float(match[1])
      last = first if match[2] is None else float(match[2])
    except ValueError:
      raise UserError(f"{given}: no number; {_STARTS_ALLOWED}") from None
    if not (0 < first < 1 and 0 < last < 1):
      raise UserError(f"{given}: outside (0, 1); {_STARTS_ALLOWED}")
    found.append(Start("shrink", first, last))
  return Listed(found, text)


def read_size(flag: str, text: str) -> Size:
  """Reads a number of bytes, with kB or MB for thousands or millions.

  >>> str(read_size("--max-bytes", "1.5 kB")), int(read_size("--max-bytes", "800"))
  ('1.5 kB', 800)
  """
  match = re.fullmatch(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)\s*(B|kB|KB|MB)?", text.strip())
  if match is None:
    raise UserError(f"{flag} {shown(text)}: no size; allowed: bytes, such as 800, 1kB or 0.5MB")
  return Size(math.floor(float(match[1]) * {"kB": 1e3, "KB": 1e3, "MB": 1e6}.get(match[2], 1)), text)


def read_strategy(flag: str, text: str) -> str | int:
  """Reads a name, or how many members a device works on at a time.

  >>> read_strategy("--strategy", "vmap"), read_strategy("--strategy", "4")
  ('vmap', 4)
  """
  if text in STRATEGIES:
    return text
  if not text.isdecimal() or int(text) < 1:
    raise not_known(flag, text, STRATEGIES, others=", or a number of members")
  return int(text)


def read_planes(flag: str, text: str) -> Planes:
  """Reads N or LO:HI.

  >>> tuple(read_planes("--planes", "8")), tuple(read_planes("--planes", "4:12"))
  ((0, 8), (4, 12))
  """
  allowed = "allowed: N or LO:HI, mantissa planes from 0 up to 23"
  try:
    numbers = [int(part) for part in text.split(":")]
  except ValueError:
    raise UserError(f"{flag} {shown(text)}: not whole numbers; {allowed}") from None
  low, high = (0, numbers[0]) if len(numbers) == 1 else (numbers[0], numbers[-1])
  if len(numbers) > 2 or not 0 <= low < high <= 23:
    raise UserError(f"{flag} {shown(text)}: out of range; {allowed}")
  return Planes(low, high)


def read_redundancy(flag: str, text: str) -> Redundancy:
  """Reads none, repeat-K or ra-Q.

  >>> tuple(read_redundancy("--redundancy", "repeat-3"))
  ('repeat', 3)
  """
  allowed = "allowed: none, repeat-K (odd K from 3), ra-Q (Q from 2 to 16)"
  if text == "none":
    return Redundancy()
  # Nine digits: enough for any number of copies, and few enough for int().
  match = re.fullmatch(r"(repeat|ra)-([1-9][0-9]{0,8})", text)
  if match is None:
    digits = re.search(r"[1-9][0-9]{0,8}", text)
    ways = [f"{way}-{digits[0] if digits else 3}" for way in ("repeat", "ra")]
    raise UserError(f"{flag} {shown(text)}: not known; {did_you_mean(nearest(text, ['none', *ways]))}{allowed}")
  number = int(match[2])
  if match[1] == "repeat" and (number < 3 or number % 2 == 0):
    raise UserError(f"{flag} {text}: the number of copies must be odd and at least 3, not {number}; {allowed}")
  if match[1] == "ra" and not 2 <= number <= 16:
    raise UserError(f"{flag} {text}: 2 to 16 bits can be sent for each, not {number}; {allowed}")
  return Redundancy("repeat" if match[1] == "repeat" else "ra", number)


def _distinct_floats(flag: str, text: str, largest: float, allowed: str, *, zero: bool = False) -> Listed:
  """A comma list of distinct numbers in (0, largest], or [0, largest], finite."""
  count = text.count(",") + 1
  if count > MOST_MEMBERS:
    raise UserError(f"{flag} {shown(text)}: {count:,} values; allowed: at most {MOST_MEMBERS:,} members in a sweep")
  values = []
  for part in text.split(","):
    which = "" if part == text else f"'{shown(part)}' is "
    try:
      value = float(part)
    except ValueError:
      raise UserError(f"{flag} {shown(text)}: {which}no number; {allowed}") from None
    if not ((value > 0 or (zero and value == 0)) and value <= largest and math.isfinite(value)):
      raise UserError(f"{flag} {shown(text)}: {which}out of range; {allowed}")
    values.append(value)
  return Listed(values, text)
