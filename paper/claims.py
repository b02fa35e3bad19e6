"""What several runs say of the paper's claims: one Markdown file, a section a claim."""

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from lwlrd_jax.errors import UserError
from lwlrd_jax.report import replace_pictures
from lwlrd_jax.report.load import load
from lwlrd_jax.storage import printable, replace_file
from paper.finding import Section
from paper.head import head
from paper.markdown import bold, bullets, capital, plain
from paper.sections import adaptive, downstream, rivals, stopping, utility, vanilla
from paper.source import Source

# First line of every file written here: what tells it from others' files.
MARKER = "<!-- Generated from finished runs by paper/; changes by hand will be lost. -->"
_SECTIONS = (vanilla, stopping, utility, rivals, downstream, adaptive)
# Figures of a run's report that are copied: heading, words for the picture, and what it means that there is none.
_FIGURES = {
  "frontier": (
    "Privacy-utility frontiers",
    "Re-identification against AUC of every schedule of",
    "no figure (its report was not written)",
  ),
}
# The name of a figure, where it is linked.
_LINK = re.compile(rf"^!\[.*\]\([^()]*/([^/()]+-(?:{'|'.join(_FIGURES)})\.png)\)$", re.MULTILINE)


def write_claims(runs: Sequence[Path], file: Path) -> Path:
  """Writes what finished runs say of the paper's claims, and copies their frontiers beside it.

  The same runs give the same bytes. Pictures of reconstructions are never copied.

  Args:
    runs: Run directories, in the order of the file.
    file: Markdown file to write; one that was written here before is replaced. Figures go into a folder beside it that
      is named like its stem.

  Returns:
    The file.

  Raises:
    UserError: A run cannot be read, or the file is somebody else's or cannot be written.
  """
  if not runs:
    raise UserError("RUN: none given; allowed: one or more run directories")
  check(file)
  sources = [Source(name, load(path)) for path, name in zip(runs, _names(runs), strict=True)]
  sections = [module.section(sources) for module in _SECTIONS]
  figures = _figures(sources, file)
  blocks = [MARKER, *head(sources, sections)]
  for section in sections:
    blocks += _render(section)
  blocks += figures["frontier"]
  replace_file(file, printable("\n\n".join(blocks) + "\n").encode())
  return file


def check(file: Path) -> None:
  """Refuses what was not written here, and a folder that is not there."""
  if not file.suffix:
    raise UserError(f"{file}: needs a suffix, since its figures' folder is named without; allowed: {file}.md")
  if not file.parent.is_dir():
    raise UserError(f"{file}: cannot be written (no such folder); allowed: a file in an existing folder")
  if not file.exists():
    return
  try:
    with file.open(encoding="utf-8") as lines:
      found = lines.readline().rstrip("\n")
  except (OSError, ValueError):
    found = ""
  if found != MARKER:
    raise UserError(f"{file}: is there already and was not written by this program; allowed: a new file")


def _names(runs: Sequence[Path]) -> list[str]:
  """The folders' names; with that of the folder above where two agree."""
  paths = [run.resolve() for run in runs]
  twice = [run for run, number in zip(runs, map(Counter(paths).__getitem__, paths), strict=True) if number > 1]
  if twice:
    raise UserError(f"{twice[0]}: given twice; allowed: every run once")
  count = Counter(path.name for path in paths)
  return [path.name if count[path.name] == 1 else f"{path.parent.name}/{path.name}" for path in paths]


def _render(section: Section) -> list[str]:
  statement = section.statement[0] if len(section.statement) == 1 else bullets(section.statement)
  return [f"## {section.title}", bold(capital(section.verdict) + "."), statement, *section.blocks]


def _figures(sources: Sequence[Source], file: Path) -> dict[str, list[str]]:
  """Copies figures into a folder beside the file; those that an earlier file linked go. Returns links by figure."""
  folder = file.with_suffix("")
  found = {}
  copies = {}
  for figure, (heading, words, missing) in _FIGURES.items():
    blocks = found[figure] = [f"## {heading}"]
    for source in sources:
      try:
        picture = (source.run.path / "figures" / f"{figure}.png").read_bytes()
      except OSError:
        blocks.append(f"{plain(source.name)}: {missing}.")
        continue
      name = "".join(letter if letter.isalnum() or letter in "-_." else "-" for letter in source.name)
      copies[f"{name}-{figure}.png"] = picture
      link = f"{folder.name}/{name}-{figure}.png".replace(" ", "%20")
      blocks.append(f"![{words} {plain(source.name)}]({link})")
  earlier = _LINK.findall(file.read_text(encoding="utf-8")) if file.exists() else []
  replace_pictures(folder, copies, earlier)
  return found
