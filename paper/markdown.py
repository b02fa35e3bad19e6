"""Markdown as GitHub draws it: tables, and text that stays text."""

import re
from collections.abc import Sequence

# Inside a cell.
BREAK = "<br>"
_SPECIAL = re.compile(r"([\\|*<`\[\]])")


def plain(text: str) -> str:
  r"""Text from outside in one line that Markdown leaves as it is.

  >>> print(plain("a|b *c*"))
  a\|b \*c\*
  """
  return _SPECIAL.sub(r"\\\1", " ".join(text.split()))


def bold(text: str) -> str:
  """Text in bold.

  >>> bold("0")
  '**0**'
  """
  return f"**{text}**"


def table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
  """A table.

  Args:
    headers: Its first line.
    rows: As many cells each.

  >>> print(table(["a", "b"], [["1", "2"]]))
  | a | b |
  |---|---|
  | 1 | 2 |
  """
  lines = [headers, *rows]
  texts = [f"| {' | '.join(cell or ' ' for cell in line)} |" for line in lines]
  return "\n".join([texts[0], "|" + "---|" * len(headers), *texts[1:]])


def bullets(lines: Sequence[str]) -> str:
  """A list.

  >>> print(bullets(["a", "b"]))
  - a
  - b
  """
  return "\n".join(f"- {line}" for line in lines)


def capital(text: str) -> str:
  """The same with a capital at its head.

  >>> capital("lower case, DEC")
  'Lower case, DEC'
  """
  return text[:1].upper() + text[1:]
