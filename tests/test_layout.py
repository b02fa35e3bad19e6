"""Where things live: folders are small, and rooms import one way."""

import ast
import graphlib
from collections.abc import Iterator
from pathlib import Path

import pytest

import lwlrd_jax

PACKAGE = Path(lwlrd_jax.__file__).parent
MOST_FILES = 12


def test_folders_are_small():
  folders = [folder for folder in [PACKAGE, *PACKAGE.rglob("*")] if folder.is_dir() and folder.name != "__pycache__"]
  sizes = {str(folder.relative_to(PACKAGE)): sum(path.is_file() for path in folder.iterdir()) for folder in folders}
  assert len(sizes) > 20
  assert {folder: size for folder, size in sizes.items() if size > MOST_FILES} == {}


def imported(source: str) -> Iterator[str]:
  """Modules of this package that a file imports, wherever in it."""
  for node in ast.walk(ast.parse(source)):
    if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "lwlrd_jax":
      yield from (f"{node.module}.{alias.name}" for alias in node.names)
    elif isinstance(node, ast.Import):
      yield from (alias.name for alias in node.names if alias.name.startswith("lwlrd_jax."))


def rooms(package: Path) -> dict[str, set[str]]:
  """Folders of a package, each with those that its files import."""
  found: dict[str, set[str]] = {path.name: set() for path in package.iterdir() if (path / "__init__.py").exists()}
  for file in package.rglob("*.py"):
    room = file.relative_to(package).parts[0]
    others = {name.split(".")[1] for name in imported(file.read_text(encoding="utf-8"))}
    if room in found:
      found[room] |= others & found.keys() - {room}
  return found


def test_rooms_import_one_way():
  order = list(graphlib.TopologicalSorter(rooms(PACKAGE)).static_order())
  assert order.index("data") < order.index("models") < order.index("engine") < order.index("runs")


def test_a_circle_is_found(tmp_path):
  for room, text in (("a", "from lwlrd_jax.b.file import x\n"), ("b", "def f():\n  from lwlrd_jax import a\n")):
    (tmp_path / room).mkdir()
    (tmp_path / room / "__init__.py").write_text("")
    (tmp_path / room / "file.py").write_text(text)
  with pytest.raises(graphlib.CycleError):
    graphlib.TopologicalSorter(rooms(tmp_path)).prepare()
