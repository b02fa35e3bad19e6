"""Unmixing: what all extracted images share much of is taken out of each, as much as tells them apart best."""

import jax
import jax.numpy as jnp
import numpy as np

# Penalties tried, in units of the mean eigenvalue of the images' inner products.
PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1)
# Size of restored deviations, in those of the pilots. What is cut off at black and white no longer tells images apart.
_SIZE = 0.5


def unmix(painted: jax.Array, pilots: jax.Array, mean: jax.Array) -> jax.Array:
  """Divides extracted images by the covariance of them all.

  Fine-tuning adds much of a few patterns to every image, in amounts that differ. Where noise of a known covariance is
  added to a pattern, the inverse of that covariance makes the filter that detects it best (the matched filter; Turin
  1960), and the covariance of what is painted is nearly all noise. Whitening divides by its root only
  (`metrics.postprocess.whitened`). How far to trust small directions, pilots tell: the penalty with which most of them
  are recognised.

  Args:
    painted: f32[P + S, H, W, C], raw extractions, first of the pilots, then of the images to restore.
    pilots: f32[P, H, W, C] in [0, 1], the pilots as they were.
    mean: f32[H, W, C], the mean of such images.

  Returns:
    f32[S, H, W, C] in [0, 1], faint: made to be recognised, not to be looked at. Not finite if an extraction is not.
  """
  count, size = len(pilots), len(painted)
  targets = (pilots - mean).reshape(count, -1)
  # Squares of what a wild model paints overflow.
  flat = (painted / jnp.maximum(jnp.abs(painted).max(), np.finfo(np.float32).tiny)).reshape(size, -1)
  flat = flat - flat.mean(axis=0)
  products = flat @ flat.T
  usual = jnp.maximum(jnp.trace(products) / size, 1e-12)
  with_targets = flat @ targets.T
  directions = jnp.maximum(jnp.linalg.norm(targets, axis=1), 1e-6)

  def mixing(penalty: jax.Array) -> tuple[jax.Array, jax.Array]:
    """What divides, in terms of the images themselves, and the share of pilots recognised after it."""
    factor = jnp.linalg.cholesky(products / usual + penalty * jnp.eye(size))
    inverse = jax.scipy.linalg.cho_solve((factor, True), jnp.eye(size))
    similarity = (inverse[:count] @ with_targets) / directions
    return inverse, (similarity.argmax(axis=1) == jnp.arange(count)).mean(dtype=jnp.float32)

  inverses, identified = jax.vmap(mixing)(jnp.asarray(PENALTIES, jnp.float32))
  deviations = inverses[identified.argmax()][count:] @ flat
  gain = _SIZE * jnp.sqrt(jnp.square(targets).mean() / jnp.maximum(jnp.square(deviations).mean(), 1e-30))
  return jnp.clip((gain * deviations).reshape(-1, *mean.shape) + mean, 0, 1)
