"""Flat: memories trained to lie in a flat valley, so that small changes of the weights do them little harm."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from lwlrd_jax.attacks.registry import ATTACKS
from lwlrd_jax.attacks.transpose.plain import Memory, Transpose, squared_error
from lwlrd_jax.models.network import Network, Params


@dataclasses.dataclass(frozen=True)
class Flat(Transpose):
  """Transpose whose memory steps are sharpness-aware."""

  info = ATTACKS["transpose-flat"]
  # Length of the ascent step, in units of the weights; with `adaptive`, of relative changes of weights.
  rho: float = 0.5
  adaptive: bool = True  # whether weights are moved in proportion to their size

  def memory_gradient(self, network: Network, params: Params, part: Memory, extra: Any) -> tuple[jax.Array, Params]:
    """The squared error where the weights are, and its gradient where they would do worst near there."""
    del extra
    return sharpness_aware_gradient(
      lambda params: squared_error(network, params, part), params, self.rho, adaptive=self.adaptive
    )


def sharpness_aware_gradient(
  loss_fn: Callable[[Params], jax.Array], params: Params, rho: float, *, adaptive: bool
) -> tuple[jax.Array, Params]:
  """The loss at the weights w, f32[], and the gradient at the worst point within `rho` >= 0 of them, to first order.

  Foret et al. 2021 (arXiv 2010.01412): at w + rho g / |g|. Adaptive, Kwon et al. 2021 (arXiv 2102.11600): at
  w + rho T^2 g / |T g| with T = |w|, which does not depend on how layers are scaled against each other.
  """
  loss, grads = jax.value_and_grad(loss_fn)(params)
  size = jax.tree.map(jnp.abs if adaptive else jnp.ones_like, params)
  scaled = jax.tree.map(jnp.multiply, size, grads)
  length = rho / jnp.maximum(optax.tree.norm(scaled), jnp.finfo(jnp.float32).tiny)
  worst = jax.tree.map(lambda w, t, g: w + length * t * g, params, size, scaled)
  return loss, jax.grad(loss_fn)(worst)
