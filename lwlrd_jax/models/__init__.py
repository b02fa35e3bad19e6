"""Models by name. Each runs forwards and backwards through one set of weights and names its layers in depth order."""

import functools
from collections.abc import Callable

import jax
from flax import nnx

from lwlrd_jax.models.cnn import CNN
from lwlrd_jax.models.mlp import MLP
from lwlrd_jax.models.network import Network, Params, split_model
from lwlrd_jax.models.own import load_own
from lwlrd_jax.models.resnet import ResNet
from lwlrd_jax.models.vit import ViT

MODELS: dict[str, Callable[..., nnx.Module]] = {
  "mlp": MLP,
  "cnn": CNN,
  "resnet18": ResNet,
  "vit": ViT,
  "vit-small": functools.partial(ViT, width=192, depth=4, heads=4, hidden=576),
}


def build_network(name: str, image_shape: tuple[int, int, int], num_outputs: int) -> Network:
  """A model's structure alone; nothing is computed. Arguments as `build_model`."""
  return structure_of(_builder(name), image_shape, num_outputs)


def structure_of(build: Callable[..., nnx.Module], image_shape: tuple[int, int, int], num_outputs: int) -> Network:
  """As `build_network`, of what `build(image_shape, num_outputs, rngs=...)` would make."""
  shapes = nnx.eval_shape(lambda: build(image_shape, num_outputs, rngs=nnx.Rngs(0)))
  return split_model(shapes, image_shape, num_outputs)[0]


def build_model(
  name: str, image_shape: tuple[int, int, int], num_outputs: int, key: jax.Array
) -> tuple[Network, Params]:
  """A freshly initialised model, as structure and weights.

  Args:
    name: A key of `MODELS`, or FILE.py:NAME.
    image_shape: (H, W, C).
    num_outputs: K, classes or findings.
    key: Random key of the initial weights.

  Returns:
    The structure, and f32 weights {layer: {entry: array}}, with statistics if the network normalises by batches.
  """
  model = _builder(name)(image_shape, num_outputs, rngs=nnx.Rngs(params=key))
  return split_model(model, image_shape, num_outputs)


def _builder(name: str) -> Callable[..., nnx.Module]:
  return MODELS[name] if name in MODELS else load_own(name)
