"""Models by name. Each runs forwards and backwards through one set of weights and names its layers in depth order."""

import functools
from collections.abc import Callable

import jax
from flax import nnx

from lwlrd_jax.models.architectures.cnn import CNN
from lwlrd_jax.models.architectures.mlp import MLP
from lwlrd_jax.models.architectures.resnet import ResNet
from lwlrd_jax.models.architectures.vit import ViT
from lwlrd_jax.models.network import Network, Params, initial_rngs, split_model, structure_of
from lwlrd_jax.models.own import load_own, split_own

MODELS: dict[str, Callable[..., nnx.Module]] = {
  "mlp": MLP,
  "cnn": CNN,
  "resnet18": ResNet,
  "vit": ViT,
  "vit-small": functools.partial(ViT, width=192, depth=4, heads=4, hidden=576),
}


def build_network(name: str, image_shape: tuple[int, int, int], num_outputs: int) -> Network:
  """A model's structure alone; nothing is computed. Arguments as `build_model`."""
  build, split = _ways(name)
  return structure_of(build, image_shape, num_outputs, split)


def build_model(
  name: str, image_shape: tuple[int, int, int], num_outputs: int, key: jax.Array
) -> tuple[Network, Params]:
  """A model for images (H, W, C) and K classes or findings, initialised by a random key, as structure and weights.

  The name is a key of `MODELS`, or FILE.py:NAME. Weights are f32 {layer: {entry: array}}, with statistics if the
  network normalises by batches.
  """
  build, split = _ways(name)
  return split(build(image_shape, num_outputs, rngs=initial_rngs(key)), image_shape, num_outputs)


def _ways(name: str) -> tuple[Callable[..., nnx.Module], Callable[..., tuple[Network, Params]]]:
  """What builds a model, and what parts it."""
  return (MODELS[name], split_model) if name in MODELS else (load_own(name), functools.partial(split_own, name))
