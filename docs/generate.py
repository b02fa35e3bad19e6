"""Writes the tables of the pages beside it that say what the code says: flags, columns, events and attacks.

    python docs/generate.py

What stands between a line `<!-- NAME -->` and a line `<!-- /NAME -->` of a page is replaced, for every NAME of `PARTS`.
"""

import dataclasses
import inspect
from collections.abc import Callable, Sequence
from pathlib import Path

from lwlrd_jax.attacks.registry import ATTACKS
from lwlrd_jax.cli import field_docs
from lwlrd_jax.config import SweepConfig
from lwlrd_jax.config.kinds import kinds_of
from lwlrd_jax.disk.results import COLUMNS
from lwlrd_jax.report.__main__ import Reports
from lwlrd_jax.watch.log import EVENTS

PAGES = Path(__file__).parent


def attacks() -> list[tuple[str, str, str, str]]:
  """Of every attack its name in the table, the flags that ask for it, what it hides and where, and what it knows."""
  return [
    (info.name, f"--attacks {info.flag}" if info.flag else f"--carriers {info.carrier}", info.hides, info.knows)
    for info in ATTACKS.values()
  ]


def attack_table() -> str:
  """A row an attack, and below a paragraph for each whose attacker knows something."""
  rows = [(f"`{name}`", f"`{flags}`", hides) for name, flags, hides, _ in attacks()]
  knowing = [f"**`{name}`.** {knows}" for name, _, _, knows in attacks() if knows]
  return "\n\n".join([table(("attack", "flag", "what it hides, and where"), rows), *knowing])


def column_table() -> str:
  """A row a column of results.parquet."""
  return table(("column", "type", "meaning"), [(f"`{name}`", one.dtype, one.meaning) for name, one in COLUMNS.items()])


def event_table() -> str:
  """A row an event of log.jsonl."""
  return table(("event", "fields, beside `time` and `event`"), [(f"`{name}`", text) for name, text in EVENTS.items()])


def sweep_flags() -> str:
  """A section for each group of the sweep's flags."""
  sections = []
  for field in dataclasses.fields(SweepConfig):
    group = type(field.default)
    title = (inspect.getdoc(group) or "").splitlines()[0].rstrip(".")
    sections.append(f"### {title}\n\n{flag_table(group)}")
  return "\n\n".join(sections)


def report_flags() -> str:
  """The words and flags of `python -m lwlrd_jax.report`."""
  return flag_table(Reports)


def flag_table(group: type) -> str:
  """A row a flag of a dataclass, as `--help` has them."""
  said, kinds, rows = field_docs(group), kinds_of(group), []
  for field in dataclasses.fields(group):
    flag, default = f"`--{field.name.replace('_', '-')}`", "" if field.default is None else f"`{field.default}`"
    if field.default is dataclasses.MISSING:
      flag, default = f"`{field.name.rstrip('s').upper()} ...`", ""
    elif kinds[field.name].base is bool:
      flag, default = f"{flag}, `--no-{flag[3:]}", "yes" if field.default else "no"
    rows.append((flag, default, " ".join(said[field.name].split())))
  return table(("flag", "default", "meaning"), rows)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
  """A table in Markdown."""
  cells = [[cell.replace("|", "\\|").replace("<", "\\<") for cell in row] for row in rows]
  lines = [head, ["---"] * len(head), *cells]
  return "\n".join(f"| {' | '.join(line)} |" for line in lines)


PARTS: dict[str, Callable[[], str]] = {
  "attacks": attack_table,
  "columns": column_table,
  "events": event_table,
  "flags": sweep_flags,
  "report flags": report_flags,
}


def filled(page: str) -> str:
  """A page with every part as the code has it.

  Raises:
    ValueError: A part is begun and not ended.
  """
  for name, write in PARTS.items():
    begin, end = f"<!-- {name} -->\n", f"<!-- /{name} -->\n"
    before, begun, rest = page.partition(begin)
    _, ended, after = rest.partition(end)
    if begun and not ended:
      raise ValueError(f"{begin.strip()} without {end.strip()}")
    if begun:
      page = f"{before}{begin}\n{write()}\n\n{end}{after}"
  return page


if __name__ == "__main__":
  for file in sorted(PAGES.glob("*.md")):
    text = file.read_text()
    if (new := filled(text)) != text:
      file.write_text(new)
      print(file)
