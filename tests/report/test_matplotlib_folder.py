"""Matplotlib wants a folder to write to; a report is drawn without one, and without a word about it."""

import os
import subprocess
import sys

import pytest

_DRAWS = """
import pathlib, sys

def nobody(cls):
  raise RuntimeError("Could not determine home directory.")

if sys.argv[1] == "homeless":
  pathlib.Path.home = classmethod(nobody)
from lwlrd_jax.report.figures import matplotlib_folder
import matplotlib.figure

matplotlib.figure.Figure().text(0.5, 0.5, "text")
print(matplotlib.get_cachedir())
"""


@pytest.mark.parametrize("who", ["unwritable", "homeless"])
def test_a_folder_that_cannot_be_had_costs_no_words(who, cache, tmp_path):
  (tmp_path / "file").touch()
  env = {name: value for name, value in os.environ.items() if name not in {"MPLCONFIGDIR", "XDG_CACHE_HOME"}}
  if who == "unwritable":
    env["MPLCONFIGDIR"] = str(tmp_path / "file" / "folder")
  drawn = subprocess.run(
    [sys.executable, "-c", _DRAWS, who], env=env, capture_output=True, text=True, timeout=120, check=True
  )
  assert drawn.stderr == ""
  (folder,) = drawn.stdout.splitlines()
  assert folder != env.get("MPLCONFIGDIR")
  assert (folder == str(cache / "matplotlib")) == (who == "homeless")
