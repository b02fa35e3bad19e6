"""Restoration learned from pairs: kernel ridge regression whose every choice is made by leave-one-out, in closed form.

Saunders, Gammerman, Vovk, "Ridge Regression Learning Algorithm in Dual Variables", 1998. Everything is in terms of
inner products, so that activations of any size cost the same, and no pixel is looked at before the last step.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp

from lwlrd_jax.attacks.transpose.unmix import centred

PENALTIES = tuple(10.0**power for power in range(-3, 2))  # tried, in units of the kernel's mean eigenvalue
# Widths tried of the Gaussian kernel: its exponent's denominator, in mean squared distances of the features.
_WIDTHS = (0.25, 1.0, 4.0)


class Scores(NamedTuple):
  """How well pairs are predicted from all others, for each penalty."""

  squared_error: jax.Array  # f32[penalties], mean over pairs of the squared distance to the target
  identified: jax.Array  # f32[penalties], share of pairs whose prediction is closest to its own target, by cosine


def restore(features: Sequence[jax.Array], pilots: jax.Array, mean: jax.Array) -> jax.Array:
  """Restores images by what became of others of which the originals are known.

  Two restorations, each with the kernel and the penalty that do best on the pilots left out: the closest to the
  originals, and the one by which most are recognised: f32[2, S, H, W, C] in [0, 1], not finite if a feature is not.
  `features` f32[P + S, ...] are what is left of images in some place each, first of the pilots, then of those to
  restore; `pilots` f32[P, H, W, C] in [0, 1] are the pilots as they were, `mean` f32[H, W, C] is that of such images.
  """
  count = len(pilots)
  targets = (pilots - mean).reshape(count, -1)
  gram = targets @ targets.T
  all_kernels = kernels(features)
  scores = jax.lax.map(lambda kernel: leave_one_out(kernel[:count, :count], gram), all_kernels)

  def predicted(best: jax.Array) -> jax.Array:
    kernel = all_kernels[best // len(PENALTIES)]
    inside = kernel[:count, :count]
    penalty = jnp.asarray(PENALTIES, jnp.float32)[best % len(PENALTIES)] * _mean_eigenvalue(inside)
    weights = jax.scipy.linalg.solve(inside + penalty * jnp.eye(count), targets, assume_a="pos")
    return jnp.clip((kernel[count:, :count] @ weights).reshape(-1, *mean.shape) + mean, 0, 1)

  return jnp.stack([predicted(scores.squared_error.argmin()), predicted(scores.identified.argmax())])


def kernels(features: Sequence[jax.Array]) -> jax.Array:
  """Similarities of examples by each of their features f32[N, ...], and by all together.

  Linear and Gaussian (of several widths) for each feature, and the mean over features of each of these:
  f32[(features + 1) * 4, N, N], positive semi-definite.
  """
  each = jnp.stack([_kernels_of(centred(feature)) for feature in features])
  return jnp.concatenate([*each, each.mean(axis=0)])


def leave_one_out(kernel: jax.Array, gram: jax.Array) -> Scores:
  """Predicts each target from all others, with each of `PENALTIES`, without solving anything more than once.

  With A = (K + penalty I)^-1 and targets Y, the prediction of y_i by a regression that has not seen it misses it by
  (A Y)_i / A_ii (Rifkin, Lippert, "Notes on Regularized Least Squares", 2007). `kernel` is K, f32[P, P], positive
  semi-definite, `gram` f32[P, P] the inner products of the targets.
  """
  count = len(gram)
  identity = jnp.eye(count)
  own = jnp.diagonal(gram)

  def score(penalty: jax.Array) -> Scores:
    factor = jnp.linalg.cholesky(kernel + penalty * _mean_eigenvalue(kernel) * identity)
    inverse = jax.scipy.linalg.cho_solve((factor, True), identity)
    diagonal = jnp.diagonal(inverse)
    # Inner products of what is missed, with the targets and with itself.
    with_targets = (inverse @ gram) / diagonal[:, None]
    missed = (with_targets * inverse).sum(axis=1) / diagonal
    # A prediction's own length does not change which target it is closest to.
    similarity = (gram - with_targets) / jnp.sqrt(jnp.maximum(own, 1e-12))
    best_other = jnp.where(identity > 0, -jnp.inf, similarity).max(axis=1)
    return Scores(missed.mean(), (jnp.diagonal(similarity) > best_other).mean(dtype=jnp.float32))

  # A loop would be slower: inside one, CPUs do not spread a matrix product over their cores.
  return jax.vmap(score)(jnp.asarray(PENALTIES, jnp.float32))


def _kernels_of(feature: jax.Array) -> jax.Array:
  """Linear and Gaussian kernels of f32[N, D]: f32[4, N, N], with a mean diagonal of 1."""
  products = feature @ feature.T
  # Features that do not differ say nothing, and are no reason to divide by 0.
  products = products / jnp.maximum(jnp.diagonal(products).mean(), 1e-12)
  squares = jnp.diagonal(products)
  distances = jnp.maximum(squares[:, None] + squares[None, :] - 2 * products, 0)
  usual = jnp.maximum(distances.mean(), 1e-12)
  return jnp.stack([products, *(jnp.exp(-distances / (width * usual)) for width in _WIDTHS)])


def _mean_eigenvalue(kernel: jax.Array) -> jax.Array:
  return jnp.maximum(jnp.trace(kernel) / len(kernel), 1e-12)
