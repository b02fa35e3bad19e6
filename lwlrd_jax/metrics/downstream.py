"""What stolen images are worth: fresh classifiers trained on them, tested on real images."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from lwlrd_jax.data.batches import batch_plan
from lwlrd_jax.data.device import DeviceSplit
from lwlrd_jax.metrics.utility import auc_by_image, utility
from lwlrd_jax.models.loss import task_loss
from lwlrd_jax.models.mlp import MLP
from lwlrd_jax.models.network import Params, split_model
from lwlrd_jax.models.predict import predict

# Small, and trained briefly, so that every member of a sweep can have some of its own. On 512 images of DermaMNIST
# 1024 units a layer, or twice the steps, gave .02 less AUC.
_WIDTH = 256
_STEPS = 150
_BATCH = 64
_LR = 1e-3
_LABEL_SMOOTHING = 0.1
# The mean of several is taken: a single one moves by .01 with its first weights.
CLASSIFIERS = 3


@functools.partial(jax.jit, static_argnums=0)
def downstream_auc(
  num_outputs: int, versions: jax.Array, labels: jax.Array, val: DeviceSplit, test: DeviceSplit
) -> jax.Array:
  """Trains fresh classifiers on images and labels, and tests them on real images.

  Of several versions of the images, the one counts whose classifiers do best on images that the thief has from
  elsewhere. The same first weights and batches serve every set of the same size: what differs is then the images and
  labels.

  Args:
    num_outputs: K, classes or findings.
    versions: f32[V, S, H, W, C] in [0, 1], the same images in V versions. A pixel that is not finite is taken as grey.
    labels: i32[S] classes, or u8[S, K], as the thief has them.
    val: Images and labels of his own, for the choice.
    test: Real images and labels.

  Returns:
    f32[len(test)]: macro AUC with each test image's influence on it (`auc_by_image`), mean over `CLASSIFIERS`
    classifiers. Its mean is the AUC.
  """
  versions = jnp.nan_to_num(versions, nan=0.5)
  keys = jax.random.split(jax.random.key(0), CLASSIFIERS)

  def of_version(images: jax.Array) -> tuple[jax.Array, jax.Array]:
    known, found = jax.lax.map(lambda key: _one(num_outputs, images, labels, val, test, key), keys)
    return known.mean(), found.mean(axis=0)

  known, found = jax.lax.map(of_version, versions)
  return found[jnp.nan_to_num(known).argmax()]


def _one(
  num_outputs: int, images: jax.Array, labels: jax.Array, val: DeviceSplit, test: DeviceSplit, key: jax.Array
) -> tuple[jax.Array, jax.Array]:
  """One classifier: its AUC on the thief's own images, f32[], and by real image, f32[len(test)]."""
  _, height, width, channels = images.shape
  shape = (height, width, channels)
  key_init, key_batches = jax.random.split(key)
  network, params = split_model(
    MLP(shape, num_outputs, width=_WIDTH, rngs=nnx.Rngs(params=key_init)), shape, num_outputs
  )
  tx = optax.adamw(optax.linear_schedule(_LR, 0.0, _STEPS))

  def step(state: tuple[Params, Any], batch: jax.Array) -> tuple[tuple[Params, Any], None]:
    params, opt_state = state

    def loss(params: Params) -> jax.Array:
      return task_loss(network.forward(params, images[batch]), labels[batch], _LABEL_SMOOTHING)

    updates, opt_state = tx.update(jax.grad(loss)(params), opt_state, params)
    return (optax.apply_updates(params, updates), opt_state), None

  batches = batch_plan(key_batches, len(images), _BATCH, _STEPS)
  (params, _), _ = jax.lax.scan(step, (params, tx.init(params)), batches)
  known = utility(predict(network, params, val.images), val.labels).auc
  return known, auc_by_image(predict(network, params, test.images), test.labels)
