"""Rehearsed: memories trained to be there after the defence, by fine-tuning in rehearsal while they are trained.

A displacement, what fine-tuning has done to the weights so far, takes one step with every pair of steps, and starts
over with another decay and rate when its schedule is over. Memories are trained where the weights are and where the
displacement takes them: model-agnostic meta-learning to first order (Finn et al. 2017, arXiv 1703.03400; Nichol et al.
2018, arXiv 1803.02999).
"""

import dataclasses
import math
from typing import Any, NamedTuple, Self

import jax
import jax.numpy as jnp

from lwlrd_jax.attacks.base import Means
from lwlrd_jax.attacks.registry import ATTACKS
from lwlrd_jax.attacks.transpose.plain import Memory, Transpose
from lwlrd_jax.engine.member import Member, MemberState
from lwlrd_jax.models.depth import LAYER
from lwlrd_jax.models.network import Network, Params
from lwlrd_jax.models.recipes import Recipe


class Rehearsal(NamedTuple):
  """A fine-tuning on its way."""

  displacement: Params  # what it has added to the weights so far
  opt_state: Any
  top_rates: jax.Array  # f32[layers], the learning rates at the top of its schedule
  done: jax.Array  # i32[], steps
  key: jax.Array  # for the next one


@dataclasses.dataclass(frozen=True)
class Rehearsed(Transpose):
  """Transpose that rehearses the defence."""

  info = ATTACKS["transpose-rehearsed"]
  decays: tuple[float, float] = (0.3, 0.9)  # smallest and largest decay that is rehearsed, in (0, 1]; drawn uniformly
  lrs: tuple[float, float] = (0.01, 0.03)  # smallest and largest rate at the input, > 0; drawn log-uniformly
  granularity: str = LAYER  # what the decay is expected to count, `layer` or `block`
  rehearsal_steps: int = 100  # length of each rehearsal, in pairs of steps
  # Of the loss after fine-tuning, beside the squared error before. Larger ones, and larger `memory_lr`, make memories
  # last longer and cost the task more.
  weight: float = 0.01

  @classmethod
  def make(cls, means: Means) -> Self:
    """An attacker who expects the defaults of this network."""
    recipe = means.recipe
    low, high = (rate * recipe.lr_max / Recipe().lr_max for rate in cls.lrs)
    return dataclasses.replace(super().make(means), lrs=(low, high), granularity=recipe.granularity)

  def begin(self, network: Network, params: Params, key: jax.Array) -> Rehearsal:
    """A rehearsal before its first step."""
    key, key_decay, key_lr = jax.random.split(key, 3)
    decay = jax.random.uniform(key_decay, minval=self.decays[0], maxval=self.decays[1])
    lr = jnp.exp(jax.random.uniform(key_lr, minval=math.log(self.lrs[0]), maxval=math.log(self.lrs[1])))
    depth = jnp.asarray(network.depth_of_layer(self.granularity), jnp.float32)
    nowhere = jax.tree.map(jnp.zeros_like, network.declared(params))
    return Rehearsal(nowhere, _defender(network).init(params).opt_state, lr * decay**depth, jnp.int32(0), key)

  def rehearse(
    self, network: Network, params: Params, extra: Any, images: jax.Array, labels: jax.Array, key: jax.Array | None
  ) -> Rehearsal:
    """One step of fine-tuning from where the weights are now, displaced. See `Transpose.rehearse`."""
    over = extra.done == self.rehearsal_steps
    extra = jax.tree.map(lambda new, old: jnp.where(over, new, old), self.begin(network, params, extra.key), extra)
    time_shape = (1 + jnp.cos(jnp.pi * extra.done.astype(jnp.float32) / self.rehearsal_steps)) / 2
    before = MemberState(jax.tree.map(jnp.add, params, extra.displacement), extra.opt_state)
    after, _ = _defender(network).step(before, time_shape * extra.top_rates, images, labels, key)
    displacement = jax.tree.map(jnp.subtract, after.params, params)
    return extra._replace(displacement=displacement, opt_state=after.opt_state, done=extra.done + 1)

  def memory_gradient(
    self, network: Network, params: Params, part: Memory, extra: Rehearsal
  ) -> tuple[jax.Array, Params]:
    """The squared error where the weights are, and the sum of its gradient and that after fine-tuning."""
    loss, now = super().memory_gradient(network, params, part, extra)
    displaced = jax.tree.map(jnp.add, params, extra.displacement)
    later = jax.grad(lambda params: unlikeness(network.transpose(params, part.codes), part.images))(displaced)
    return loss, jax.tree.map(lambda a, b: a + self.weight * b, now, later)


def unlikeness(images: jax.Array, originals: jax.Array) -> jax.Array:
  """How little images f32[B, H, W, C] of any range have of what distinguishes their originals f32[B, H, W, C].

  That is f32[] in [0, 2], one minus the mean cosine of deviations from the set's mean. Fine-tuning adds much of the
  same pattern to every image and changes its contrast; `metrics/postprocess.py` undoes both, so that training against
  them would be wasted.
  """
  made, meant = (x.reshape(len(x), -1) - x.reshape(len(x), -1).mean(axis=0) for x in (images, originals))
  # Under the root, so that the gradient of an image without any deviation is 0 and not NaN.
  norms = jnp.sqrt((jnp.square(made).sum(axis=1) + 1e-12) * (jnp.square(meant).sum(axis=1) + 1e-12))
  return 1 - ((made * meant).sum(axis=1) / norms).mean()


def _defender(network: Network) -> Member:
  return Member(network, "adam", 0.0)
