"""A sweep with a narrow network and two figures, in this process or as one of its own: `python tests/small_sweep.py FLAGS`.

Most tests of whole sweeps are not about what the network can do, nor about pictures, which take most of such a sweep.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from lwlrd_jax.engine import mapping
from lwlrd_jax.models.cnn import CNN
from lwlrd_jax.models.mlp import MLP
from lwlrd_jax.report import figures
from lwlrd_jax.sweep import command

FILE = str(Path(__file__).resolve())
WIDTH, CHANNELS = 128, 8
FEW = ("frontier", "decay")


@contextmanager
def narrow(width: int = WIDTH) -> Iterator[None]:
  """MLPs and CNNs with hidden layers of so many units, for a time. They take turns on a device, as usual ones do."""
  with pytest.MonkeyPatch.context() as patch:
    defaults: tuple[Any, ...] = tuple(model.__init__.__kwdefaults__ for model in (MLP, CNN))
    for of_model in defaults:
      patch.setitem(of_model, "width", width)
    patch.setitem(defaults[1], "channels", CHANNELS)
    patch.setattr(mapping, "_SMALL", 0)
    yield


if __name__ == "__main__":
  figures._FIGURES = {name: figures._FIGURES[name] for name in FEW}
  with narrow():
    sys.exit(command())
