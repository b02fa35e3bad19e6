"""What a user sees whose installation lacks something."""

import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

import lwlrd_jax
from lwlrd_jax import dependencies
from lwlrd_jax.disk import environment

CHECKOUT = Path(lwlrd_jax.__file__).parents[1]


def test_what_is_installed_is_not_missing(capsys):
  assert dependencies._required()
  dependencies.check_installed()
  assert capsys.readouterr().err == ""


def test_a_checkout_that_is_not_installed_knows_what_it_needs(monkeypatch):
  installed = {name for name in dependencies._required()}

  def none_of_ours(name):
    raise metadata.PackageNotFoundError(name)

  monkeypatch.setattr(metadata, "requires", none_of_ours)
  assert {"jax", "optuna", "orbax-checkpoint", "etils", "pillow"} <= set(dependencies._required())
  assert set(dependencies._required()) >= installed


def test_a_library_that_is_missing_ends_in_one_line(monkeypatch, capsys):
  monkeypatch.setattr(metadata, "requires", lambda name: ["numpy>=2", "no-such-library>=1", "nor_this; extra == 'x'"])
  with pytest.raises(SystemExit) as stopped:
    dependencies.check_installed()
  assert stopped.value.code == 2
  (line,) = capsys.readouterr().err.splitlines()
  assert line.startswith(f"error: not installed: no-such-library; {sys.executable} -m pip install")


@pytest.mark.parametrize("module", ["sweep", "report"])
def test_programs_ask_before_they_import_anything(module):
  command = [sys.executable, "-S", "-m", f"lwlrd_jax.{module}", "--help"]  # without site-packages
  env = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
  stopped = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)
  assert stopped.returncode == 2
  (line,) = stopped.stderr.splitlines()
  assert line.startswith("error: not installed: jax, flax, optax, ")
  assert str(CHECKOUT) in line


def test_the_version_is_that_of_what_runs(monkeypatch):
  version = metadata.version

  def of_others(name):
    if name.replace("-", "_") == "lwlrd_jax":
      raise metadata.PackageNotFoundError(name)
    return version(name)

  monkeypatch.setattr(metadata, "version", of_others)
  assert environment.environment()["versions"]["lwlrd_jax"] == lwlrd_jax.__version__
