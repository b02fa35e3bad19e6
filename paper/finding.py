"""What a section says: its verdict, and the text under its heading."""

import dataclasses
from collections.abc import Iterable, Sequence

from lwlrd_jax.report.distinguish import OPEN
from lwlrd_jax.report.formats import listed
from paper.markdown import plain

# Cases up to which a cell names them.
_NAMED = 8
HOLDS, DEPENDS, FAILS, NOT_MEASURED = "holds", "depends", "fails", "not measured"


@dataclasses.dataclass(frozen=True)
class Section:
  """A claim and what the runs say of it.

  Attributes:
    number: How the paper's claims are counted here; empty for what is no claim of the paper.
    claim: In the words of the heading.
    verdict: `holds`, `depends`, `fails`, `not known well enough` or `not measured`.
    holds: Where it holds, for the table of claims; empty if nowhere.
    otherwise: Where it depends or fails; empty likewise.
    statement: One line a run, or a few for all of them.
    blocks: Tables and what has to be said of them.
  """

  number: str
  claim: str
  verdict: str
  holds: str
  otherwise: str
  statement: list[str]
  blocks: list[str]

  @property
  def title(self) -> str:
    """Number and claim."""
    return f"{self.number} {self.claim}".strip()


def overall(good: int, between: int, bad: int, unknown: int = 0) -> str:
  """One word for many cases.

  Args:
    good: Cases in which the claim holds.
    between: In which it holds under a condition.
    bad: In which it fails.
    unknown: In which intervals are too wide to say. They never speak for a claim.

  >>> overall(2, 0, 0), overall(2, 0, 0, 1), overall(1, 0, 1), overall(0, 1, 1), overall(0, 0, 2, 1)
  ('holds', 'depends', 'depends', 'depends', 'fails')
  >>> overall(0, 0, 0, 2), overall(0, 0, 0)
  ('not known well enough', 'not measured')
  """
  if good + between + bad == 0:
    return OPEN if unknown else NOT_MEASURED
  if between + bad + unknown == 0:
    return HOLDS
  return DEPENDS if good + between else FAILS


def by_run(cases: Iterable[tuple[str, str]]) -> str:
  """Attacks by run in one line.

  Args:
    cases: Name of a run, name of an attack.

  >>> by_run([("a", "dec"), ("a", "transpose"), ("b", "dec")])
  'a: dec, transpose; b: dec'
  """
  grouped: dict[str, list[str]] = {}
  for run, attack in cases:
    grouped.setdefault(run, []).append(attack)
  return "; ".join(f"{run}: {', '.join(attacks)}" for run, attacks in grouped.items())


def counted(cases: Sequence[tuple[str, str]], total: int) -> str:
  """So many of all cases, and which, where a table's cell has room for their names.

  Args:
    cases: As for `by_run`.
    total: All there are.

  >>> counted([("a", "dec")], 3)
  '1 of 3 (a: dec)'
  """
  number = f"{len(cases)} of {total}"
  return f"{number} ({plain(by_run(cases))})" if len(cases) <= _NAMED else number


def share(part: int, total: int, what: str) -> str:
  """So many of so many.

  >>> share(2, 5, "attack"), share(1, 1, "attack")
  ('2 of 5 attacks', '1 of 1 attack')
  """
  return f"{part} of {total} {what}{'' if total == 1 else 's'}"


def names(words: Sequence[str]) -> str:
  """A list in a sentence; `none` if it is empty.

  >>> names([]), names(["a", "b"])
  ('none', 'a and b')
  """
  return listed(words) or "none"
