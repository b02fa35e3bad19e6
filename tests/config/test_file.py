"""Configuration files as users write them."""

import importlib
import sys

import numpy as np
import pytest

from lwlrd_jax.config import SweepConfig
from lwlrd_jax.config.file import load_configs
from lwlrd_jax.errors import UserError

HEAD = "import dataclasses\nfrom lwlrd_jax.config import *\nc = SweepConfig()\n"


def load(folder, text, name="c.py"):
  file = folder / name
  file.write_text(text)
  return load_configs(file, SweepConfig)


def loaded(folder, group, **values):
  """A file whose CONFIG has these values in one group."""
  given = ", ".join(f"{name}={value}" for name, value in values.items())
  text = f"{HEAD}CONFIG = dataclasses.replace(c, {group}=dataclasses.replace(c.{group}, {given}))\n"
  return getattr(load(folder, text)[""], group)


def refused(folder, text, name="c.py"):
  with pytest.raises(UserError) as error:
    load(folder, text, name)
  said = str(error.value)
  assert said.startswith(f"--config {folder / name}: ")
  assert "\n" not in said
  return said.removeprefix(f"--config {folder / name}: ")


def wrong(folder, group, **values):
  with pytest.raises(UserError) as error:
    loaded(folder, group, **values)
  assert "\n" not in str(error.value)
  return str(error.value).removeprefix(f"--config {folder / 'c.py'}: --")


def test_annotations_of_its_own_dataclasses_are_understood(tmp_path):
  text = (
    "from __future__ import annotations\nimport dataclasses, typing\n"
    "from lwlrd_jax.config import SweepConfig, FineTuning\n"
    "@dataclasses.dataclass\nclass Mine:\n  decays: str = '0.5'\n  seed: typing.ClassVar[int] = 1\n"
    "CONFIG = SweepConfig(tuning=FineTuning(decays=Mine().decays))\n"
  )
  assert load(tmp_path, text)[""].tuning.decays == (0.5,)


def test_siblings_are_found_from_anywhere_and_are_not_mixed_up(tmp_path, monkeypatch):
  text = (
    "from common_settings import EPOCHS\nfrom kit.sizes import SIZE\n"
    "CONFIG = __import__('lwlrd_jax.config').config.SweepConfig("
    "tuning=__import__('lwlrd_jax.config').config.FineTuning(epochs=EPOCHS, batch_size=SIZE))\n"
  )
  before = list(sys.path)
  monkeypatch.chdir(tmp_path)
  for number in (1, 2):
    folder = tmp_path / str(number)
    (folder / "kit").mkdir(parents=True)
    (folder / "common_settings.py").write_text(f"EPOCHS = {number}\n")
    (folder / "kit" / "sizes.py").write_text(f"SIZE = {number}\n")
    tuning = load(folder, text)[""].tuning
    assert (tuning.epochs, tuning.batch_size) == (number, number)
  assert sys.path == before
  assert "common_settings" not in sys.modules


def test_a_linked_file_finds_what_lies_beside_it(tmp_path):
  (tmp_path / "real").mkdir()
  (tmp_path / "real" / "beside_it.py").write_text("SEEDS = 3\n")
  (tmp_path / "real" / "c.py").write_text(
    f"from beside_it import SEEDS\n{HEAD}CONFIG = SweepConfig(infection=Infection(seeds=SEEDS))\n"
  )
  (tmp_path / "link.py").symlink_to(tmp_path / "real" / "c.py")
  assert load_configs(tmp_path / "link.py", SweepConfig)[""].infection.seeds == 3


@pytest.mark.parametrize(
  ("group", "field", "value", "is_now"),
  [
    ("tuning", "decays", "[0.1, 0.5]", (0.1, 0.5)),
    ("tuning", "decays", "__import__('numpy').linspace(0.25, 0.75, 3)", (0.25, 0.5, 0.75)),
    ("tuning", "lrs", "(0.02, '0.03')", (0.02, 0.03)),
    ("infection", "attacks", "['dec', 'late']", ("dec", "late")),
    ("finishing", "finish", "['none', 'noise+scrub']", ((), ("noise", "scrub"))),
    ("tuning", "share", "1", 1.0),
    ("tuning", "epochs", "__import__('numpy').int64(3)", 3),
    ("data", "npz", "'x/y.npz'", "PosixPath('x/y.npz')"),
    ("run", "out", "__import__('pathlib').Path('x')", "x"),
  ],
)
def test_what_is_meant_is_taken(tmp_path, group, field, value, is_now):
  found = getattr(loaded(tmp_path, group, **{field: value}), field)
  assert (repr(found) if field == "npz" else found) == is_now
  assert type(found).__module__ != np.__name__


@pytest.mark.parametrize(
  ("group", "field", "value", "said"),
  [
    ("tuning", "decays", "0.5", "decays is 0.5 (float); allowed: a str, list or tuple, such as '0.5'"),
    ("tuning", "decays", "None", "decays is None; allowed: a str, list or tuple"),
    ("tuning", "decays", "[]", "decays is [] (list); allowed: a str, list or tuple"),
    ("tuning", "decays", "[[0.1]]", "decays is [[0.1]] (list); allowed: a str, list or tuple"),
    ("tuning", "lrs", "{0.1}", "lrs is {0.1} (set); allowed: a str, list or tuple, or None"),
    ("tuning", "epochs", "'3'", "epochs is '3' (str); allowed: a whole number, or None"),
    ("tuning", "epochs", "3.0", "epochs is 3.0 (float); allowed: a whole number, or None"),
    ("tuning", "batch_size", "True", "batch-size is True (bool); allowed: a whole number"),
    ("tuning", "share", "'0.5'", "share is '0.5' (str); allowed: a number"),
    ("tuning", "baselines", "0", "baselines is 0 (int); allowed: True or False"),
    ("tuning", "optimizer", "['adam']", "optimizer is ['adam'] (list); allowed: a str"),
    ("data", "npz", "3", "npz is 3 (int); allowed: a str or Path, or None"),
    ("data", "model", "print", "model is <built-in function print> (builtin_function_or_method); allowed: a str"),
    ("run", "out", "'~nobody-of-this-name/x'", "out ~nobody-of-this-name/x: that home folder is not known"),
  ],
)
def test_another_type_names_field_and_what_is_allowed(tmp_path, group, field, value, said):
  assert wrong(tmp_path, group, **{field: value}).startswith(said)


@pytest.mark.parametrize("value", ["{'decays': '0.5'}", "None", "3", "FineTuning", "Data()"])
def test_a_group_of_another_type(tmp_path, value):
  said = refused(tmp_path, f"{HEAD}CONFIG = SweepConfig(tuning={value})\n")
  assert said.startswith("tuning is ")
  assert said.endswith("; allowed: a FineTuning (line 4)")


def test_of_a_study_the_line_is_named(tmp_path):
  said = refused(tmp_path, f"{HEAD}CONFIGS = {{'a': c, 'b': SweepConfig(tuning=FineTuning(epochs='x'))}}\n")
  assert said == "--epochs is 'x' (str); allowed: a whole number, or None (line 4)"


def test_a_home_folder_is_found(tmp_path, monkeypatch):
  monkeypatch.setenv("HOME", str(tmp_path))
  found = loaded(tmp_path, "run", out="'~/r'", config="'~/c.py'")
  assert found.out == str(tmp_path / "r")
  assert found.config == tmp_path / "c.py"


@pytest.mark.parametrize(
  ("text", "said"),
  [
    ("CONFIG = FineTuning(decay='0.5')", "TypeError: FineTuning.__init__() got an unexpected keyword argument 'decay'"),
    ("c.tuning.decay", "AttributeError: 'FineTuning' object has no attribute 'decay' (line 4); did you mean decays?"),
    ("c.tuning.decays = '1'", "FrozenInstanceError: cannot assign to field 'decays' (line 4)"),
    ("raise SystemExit(3)", "the file ends the program (3); allowed: a file that can be imported"),
    ("raise ValueError('one\\ntwo')", "ValueError: one (line 4)"),
    ("raise ValueError", "ValueError: no message (line 4)"),
    ("def (", "SyntaxError: invalid syntax"),
    ("CONFIG = SweepConfig", "allowed: a file with CONFIG = SweepConfig(...)"),
    ("from . import x", "ImportError: attempted relative import with no known parent package (line 4)"),
  ],
)
def test_what_a_file_raises_is_one_line(tmp_path, capsys, text, said):
  assert refused(tmp_path, HEAD + text + "\n").startswith(said)
  assert capsys.readouterr().err == ""


def test_arguments_are_not_for_the_file(tmp_path, capsys, monkeypatch):
  monkeypatch.setattr(sys, "argv", ["sweep", "--config", "c.py", "--help"])
  free = "import argparse\np = argparse.ArgumentParser()\np.add_argument('--x')\np.parse_args()\n"
  assert load(tmp_path, f"{free}{HEAD}CONFIG = c\n")[""] == SweepConfig()
  said = refused(tmp_path, free.replace("'--x'", "'--x', required=True"))
  assert said.startswith("the file ends the program (c.py: error: the following arguments are required: --x)")
  assert capsys.readouterr().err == ""
  assert sys.argv[0] == "sweep"


def test_what_a_file_says_is_seen(tmp_path, capsys):
  load(tmp_path, f"{HEAD}import sys\nprint('a note', file=sys.stderr)\nCONFIG = c\n")
  assert capsys.readouterr().err == "a note\n"


def test_a_file_in_another_encoding(tmp_path):
  file = tmp_path / "c.py"
  file.write_bytes(b"x = '\xe9'\n")
  with pytest.raises(UserError, match=r"^--config .*c\.py: SyntaxError: \(unicode error\)") as error:
    load_configs(file, SweepConfig)
  assert "\n" not in str(error.value)


def test_a_misspelt_field_of_a_group(tmp_path):
  said = refused(tmp_path, f"{HEAD}CONFIG = SweepConfig(tuning=FineTuning(decay='0.5'))\n").lower()
  assert "'decay'" in said
  assert "did you mean" in said
  assert "decays" in said


def test_packages_that_were_known_before_stay_whole(tmp_path, monkeypatch):
  (tmp_path / "known_before").mkdir()
  (tmp_path / "known_before" / "__init__.py").write_text("")
  (tmp_path / "known_before" / "part.py").write_text("")
  monkeypatch.syspath_prepend(tmp_path)
  package = importlib.import_module("known_before")
  load(tmp_path, f"{HEAD}import known_before.part\nCONFIG = c\n")
  assert sys.modules.pop("known_before.part") is package.part
  del sys.modules["known_before"]
