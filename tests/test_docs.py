"""README and the pages of docs/: as short as they are to be, as the code has it, and no link that leads nowhere."""

import ast
import re
import runpy
from pathlib import Path

import pytest

from lwlrd_jax.watch import log

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
README = ROOT / "README.md"
PAGES = sorted(DOCS.glob("*.md"))
LINKING = [README, ROOT / "CONTRIBUTING.md", *PAGES]
LONGEST = 250
# Written by a program, in full.
LONGER = {"results.md"}

names = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def prose(page):
  """A page without its blocks and spans of code."""
  return re.sub(r"`[^`\n]*`", "", re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.DOTALL | re.MULTILINE))


def links(page):
  """The relative links and pictures of a page, as (file, anchor)."""
  for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
    if not re.match(r"\w+:", target):
      file, _, anchor = target.partition("#")
      yield (page.parent / file).resolve() if file else page, anchor


def anchors(page):
  """What GitHub makes of the headings of a page."""
  found = set()
  for heading in re.findall(r"^#+ (.*)$", re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.DOTALL | re.M), re.M):
    slug = re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")
    number = 0
    while (name := f"{slug}-{number}" if number else slug) in found:
      number += 1
    found.add(name)
  return found


@pytest.fixture(scope="module")
def generate():
  return runpy.run_path(str(DOCS / "generate.py"))


@names
def test_tables_are_those_of_the_code(page, generate):
  text = page.read_text()
  assert generate["filled"](text) == text, "run python docs/generate.py"


def test_every_table_stands_on_one_page(generate):
  text = "".join(page.read_text() for page in PAGES)
  for name in generate["PARTS"]:
    assert text.count(f"<!-- {name} -->\n") == text.count(f"<!-- /{name} -->\n") == 1


def test_a_table_is_put_between_its_marks(generate):
  page = "before\n<!-- events -->\nold\n<!-- /events -->\nafter\n"
  table = generate["event_table"]()
  assert generate["filled"](page) == f"before\n<!-- events -->\n\n{table}\n\n<!-- /events -->\nafter\n"
  with pytest.raises(ValueError, match="without <!-- /events -->"):
    generate["filled"]("<!-- events -->\n")


def test_every_event_is_declared():
  """Those that the package notes, by the first argument of each call of `event`."""
  noted: set[object] = set()
  for file in (ROOT / "lwlrd_jax").rglob("*.py"):
    for node in ast.walk(ast.parse(file.read_text())):
      if isinstance(node, ast.Call) and node.args and ast.unparse(node.func) in {"event", "log.event"}:
        first = node.args[0]
        choices = [first.body, first.orelse] if isinstance(first, ast.IfExp) else [first]
        values = [choice.value for choice in choices if isinstance(choice, ast.Constant)]
        assert len(values) == len(choices), f"{file}: event({ast.unparse(first)})"
        noted.update(values)
  assert noted == log.EVENTS.keys()


def test_the_readme_is_short():
  assert len(README.read_text().splitlines()) <= 150


@names
def test_a_page_is_no_longer_than_it_may_be(page):
  assert page.name in LONGER or len(page.read_text().splitlines()) <= LONGEST


@pytest.mark.parametrize("page", LINKING, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
  for file, anchor in links(page):
    assert file.exists(), file
    assert not anchor or anchor in anchors(file), f"{file.name}#{anchor}"


@names
def test_every_page_is_linked_from_another(page):
  assert any(page == file for other in LINKING if other != page for file, _ in links(other))
