"""What all engines of `benchmarks/population.py` are given, and what they have to say."""

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import jax
import numpy as np
from flax import nnx

from lwlrd_jax.data.batches import batch_plan
from lwlrd_jax.models import build_model
from lwlrd_jax.models.architectures.mlp import MLP
from lwlrd_jax.models.network import Network, Params, split_model

# Trains all members from the start by the first so many steps, and returns the losses before each: f32[members, steps].
Engine = Callable[[int], np.ndarray]


@dataclasses.dataclass(frozen=True, eq=False)
class Problem:
  """One model, fine-tuned with Adam under many schedules.

  Attributes:
    name: The model's.
    network: Its structure.
    params: Where every member starts, NumPy arrays.
    images: u8[N, H, W, C].
    labels: i32[N].
    batches: i32[steps, B], what each step reads.
    schedules: f32[members, steps, layers], learning rates.
  """

  name: str
  network: Network
  params: Params
  images: np.ndarray
  labels: np.ndarray
  batches: np.ndarray
  schedules: np.ndarray


class Shape(NamedTuple):
  """Of images, classes and training split."""

  side: int = 28
  channels: int = 3
  classes: int = 7
  images: int = 7007


def make_problem(name: str, members: int, steps: int, batch_size: int, shape: Shape) -> Problem:
  """Random images of the size of DermaMNIST, and as many decays as there are members.

  Models are the package's, and `mlp-WIDTH`, which PyTorch's engines do not know.
  """
  rng = np.random.default_rng(0)
  image_shape = (shape.side, shape.side, shape.channels)
  network, params = _build(name, image_shape, shape.classes)
  decays = np.linspace(0.1, 0.9, members)[:, None, None] ** np.asarray(network.depths)
  # Small enough for the losses of all engines to stay together.
  rates = 1e-4 * np.cos(np.linspace(0, np.pi / 2, steps, endpoint=False))[None, :, None] * decays
  return Problem(
    name,
    network,
    jax.tree.map(np.asarray, params),
    rng.integers(0, 256, (shape.images, *image_shape), dtype=np.uint8),
    rng.integers(0, shape.classes, shape.images).astype(np.int32),
    np.asarray(batch_plan(jax.random.key(1), shape.images, batch_size, steps)),
    rates.astype(np.float32),
  )


def _build(name: str, image_shape: tuple[int, int, int], classes: int) -> tuple[Network, Params]:
  key = jax.random.key(0)
  if not name.startswith("mlp-"):
    return build_model(name, image_shape, classes, key)
  model = MLP(image_shape, classes, width=int(name.removeprefix("mlp-")), rngs=nnx.Rngs(params=key))
  return split_model(model, image_shape, classes)
