"""Models by name. Each runs forwards and backwards through one set of weights and names its layers in depth order."""

import functools
from collections.abc import Callable
from typing import Any

import jax
from flax import nnx

from lwlrd_jax.models.architectures.cnn import CNN
from lwlrd_jax.models.architectures.mlp import MLP
from lwlrd_jax.models.architectures.resnet import ResNet
from lwlrd_jax.models.architectures.vit import ViT
from lwlrd_jax.models.network import Network, Params, has_constants, split_model
from lwlrd_jax.models.own import load_own, split_own

MODELS: dict[str, Callable[..., nnx.Module]] = {
  "mlp": MLP,
  "cnn": CNN,
  "resnet18": ResNet,
  "vit": ViT,
  "vit-small": functools.partial(ViT, width=192, depth=4, heads=4, hidden=576),
}


# No initial weights of ours are drawn from this.
_OTHER = 2**31 - 1


def build_network(name: str, image_shape: tuple[int, int, int], num_outputs: int) -> Network:
  """A model's structure alone; nothing is computed. Arguments as `build_model`."""
  return structure_of(_builder(name), image_shape, num_outputs, split=_split(name))


def structure_of(
  build: Callable[..., nnx.Module], image_shape: tuple[int, int, int], num_outputs: int, split: Any = split_model
) -> Network:
  """As `build_network`, of what `build(image_shape, num_outputs, rngs=...)` would make, parted by `split`."""

  def make() -> nnx.Module:
    return build(image_shape, num_outputs, rngs=initial_rngs(jax.random.key(0)))

  def shapes() -> nnx.Module:
    made = make()
    if has_constants(made):
      raise _ValuesMatterError
    return made

  try:
    made = nnx.eval_shape(shapes)
  except _ValuesMatterError:
    made = make()
  return split(made, image_shape, num_outputs)[0]


class _ValuesMatterError(Exception):
  """A module's structure has arrays in it, which are not to be had by their shapes alone."""


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
  model = _builder(name)(image_shape, num_outputs, rngs=initial_rngs(key))
  return _split(name)(model, image_shape, num_outputs)


def _split(name: str) -> Callable[..., tuple[Network, Params]]:
  return split_model if name in MODELS else functools.partial(split_own, name)


def initial_rngs(key: jax.Array) -> nnx.Rngs:
  """Of initial weights; and for what else a network of a user's asks for while it is built."""
  return nnx.Rngs(jax.random.fold_in(key, _OTHER), params=key)


def _builder(name: str) -> Callable[..., nnx.Module]:
  return MODELS[name] if name in MODELS else load_own(name)
