"""What stolen images are worth: fresh classifiers trained on them, tested on real images."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from lwlrd_jax.data.batches import batch_plan
from lwlrd_jax.data.device import DeviceSplit, scale
from lwlrd_jax.metrics.utility import auc_by_image, utility
from lwlrd_jax.models.architectures.mlp import MLP
from lwlrd_jax.models.network import Params, split_model
from lwlrd_jax.models.task import task_loss

# Small, and trained briefly, so that every member of a sweep can have some of its own. Larger images, wider networks
# and more steps taught no more of true images, where that was tried.
_SIDE = 8
_WIDTH = 128
_STEPS = 100
_BATCH = 64
_LR = 2e-3
_LABEL_SMOOTHING = 0.1
# Images that are made small at a time.
_CHUNK = 256
# The mean of several is taken: a single one moves by .01 with its first weights.
CLASSIFIERS = 3


class _Examples(NamedTuple):
  """Images as classifiers see them, f32[N, h, w, C], and their labels."""

  images: jax.Array
  labels: jax.Array


def downstream_auc(
  num_outputs: int, versions: jax.Array, labels: jax.Array, val: DeviceSplit, test: DeviceSplit
) -> jax.Array:
  """Trains fresh classifiers on images and labels, and tests them on real images, all averaged to 8 x 8 pixels.

  Of several versions of the images, the one counts with which a first classifier does best on the attacker's own
  images; the other classifiers are trained on that one alone. The same first weights and batches serve every set of the
  same size: sets then differ by nothing but images and labels.

  Args:
    num_outputs: K, classes or findings.
    versions: f32[V, S, H, W, C] in [0, 1], the same images in V versions. NaN is taken as grey.
    labels: i32[S] classes, or u8[S, K], as the attacker has them.
    val: Images and labels of the attacker's own, for the choice.
    test: Real ones.

  Returns:
    f32[len(test)]: `auc_by_image`, whose mean is the macro AUC; mean over `CLASSIFIERS` classifiers.
  """
  # One program for few versions as for many.
  missing = max(0, CLASSIFIERS - len(versions))
  filled = jnp.concatenate([versions, jnp.broadcast_to(versions[:1], (missing, *versions.shape[1:]))])
  return _downstream_auc(num_outputs, filled, labels, val, test)


@functools.partial(jax.jit, static_argnums=0)
def _downstream_auc(
  num_outputs: int, versions: jax.Array, labels: jax.Array, val: DeviceSplit, test: DeviceSplit
) -> jax.Array:
  versions = _small(jnp.nan_to_num(versions, nan=0.5))
  own, real = (_Examples(_all_small(split.images[:]), split.labels) for split in (val, test))
  first, *others = jax.random.split(jax.random.key(0), CLASSIFIERS)

  def auc_of(key: jax.Array, images: jax.Array) -> tuple[jax.Array, jax.Array]:
    return _one(num_outputs, _Examples(images, labels), own, real, key)

  def train(images: jax.Array, keys: jax.Array) -> tuple[jax.Array, jax.Array]:
    # Side by side: they are so small that a step of one waits more than it computes.
    known, found = jax.vmap(auc_of)(keys, images)
    chosen = jnp.nan_to_num(known).argmax()
    return jnp.broadcast_to(images[chosen], images.shape), jnp.concatenate([found[chosen][None], found])

  # Twice the same program, which is compiled once: first every version, then the chosen one by the other classifiers.
  keys = jnp.stack([jnp.stack([first] * len(versions)), jnp.stack((others * len(versions))[: len(versions)])])
  _, (of_versions, beside) = jax.lax.scan(train, versions, keys)
  return (of_versions[0] + beside[1 : 1 + len(others)].sum(axis=0)) / CLASSIFIERS


def _all_small(images: jax.Array) -> jax.Array:
  """As `_small`, of u8[N, H, W, C], which are not all made f32 at once."""
  return jax.lax.map(lambda image: _small(scale(image)), images, batch_size=_CHUNK)


def _small(images: jax.Array) -> jax.Array:
  """f32[..., H, W, C] with sides of at most `_SIDE`."""
  *leading, height, width, channels = images.shape
  shape = (*leading, min(height, _SIDE), min(width, _SIDE), channels)
  return jax.image.resize(images, shape, "linear", antialias=True)


@functools.partial(jax.jit, static_argnums=0)  # traced once, however often it is mapped
def _one(
  num_outputs: int, stolen: _Examples, own: _Examples, real: _Examples, key: jax.Array
) -> tuple[jax.Array, jax.Array]:
  """One classifier: its AUC on the attacker's own images, f32[], and by real image, f32[len(real)]."""
  _, height, width, channels = stolen.images.shape
  shape = (height, width, channels)
  key_init, key_batches = jax.random.split(key)
  model = MLP(shape, num_outputs, width=_WIDTH, rngs=nnx.Rngs(params=key_init))
  network, params = split_model(model, shape, num_outputs)
  tx = optax.adamw(optax.linear_schedule(_LR, 0.0, _STEPS))

  def step(state: tuple[Params, Any], batch: jax.Array) -> tuple[tuple[Params, Any], None]:
    params, opt_state = state

    def loss(params: Params) -> jax.Array:
      return task_loss(network.forward(params, stolen.images[batch]), stolen.labels[batch], _LABEL_SMOOTHING)

    updates, opt_state = tx.update(jax.grad(loss)(params), opt_state, params)
    return (optax.apply_updates(params, updates), opt_state), None

  batches = batch_plan(key_batches, len(stolen.images), _BATCH, _STEPS)
  (params, _), _ = jax.lax.scan(step, (params, tx.init(params)), batches)
  known = utility(network.forward(params, own.images), own.labels).auc
  return known, auc_by_image(network.forward(params, real.images), real.labels)
