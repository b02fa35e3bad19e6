"""What flags hold where Python has no type of its own for it, and the names that some of them choose from."""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

# Of a sweep. Each is a model on disk, a row of the table, and a schedule in memory before anything is trained.
MOST_MEMBERS = 100_000
Direction = Literal["early", "late"]
STARTS = ("keep", "redraw", "shrink-0.1", "distil")
FINISHERS = ("noise", "prune", "quantize", "scrub", "strip")
STRATEGIES = ("auto", "loop", "vmap")
# The library that each tracker takes; its extra is called like the tracker.
TRACKERS = {"tensorboard": "tensorboardX", "wandb": "wandb", "mlflow": "mlflow"}


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
