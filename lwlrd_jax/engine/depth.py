"""Which layer each parameter belongs to, counted from the input."""

import jax

from lwlrd_jax.models.network import Params


def depth_labels(params: Params, layers: tuple[str, ...]) -> Params:
  """Labels every parameter with its layer's depth.

  Args:
    params: Nested dicts whose top-level keys are layers.
    layers: Layer names in depth order, from the input.

  Returns:
    A tree like `params` with an int in [0, len(layers)) at each leaf.

  Raises:
    ValueError: A parameter without a depth, or a layer without parameters. Nothing is trained at a rate by default.

  >>> depth_labels({"b": {"kernel": 0.0, "bias": 0.0}, "a": {"kernel": 0.0}}, ("a", "b"))
  {'a': {'kernel': 0}, 'b': {'bias': 1, 'kernel': 1}}
  """
  if set(params) != set(layers) or len(set(layers)) != len(layers):
    raise ValueError(f"parameters are of layers {sorted(params)}, but the depth order names {list(layers)}")
  depth = {layer: i for i, layer in enumerate(layers)}
  return jax.tree_util.tree_map_with_path(lambda path, _: depth[path[0].key], params)
