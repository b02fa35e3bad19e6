"""What flags hold: values that are read once, from a command line's text or a Python file's objects."""

import dataclasses
import functools
import math
import re
import types
import typing
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from lwlrd_jax.errors import UserError, did_you_mean, nearest, not_known, shown
from lwlrd_jax.storage import in_home

# Of a sweep. Each is a model on disk, a row of the table, and a schedule in memory before anything is trained.
MOST_MEMBERS = 100_000
_DEFAULT_DECAYS = 9
_LARGEST_COUNT = 2**31 - 1
_TYPES = {str: "a str", int: "a whole number", float: "a number", bool: "True or False", Path: "a str or Path"}


class Listed(tuple):
  """Distinct values of a list or range, and the text that they were given as, which config.json keeps."""

  text: str

  def __new__(cls, values: Sequence[Any] = (), text: str | None = None) -> "Listed":
    """Of values; by default the text joins them by commas."""
    made = super().__new__(cls, dict.fromkeys(values))
    made.text = ",".join(map(str, made)) if text is None else text
    return made

  def __str__(self) -> str:
    return self.text


class Planes(NamedTuple):
  """Mantissa planes from `low` up to below `high`, in [0, 23]."""

  low: int
  high: int

  def __str__(self) -> str:
    return f"{self.low}:{self.high}" if self.low else str(self.high)


class Size(int):
  """Bytes, and the text that they were given as."""

  text: str

  def __new__(cls, value: int, text: str | None = None) -> "Size":
    """Of so many bytes."""
    made = super().__new__(cls, value)
    made.text = str(value) if text is None else text
    return made

  def __str__(self) -> str:
    return self.text


class Redundancy(NamedTuple):
  """How bits are protected, and by how many for one."""

  kind: Literal["none", "repeat", "ra"] = "none"
  number: int = 1

  def __str__(self) -> str:
    return self.kind if self.kind == "none" else f"{self.kind}-{self.number}"


class Start(NamedTuple):
  """What a defence begins from. `first` and `last` are the shares that `shrink` keeps at the first and last depth.

  >>> str(Start("shrink", 0.1, 0.5)), str(Start("redraw"))
  ('shrink-0.1:0.5', 'redraw')
  """

  kind: Literal["keep", "redraw", "shrink", "distil"] = "keep"
  first: float = 0.0  # in (0, 1) where something is shrunk
  last: float = 0.0

  def __str__(self) -> str:
    if self.kind != "shrink":
      return self.kind
    return f"shrink-{self.first:.12g}" + (f":{self.last:.12g}" if self.last != self.first else "")


KEEP = Start()


class Reads(NamedTuple):
  """Annotation of a field whose values, of the type `kind`, are read from a flag's text."""

  kind: type
  read: Callable[[str, str], Any]  # of the flag and its text
  several: bool = True  # whether the text is a comma list, for which a list or tuple may stand


class Range(NamedTuple):
  """Annotation of a field whose values are numbers from `low` to `high`, both allowed."""

  low: float
  high: float = math.inf


class Kind(NamedTuple):
  """What a field holds: any value of `base`, or what the other attributes allow."""

  base: type  # str, int, float, bool or Path; of fields with `reads`, str
  optional: bool = False  # whether None is allowed
  choices: tuple[str, ...] = ()
  range: Range | None = None
  reads: Reads | None = None

  @property
  def metavar(self) -> str:
    """What stands for the value in `--help`."""
    if self.reads:
      return "LIST" if self.reads.several else "VALUE"
    return f"{{{','.join(self.choices)}}}" if self.choices else self.base.__name__.upper()

  def value(self, flag: str, given: Any) -> Any:
    """The value of a given value or text; NumPy's scalars and arrays count as Python's, lists as comma lists.

    Raises:
      UserError: It is of another type, or not allowed; `flag` names the field.
    """
    if given is None and self.optional:
      return None
    if type(given).__module__ == "numpy" and hasattr(given, "tolist"):
      given = given.tolist()
    if self.reads is not None:
      if self.reads.kind is not int and isinstance(given, self.reads.kind):
        return given
      if isinstance(given, int) and issubclass(self.reads.kind, int):
        given = str(given)
      if self.reads.several and isinstance(given, list | tuple) and given and all(map(_is_plain, given)):
        given = ",".join(map(_joined, given))
      if isinstance(given, str):
        return self.reads.read(flag, given)
    if self.base is float and isinstance(given, int) and not isinstance(given, bool):
      given = float(given) if abs(given) < 2**53 else math.inf
    if (self.base is Path and isinstance(given, str | Path)) or (self.base is str and isinstance(given, Path)):
      given = self.base(given)
    if self.reads is not None or not isinstance(given, self.base) or (self.base is int and isinstance(given, bool)):
      raise UserError(f"{flag} is {described(given)}; allowed: {self._allowed(given)}")
    self._check(flag, given)
    try:
      return self.base(in_home(str(given))) if isinstance(given, str | Path) else given
    except UserError as error:
      raise UserError(f"{flag} {error}") from None

  def _allowed(self, given: Any) -> str:
    allowed = _TYPES[self.base] + (", list or tuple" if self.reads and self.reads.several else "")
    near = f", such as {str(given)!r}" if self.base is str and isinstance(given, int | float) else ""
    return f"{allowed}{', or None' if self.optional else ''}{near}"

  def _check(self, flag: str, given: Any) -> None:
    if self.choices and given not in self.choices:
      raise not_known(flag, given, self.choices)
    if self.range is None or (self.range.low <= given <= self.range.high and math.isfinite(given)):
      return
    low, high = self.range
    if self.base is int:
      raise UserError(f"{flag} {given}: allowed: whole numbers from {low} to {high:,}")
    raise UserError(f"{flag} {given}: allowed: {low} " + (f"to {high}" if high < math.inf else "and more"))


class Flags:
  """Dataclasses of flags: what they are given becomes what their fields hold."""

  def __post_init__(self):
    for name, kind in kinds_of(type(self)).items():
      flag = f"--{name.replace('_', '-')}"
      object.__setattr__(self, name, kind.value(flag, getattr(self, name)))


def kinds_of(group: type) -> dict[str, Kind]:
  """The fields of a dataclass of flags."""
  return _kinds_of(group)


@functools.cache
def _kinds_of(group: Any) -> dict[str, Kind]:
  hints = typing.get_type_hints(group, include_extras=True)
  return {field.name: _kind(hints[field.name]) for field in dataclasses.fields(group)}


def described(value: Any) -> str:
  """A value and its type, as a message has them.

  >>> described(0.5), described(None)
  ('0.5 (float)', 'None')
  """
  return "None" if value is None else f"{shown(' '.join(repr(value).split()))} ({type(value).__name__})"


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
  """Reads a comma list of names.

  >>> read_names("--directions", "late, early", allowed=("early", "late"))
  ('late', 'early')
  """
  names = read_words(flag, text)
  for name in names:
    if name not in allowed:
      raise not_known(flag, text, allowed, name=name)
  return names


def read_names_or_none(flag: str, text: str, *, allowed: tuple[str, ...]) -> Listed:
  """Reads `none`, or a comma list of names."""
  return Listed((), text) if text.strip() == "none" else read_names(flag, text, allowed=allowed)


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
      near = nearest(part, STARTS)
      raise UserError(f"{given} is not known; {did_you_mean(near)}{_STARTS_ALLOWED}")
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


def _kind(hint: Any) -> Kind:
  if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
    (inner,) = (part for part in typing.get_args(hint) if part is not type(None))
    return _kind(inner)._replace(optional=True)
  if typing.get_origin(hint) is Annotated:
    inner, about = typing.get_args(hint)
    return Kind(str, reads=about) if isinstance(about, Reads) else _kind(inner)._replace(range=about)
  if typing.get_origin(hint) is Literal:
    return Kind(str, choices=typing.get_args(hint))
  if typing.get_origin(hint) is tuple:  # words that belong to no flag
    return Kind(typing.get_args(hint)[0])
  return Kind(hint)


def _is_plain(entry: Any) -> bool:
  if isinstance(entry, tuple):
    return all(isinstance(part, str) for part in entry)
  return isinstance(entry, str | int | float) and not isinstance(entry, bool)


def _joined(entry: Any) -> str:
  return ("+".join(entry) or "none") if isinstance(entry, tuple) else str(entry)


Direction = Literal["early", "late"]
STARTS = ("keep", "redraw", "shrink-0.1", "distil")
_STARTS_ALLOWED = "allowed: keep, redraw, distil, shrink-L or shrink-L:L with L in (0, 1), in a comma list"
FINISHERS = ("noise", "prune", "quantize", "scrub", "strip")
STRATEGIES = ("auto", "loop", "vmap")
# The library that each tracker takes; its extra is called like the tracker.
TRACKERS = {"tensorboard": "tensorboardX", "wandb": "wandb", "mlflow": "mlflow"}

Count = Annotated[int, Range(1, _LARGEST_COUNT)]
Share = Annotated[float, Range(0.0, 1.0)]
Positive = Annotated[float, Range(0.0)]
Decays = Annotated[tuple[float, ...], Reads(Listed, read_decays)]
Rates = Annotated[tuple[float, ...], Reads(Listed, read_lrs)]
Lengths = Annotated[tuple[float, ...], Reads(Listed, read_lengths)]
Floors = Annotated[tuple[float, ...], Reads(Listed, read_floors)]
Words = Annotated[tuple[str, ...], Reads(Listed, read_words)]
Directions = Annotated[
  tuple[Direction, ...], Reads(Listed, functools.partial(read_names_or_none, allowed=typing.get_args(Direction)))
]
Finishes = Annotated[tuple[tuple[str, ...], ...], Reads(Listed, read_finish)]
Starts = Annotated[tuple[Start, ...], Reads(Listed, read_start)]
MaxBytes = Annotated[int, Reads(Size, read_size, several=False)]
Trackers = Annotated[tuple[str, ...], Reads(Listed, functools.partial(read_names_or_none, allowed=tuple(TRACKERS)))]
PlaneRange = Annotated[Planes, Reads(Planes, read_planes, several=False)]
Protection = Annotated[Redundancy, Reads(Redundancy, read_redundancy, several=False)]
Strategy = Annotated[Literal["auto", "loop", "vmap"] | int, Reads(int, read_strategy, several=False)]
