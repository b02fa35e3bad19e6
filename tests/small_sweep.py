"""A small sweep, in this process or as one of its own: `python tests/small_sweep.py FLAGS`.

Most tests of whole sweeps are not about what a network can do, nor about pictures, nor about what stolen images are
worth to others, which take most of such a sweep.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from lwlrd_jax.engine import mapping
from lwlrd_jax.metrics import downstream
from lwlrd_jax.models.architectures.cnn import CNN
from lwlrd_jax.models.architectures.mlp import MLP
from lwlrd_jax.report import figures
from lwlrd_jax.sweep import command

FILE = str(Path(__file__).resolve())
WIDTH, CHANNELS = 128, 8
FEW = ("frontier",)
# They are compiled with those settings.
_OF_DOWNSTREAM: tuple[Any, ...] = (downstream._downstream_auc, downstream._one)


def _defaults(model: Any) -> dict[str, Any]:
  return model.__init__.__kwdefaults__


@contextmanager
def narrow(width: int = WIDTH) -> Iterator[None]:
  """MLPs and CNNs with hidden layers of so many units, for a time. They take turns on a device, as usual ones do.

  The classifiers that are trained on stolen images are small, and trained for a few steps.
  """
  mlp, cnn = _defaults(MLP), _defaults(CNN)
  for compiled in _OF_DOWNSTREAM:
    compiled.clear_cache()
  with (
    mock.patch.multiple(downstream, _STEPS=10, _WIDTH=16),
    mock.patch.object(mapping, "_SMALL", 0),
    mock.patch.dict(mlp, width=width),
    mock.patch.dict(cnn, width=width, channels=CHANNELS),
  ):
    yield
  for compiled in _OF_DOWNSTREAM:
    compiled.clear_cache()


def write_images(file: Path, **counts: int) -> Path:
  """Three classes of smooth 12 x 12 pictures in MedMNIST's form, told apart by their brightness; images by split."""
  rng = np.random.default_rng(0)
  arrays = {}
  for split, count in counts.items():
    labels = np.arange(count) % 3
    coarse = rng.uniform(0, 160, (count, 4, 4, 1)) + 30 * labels[:, None, None, None]
    arrays[f"{split}_images"] = np.kron(coarse, np.ones((1, 3, 3, 1))).astype(np.uint8)
    arrays[f"{split}_labels"] = labels[:, None].astype(np.uint8)
  np.savez(file, **arrays)  # type: ignore[arg-type]
  return file


if __name__ == "__main__":
  figures._FIGURES = {name: figures._FIGURES[name] for name in FEW}
  with narrow():
    sys.exit(command())
