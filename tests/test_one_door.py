"""Attacks have one door: a registry says what they are, a protocol what they do, and nobody asks which one it has."""

import ast
import dataclasses
import inspect
import json
import re
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import jax
import pytest

import lwlrd_jax
from lwlrd_jax.attacks.dec.codec.fixed import FixedLengthCode
from lwlrd_jax.attacks.dec.codec.transform import build_codec
from lwlrd_jax.attacks.dec.image_code import FixedCode
from lwlrd_jax.attacks.making import make_attack
from lwlrd_jax.attacks.registry import ATTACKS, CARRIERS, FLAGS
from lwlrd_jax.attacks.transpose import Rehearsed
from lwlrd_jax.config import Dec, Infection
from lwlrd_jax.errors import UserError
from lwlrd_jax.models.recipes import Recipe
from lwlrd_jax.models.task_training import TaskTraining
from lwlrd_jax.plan import plan
from lwlrd_jax.setup.codec import Coding
from lwlrd_jax.setup.setup import _means
from lwlrd_jax.setup.starting_points import Origin

PACKAGE = Path(lwlrd_jax.__file__).parent
ABOUT = re.compile(r"attack|carrier|coding|\bcode\b")
PREFIX = re.compile(r"""^\(?["'](dec|transpose)""")


def questions(file):
  """Calls in a file that ask of an attack what it is, as text."""
  nodes = list(ast.walk(ast.parse(file.read_text(encoding="utf-8"))))
  imported = [node for node in nodes if isinstance(node, ast.ImportFrom) and "attacks" in (node.module or "")]
  kinds = {alias.asname or alias.name for node in imported for alias in node.names}
  for node in nodes:
    if isinstance(node, ast.Call):
      called, given = ast.unparse(node.func), ", ".join(map(ast.unparse, node.args))
      about = ABOUT.search(given) or kinds & set(re.findall(r"\w+", given))
      by_prefix = called.endswith((".startswith", ".removeprefix")) and PREFIX.search(given)
      if by_prefix or (called in {"isinstance", "hasattr", "getattr"} and about):
        yield f"{file.relative_to(PACKAGE)}:{node.lineno}: {called}({given})"


def test_nobody_outside_asks_which_attack_it_has():
  files = [file for file in PACKAGE.rglob("*.py") if file.relative_to(PACKAGE).parts[0] != "attacks"]
  assert len(files) > 100
  assert [question for file in files for question in questions(file)] == []


def test_such_questions_are_found(tmp_path, monkeypatch):
  monkeypatch.setitem(globals(), "PACKAGE", tmp_path)
  (tmp_path / "a.py").write_text(
    "from lwlrd_jax.attacks.dec.attack import DEC\n"
    "isinstance(x, DEC), getattr(attack.carrier, 'steps', 1), hasattr(attack.code, 'table'), isinstance(x, int)\n"
    "name.startswith('dec'), name.removeprefix('dec-'), name.startswith('learned')\n"
  )
  assert [question.split(": ")[0] for question in questions(tmp_path / "a.py")] == ["a.py:2"] * 3 + ["a.py:3"] * 2


@pytest.fixture
def means(smooth_split):
  codec, weights = build_codec((12, 12, 1), jax.random.key(0))
  nothing = (0,) * codec.latent_shape[-1]
  coding = Coding(FixedCode(codec, FixedLengthCode(codec.latent_shape, *(nothing,) * 4), trained=False), weights)
  infection = plan.Infection(tuple(ATTACKS), 6, 1, TaskTraining(steps=5), None)
  of_mlp: Any = types.SimpleNamespace(infection=infection, recipe=Recipe(), codes=Dec())
  made = _means(Origin(of_mlp, smooth_split(20), smooth_split(9, seed=1), "", coding))
  return dataclasses.replace(made, check=lambda attack: None)


def test_every_attack_of_the_registry_can_be_made(means):
  made = [make_attack(name, means) for name in ATTACKS]
  assert [attack.name for attack in made] == list(ATTACKS)
  for attack in made:
    assert attack.info is ATTACKS[attack.name]
    assert attack.info.hides
    assert set(attack.info.counterparts) < set(ATTACKS)
    assert attack.info.flag or attack.info.carrier
    assert 1 <= attack.stolen <= 6
    assert attack.steps >= 1
    assert attack.size_is_known != attack.info.family.needs_codec
    assert json.dumps(attack.settings())
    assert hash(attack) == hash(attack)


def test_a_restorer_has_as_many_pilots_as_can_be_numbered(means):
  asked: list[int] = []

  def two_at_most(attack: Any):
    asked.append(attack.pilots)
    if attack.pilots > 2:
      raise UserError("too many")

  restorer = make_attack("transpose-restorer", dataclasses.replace(means, check=two_at_most))
  assert (asked, restorer.settings()["pilots"]) == ([6, 3], 1)


def test_what_is_said_of_attacks_agrees_with_them():
  assert "some decay from {} to {} and".format(*Rehearsed.decays) in ATTACKS["transpose-rehearsed"].knows
  assert {name for name, info in ATTACKS.items() if info.counterparts} < {n for n, i in ATTACKS.items() if i.knows}
  for group, names in ((Infection, FLAGS), (Dec, CARRIERS)):
    told = set(re.findall(r"\w+", inspect.getsource(group)))  # its docstrings are what --help prints
    assert set(names) <= told


def test_the_registry_needs_no_jax():
  code = "import sys, lwlrd_jax.attacks.registry, lwlrd_jax.plan.names; sys.exit('jax' in sys.modules)"
  assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
