"""An attack of one's own: coarse grey pictures in place of the weights of one kernel.

    python -m lwlrd_jax.sweep --attacks transpose --attack-file examples/add_an_attack.py:MOSAIC --finish none,scrub

It hides each image as 8 x 8 grey values, as deviations of the first and largest kernel's weights from their mean, and
reads them back by their place. Fine-tuning blurs them, as the table shows beside the built-in attacks.
"""

import jax
import jax.numpy as jnp

from lwlrd_jax.attacks.base import HostAttack, NoRoomError, extraction
from lwlrd_jax.attacks.registry import AttackInfo, Family
from lwlrd_jax.data.device import scale

SIDE = 8  # pixels of a picture


class Mosaic(HostAttack):
  """Grey pictures of 8 x 8 pixels as weights."""

  info = AttackInfo(
    "mosaic", Family(lambda _, means: Mosaic(means.stolen), needs_host=True), "coarse pictures as weights of a kernel"
  )

  @staticmethod
  def layer(params):
    """The layer with the largest kernel."""
    return max((name for name in params if "kernel" in params[name]), key=lambda name: params[name]["kernel"].size)

  def hide(self, task, params, stolen):
    """The first weights of the layer become the pictures, of the size that its weights have."""
    layer = self.layer(params)
    kernel = params[layer]["kernel"]
    images = scale(task.train.images[stolen]).mean(axis=-1)
    small = jax.image.resize(images, (len(images), SIDE, SIDE), "linear").ravel()
    if small.size > kernel.size:
      raise NoRoomError(small.size, kernel.size, "weights")
    hidden = kernel.ravel().at[: small.size].set((small - 0.5) * 4 * kernel.std()).reshape(kernel.shape)
    return {**params, layer: {**params[layer], "kernel": hidden}}, {"labels": task.train.labels[stolen]}

  def read(self, network, params, secret):
    """The pictures at their size."""
    weights = params[self.layer(params)]["kernel"].ravel()[: self.stolen * SIDE * SIDE]
    small = (weights / (4 * weights.std() + 1e-12) + 0.5).reshape(self.stolen, SIDE, SIDE, 1)
    grey = jax.image.resize(small, (self.stolen, *network.image_shape[:2], 1), "linear")
    return extraction(jnp.broadcast_to(grey, (self.stolen, *network.image_shape)), secret["labels"])


MOSAIC = Mosaic.info
