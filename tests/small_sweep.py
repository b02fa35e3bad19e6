"""A sweep with a narrow MLP and two figures, in this process or as one of its own: `python tests/small_sweep.py FLAGS`.

Most tests of whole sweeps are not about what the network can do, nor about pictures, which take most of such a sweep.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lwlrd_jax.engine import mapping
from lwlrd_jax.models.mlp import MLP
from lwlrd_jax.report import figures
from lwlrd_jax.sweep import command

FILE = str(Path(__file__).resolve())
WIDTH = 128
FEW = ("frontier", "decay")


@contextmanager
def narrow(width: int = WIDTH) -> Iterator[None]:
  """MLPs with hidden layers of so many units, for a time. They take turns on a device, as usual ones do."""
  defaults: Any = MLP.__init__.__kwdefaults__
  before = defaults["width"], mapping._SMALL
  defaults["width"], mapping._SMALL = width, 0
  yield
  defaults["width"], mapping._SMALL = before


if __name__ == "__main__":
  figures._FIGURES = {name: figures._FIGURES[name] for name in FEW}
  with narrow():
    sys.exit(command())
