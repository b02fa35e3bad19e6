"""The layer-wise optimizer: any inner optimizer, then one learning rate a layer."""

from collections.abc import Callable

import jax
import optax

from lwlrd_jax.models.network import Params

# What turns gradients into a direction, before the layer's rate scales it. All state an optimizer has is here.
INNER: dict[str, Callable[[], optax.GradientTransformation]] = {
  "adam": optax.scale_by_adam,
  "momentum": lambda: optax.trace(decay=0.9),
  "sgd": optax.identity,
  # Of the two Super-Fine-Tuning presets. Their rates were made for networks with batch normalisation. Without it they
  # end in NaN within a few steps, unless gradients are clipped to norm 1: then they can be compared.
  "sgd-clip": lambda: optax.clip_by_global_norm(1.0),
  "momentum-wd-clip": lambda: optax.chain(
    optax.clip_by_global_norm(1.0), optax.add_decayed_weights(5e-4), optax.trace(decay=0.9)
  ),
}


def layer_labels(params: Params, layers: tuple[str, ...]) -> Params:
  """Labels every parameter, in nested dicts whose top-level keys are layers, with its layer's column in a schedule.

  A tree like `params` with an int in [0, len(layers)) at each leaf.

  Raises:
    ValueError: A parameter of no layer, or a layer without parameters. Nothing is trained at a rate by default.

  >>> layer_labels({"b": {"kernel": 0.0, "bias": 0.0}, "a": {"kernel": 0.0}}, ("a", "b"))
  {'a': {'kernel': 0}, 'b': {'bias': 1, 'kernel': 1}}
  """
  if set(params) != set(layers) or len(set(layers)) != len(layers):
    raise ValueError(f"parameters are of layers {sorted(params)}, but the order of layers names {list(layers)}")
  return jax.tree_util.tree_map_with_path(lambda path, _: layers.index(path[0].key), params)


def layerwise(inner: optax.GradientTransformation, labels: Params) -> optax.GradientTransformationExtraArgs:
  """Scales an inner optimizer's direction by a learning rate for each layer.

  The rates come after the inner optimizer: scaling the gradients before Adam would cancel out. They are an argument of
  every update, `tx.update(grads, state, params, lr=lr)` with lr f32[layers], and no part of the state, so that one
  compiled program serves every schedule.

  Args:
    inner: Turns gradients into a descent direction, without a learning rate.
    labels: Layer of each parameter, from `layer_labels`.

  Returns:
    The transformation; its updates are added to the parameters.
  """

  def scale(updates, state, params=None, *, lr, **_):
    del params
    return jax.tree.map(lambda layer, update: -lr[layer] * update, labels, updates), state

  by_layer = optax.GradientTransformationExtraArgs(lambda _: optax.EmptyState(), scale)
  return optax.chain(inner, by_layer)
