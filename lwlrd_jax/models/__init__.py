"""Models by name. Each runs forwards and backwards through one set of weights and names its layers in depth order."""

from collections.abc import Callable

import jax
from flax import nnx

from lwlrd_jax.models.cnn import CNN
from lwlrd_jax.models.mlp import MLP
from lwlrd_jax.models.network import Network, Params, split_model

MODELS: dict[str, Callable[..., nnx.Module]] = {"mlp": MLP, "cnn": CNN}


def build_network(name: str, image_shape: tuple[int, int, int], num_outputs: int) -> Network:
  """A model's structure alone; nothing is computed. Arguments as `build_model`."""
  shapes = nnx.eval_shape(lambda: MODELS[name](image_shape, num_outputs, rngs=nnx.Rngs(0)))
  return split_model(shapes, image_shape, num_outputs)[0]


def build_model(
  name: str, image_shape: tuple[int, int, int], num_outputs: int, key: jax.Array
) -> tuple[Network, Params]:
  """A freshly initialised model, as structure and weights.

  Args:
    name: A key of `MODELS`.
    image_shape: (H, W, C).
    num_outputs: K, classes or findings.
    key: Random key of the initial weights.

  Returns:
    The structure, and f32 weights {layer: {"kernel", "bias"}}.
  """
  model = MODELS[name](image_shape, num_outputs, rngs=nnx.Rngs(params=key))
  return split_model(model, image_shape, num_outputs)
