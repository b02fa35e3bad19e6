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
  # Of the two Super-Fine-Tuning presets. Their rates were made for networks with batch normalisation; without it they
  # end in NaN within a few steps. Clipping to a gradient of norm 1 keeps them in play, as they have to be to be
  # compared.
  "sgd-clip": lambda: optax.clip_by_global_norm(1.0),
  "momentum-wd-clip": lambda: optax.chain(
    optax.clip_by_global_norm(1.0), optax.add_decayed_weights(5e-4), optax.trace(decay=0.9)
  ),
}


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
  layers = sorted(set(jax.tree.leaves(labels)))
  return optax.chain(inner, optax.multi_transform({layer: _scale_by_rate_of(layer) for layer in layers}, labels))


def _scale_by_rate_of(layer: int) -> optax.GradientTransformationExtraArgs:
  def update(updates, state, params=None, *, lr, **_):
    del params
    return jax.tree.map(lambda u: -lr[layer] * u, updates), state

  return optax.GradientTransformationExtraArgs(lambda _: optax.EmptyState(), update)
