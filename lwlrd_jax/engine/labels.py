"""Which column of a schedule each parameter is trained by."""

import jax

from lwlrd_jax.models.network import Params


def layer_labels(params: Params, layers: tuple[str, ...]) -> Params:
  """Labels every parameter with its layer's number.

  Args:
    params: Nested dicts whose top-level keys are layers.
    layers: Layer names in the order of a schedule's columns.

  Returns:
    A tree like `params` with an int in [0, len(layers)) at each leaf.

  Raises:
    ValueError: A parameter of no layer, or a layer without parameters. Nothing is trained at a rate by default.

  >>> layer_labels({"b": {"kernel": 0.0, "bias": 0.0}, "a": {"kernel": 0.0}}, ("a", "b"))
  {'a': {'kernel': 0}, 'b': {'bias': 1, 'kernel': 1}}
  """
  if set(params) != set(layers) or len(set(layers)) != len(layers):
    raise ValueError(f"parameters are of layers {sorted(params)}, but the order of layers names {list(layers)}")
  number = {layer: i for i, layer in enumerate(layers)}
  return jax.tree_util.tree_map_with_path(lambda path, _: number[path[0].key], params)
