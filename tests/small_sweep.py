"""A small sweep, in this process or as one of its own: `python tests/small_sweep.py FLAGS`.

Most tests of whole sweeps are not about what a network can do, nor about pictures, nor about what stolen images are worth
to others, which take most of such a sweep.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from lwlrd_jax.engine import mapping
from lwlrd_jax.metrics import downstream
from lwlrd_jax.models.cnn import CNN
from lwlrd_jax.models.mlp import MLP
from lwlrd_jax.report import figures
from lwlrd_jax.sweep import command

FILE = str(Path(__file__).resolve())
WIDTH, CHANNELS = 128, 8
FEW = ("frontier",)
# They are compiled with those settings.
_OF_DOWNSTREAM: tuple[Any, ...] = (downstream._downstream_auc, downstream._one)


@contextmanager
def narrow(width: int = WIDTH) -> Iterator[None]:
  """MLPs and CNNs with hidden layers of so many units, for a time. They take turns on a device, as usual ones do.

  The classifiers that are trained on stolen images are small, and trained for a few steps.
  """
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(downstream, "_STEPS", 10)
    patch.setattr(downstream, "_WIDTH", 16)
    for compiled in _OF_DOWNSTREAM:
      compiled.clear_cache()
    defaults: tuple[Any, ...] = tuple(model.__init__.__kwdefaults__ for model in (MLP, CNN))
    for of_model in defaults:
      patch.setitem(of_model, "width", width)
    patch.setitem(defaults[1], "channels", CHANNELS)
    patch.setattr(mapping, "_SMALL", 0)
    yield
  for compiled in _OF_DOWNSTREAM:
    compiled.clear_cache()


if __name__ == "__main__":
  figures._FIGURES = {name: figures._FIGURES[name] for name in FEW}
  with narrow():
    sys.exit(command())
