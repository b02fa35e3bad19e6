"""Unmixing: what all extracted images share much of is taken out of each, as much as distinguishes them best."""

import jax
import jax.numpy as jnp

PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1)  # penalties tried, in units of the mean eigenvalue of the images' inner products
# Size of restored deviations, in usual ones. What is cut off at black and white no longer distinguishes images.
_SIZE = 0.5


def unmix(extracted: jax.Array, pilots: jax.Array, mean: jax.Array) -> jax.Array:
  """Filters extracted images (`matched_filter`), with the penalty by which most of some known images are recognised.

  `extracted` f32[P + S, H, W, C] are raw, first of the pilots, then of the images to restore; `pilots` f32[P, H, W, C]
  in [0, 1] are as they were, `mean` f32[H, W, C] is that of such images. The result, f32[S, H, W, C] in [0, 1], is
  `faint`, and not finite if an extraction is not.
  """
  count = len(pilots)
  targets = (pilots - mean).reshape(count, -1)
  lengths = jnp.maximum(jnp.linalg.norm(targets, axis=1), 1e-6)

  def attempt(penalty: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Deviations of the images to restore, and the share of pilots recognised."""
    found = matched_filter(extracted, penalty)
    similarity = found[:count] @ targets.T / lengths
    return found[count:], (similarity.argmax(axis=1) == jnp.arange(count)).mean(dtype=jnp.float32)

  deviations, identified = jax.vmap(attempt)(jnp.asarray(PENALTIES, jnp.float32))
  return faint(deviations[identified.argmax()], jnp.sqrt(jnp.square(targets).mean()), mean)


def matched_filter(images: jax.Array, penalty: jax.Array | float) -> jax.Array:
  """Divides raw extractions f32[N, H, W, C] of any size by the covariance of them all.

  The inverse of the noise's covariance makes the filter that detects a pattern in it best (Turin 1960, "An introduction
  to matched filters"), and the covariance of extracted images is nearly all noise: fine-tuning adds much of a few
  patterns to every image. Whitening divides by its root only (`metrics.postprocess.whitened`). `penalty` is added to
  the eigenvalues, in units of their mean: it keeps directions out that hold nothing but rounding. Returns deviations
  f32[N, H * W * C] from the images' mean, of no particular size, not finite if an extraction is not.
  """
  flat = centred(images)
  products = flat @ flat.T
  # Of size 1, so that nothing under- or overflows.
  products = products / jnp.maximum(jnp.trace(products) / len(flat), 1e-12)
  return jax.scipy.linalg.solve(products + penalty * jnp.eye(len(flat)), flat, assume_a="pos")


def faint(deviations: jax.Array, usual: jax.Array, mean: jax.Array) -> jax.Array:
  """Deviations f32[N, H * W * C] from a mean f32[H, W, C] as images in [0, 1]: to be recognised, not to be looked at.

  `usual` is the root mean square f32[] of such images' deviations.
  """
  gain = _SIZE * usual / jnp.sqrt(jnp.maximum(jnp.square(deviations).mean(), 1e-30))
  return jnp.clip((gain * deviations).reshape(-1, *mean.shape) + mean, 0, 1)


def centred(examples: jax.Array) -> jax.Array:
  """Examples f32[N, ...] flat, over their largest number (squares could overflow), less their mean: f32[N, D]."""
  flat = (examples / jnp.maximum(jnp.abs(examples).max(), jnp.finfo(jnp.float32).tiny)).reshape(len(examples), -1)
  return flat - flat.mean(axis=0)
