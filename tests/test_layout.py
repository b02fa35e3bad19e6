"""Where things live: folders are small, rooms import one way, and flags stay where they are read."""

import ast
import graphlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import lwlrd_jax

PACKAGE = Path(lwlrd_jax.__file__).parent
MOST_FILES = 12
# All that may know what the user typed. What they make of it, a Plan, is what all others receive.
KNOW_FLAGS = {"config", "cli.py", "sweep.py", "__main__.py", "report/__main__.py", "watch/profile.py"}  # xprof's flag
KNOW_CONFIG = {"config", "sweep.py", "plan/names.py", "plan/plan.py", "runs/study.py", "runs/sweep.py"} | {
  "setup/describe.py"  # compares the flags of a resumed run with those in its config.json
}


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


def files_but(known: set[str]) -> list[Path]:
  """Files of the package that are neither among these nor in one of these folders."""
  names = {file: file.relative_to(PACKAGE) for file in PACKAGE.rglob("*.py")}
  return [file for file, name in names.items() if known.isdisjoint({str(name), name.parts[0]})]


def texts(source: str) -> Iterator[str]:
  """Strings of a file that are no docstrings."""
  tree = ast.parse(source)
  docs = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
  for node in ast.walk(tree):
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs:
      yield node.value


def test_only_command_lines_name_flags():
  """Others put settings between backticks (`errors.with_flags`)."""
  files = files_but(KNOW_FLAGS)
  assert len(files) > 100
  named = {
    str(file.relative_to(PACKAGE)): text
    for file in files
    for text in texts(file.read_text(encoding="utf-8"))
    if re.search(r"(?<![\w-])--[a-z]", text)
  }
  assert named == {}
  assert list(texts('def f():\n  """--out"""\n  return "--out"\n')) == ["--out"]


def test_only_the_plan_reads_the_config():
  files = files_but(KNOW_CONFIG)
  names = {name for file in files for name in imported(file.read_text(encoding="utf-8"))}
  assert len(names) > 100
  assert not any("SweepConfig" in name for name in names)
  plan = (PACKAGE / "plan/plan.py").read_text(encoding="utf-8")
  assert "lwlrd_jax.config.SweepConfig" in set(imported(plan))


def test_config_imports_nothing_that_computes():
  allowed = {"config", "errors", "storage", "user"}
  found = {name for file in (PACKAGE / "config").glob("*.py") for name in imported(file.read_text(encoding="utf-8"))}
  assert {name.split(".")[1] for name in found} == allowed
