"""Leakage: what the best of a thief's post-processings recovers of the stolen images."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from lwlrd_jax.data.device import DeviceSplit, scale
from lwlrd_jax.metrics.postprocess import POSTPROCESSINGS, PublicStatistics
from lwlrd_jax.metrics.ssim import ssim

# Training images compared at a time: bounds the memory that re-identification needs.
_CHUNK = 1024
# Similarities closer than this are the same number, computed in another order.
_TIE = 1e-5


class Leakage(NamedTuple):
  """What a set of reconstructions gives away; the best over post-processings but for `ssim_naive`. Each f32[].

  Attributes:
    ssim_naive: Mean SSIM of the raw extraction, clipped; in [-1, 1].
    ssim: Mean SSIM; in [-1, 1].
    psnr: Mean peak signal-to-noise ratio in dB.
    mse: Mean squared error, images in [0, 1]; smallest.
    reid: Share of stolen images re-identified; chance is 1 / (training images).
  """

  ssim_naive: jax.Array
  ssim: jax.Array
  psnr: jax.Array
  mse: jax.Array
  reid: jax.Array


def leakage(
  extracted: jax.Array,
  stolen: jax.Array,
  data: DeviceSplit,
  public: PublicStatistics,
  restorations: tuple[str, ...] = tuple(POSTPROCESSINGS),
) -> Leakage:
  """Measures raw extractions against the images they were stolen from.

  Matrix products are exact here whatever the device's or the user's precision: rounding would lose matches.

  Args:
    extracted: f32[S, H, W, C], raw.
    stolen: i32[S], the originals' positions in the training split.
    data: The training split.
    public: Its statistics.
    restorations: Post-processings to take the best of, by name; `raw` is one of them.

  Returns:
    NaN where an extraction is not finite.
  """
  with jax.default_matmul_precision("highest"):
    return _leakage(extracted, stolen, data, public, restorations)


def _leakage(
  extracted: jax.Array,
  stolen: jax.Array,
  data: DeviceSplit,
  public: PublicStatistics,
  restorations: tuple[str, ...],
) -> Leakage:
  originals = scale(data.images[stolen])
  candidates = jnp.stack([POSTPROCESSINGS[name](extracted, public) for name in restorations])
  similarity = ssim(candidates, originals[None]).mean(axis=1)
  squared_error = jnp.square(candidates - originals).mean(axis=(2, 3, 4))
  # An error below a millionth counts as 60 dB: a single perfect image must not lift the mean to infinity.
  ratio = (-10 * jnp.log10(jnp.maximum(squared_error, 1e-6))).mean(axis=1)
  identified = reidentification(candidates, stolen, data, public.mean)
  naive = restorations.index("raw")
  best = Leakage(similarity[naive], similarity.max(), ratio.max(), squared_error.mean(axis=1).min(), identified.max())
  finite = jnp.isfinite(extracted).all()
  return Leakage(*(jnp.where(finite, value, jnp.nan) for value in best))


def reidentification(candidates: jax.Array, stolen: jax.Array, data: DeviceSplit, mean: jax.Array) -> jax.Array:
  """Top-1 re-identification among all training images, by cosine similarity of deviations from the mean image.

  Pictures come out inverted at times: if a version's negatives are recognised more often, that counts.

  A tie of n training images counts 1 / n: reconstructions that are all the same score chance, 1 / N, and a stolen image
  whose exact copy stands elsewhere in the training split scores a half.

  Args:
    candidates: f32[P, S, H, W, C], P versions of the reconstructions.
    stolen: i32[S], the originals' positions in the training split.
    data: The training split, N images.
    mean: f32[H, W, C], the mean training image.

  Returns:
    f32[P], in [0, 1].
  """
  versions, count = candidates.shape[:2]
  size = len(data)

  def directions(images: jax.Array) -> jax.Array:
    flat = (images - mean).reshape(*images.shape[:-3], -1)
    return flat / jnp.maximum(jnp.linalg.norm(flat, axis=-1, keepdims=True), 1e-6)

  queries = directions(candidates)
  own = (queries * directions(scale(data.images[stolen]))).sum(axis=-1).reshape(-1)
  queries = queries.reshape(versions * count, -1)
  own_position = jnp.tile(stolen, versions)

  def compare(counts: tuple[jax.Array, jax.Array], first: jax.Array) -> tuple[tuple[jax.Array, jax.Array], None]:
    # The last chunk begins early enough to be whole; what an earlier one has seen is masked.
    start = jnp.minimum(first, size - chunk)
    images = jax.lax.dynamic_slice_in_dim(data.images, start, chunk)
    position = start + jnp.arange(chunk, dtype=jnp.int32)
    other = (position >= first)[None, :] & (position[None, :] != own_position[:, None])
    similarity = queries @ directions(scale(images)).T
    # Row 0: as they are; row 1: inverted, which turns every similarity's sign.
    ahead = jnp.stack([similarity - own[:, None], own[:, None] - similarity])
    better = (other & (ahead > _TIE)).sum(axis=2, dtype=jnp.int32)
    equal = (other & (jnp.abs(ahead) <= _TIE)).sum(axis=2, dtype=jnp.int32)
    return (counts[0] + better, counts[1] + equal), None

  chunk = min(_CHUNK, size)
  zero = jnp.zeros((2, versions * count), jnp.int32)
  (better, equal), _ = jax.lax.scan(compare, (zero, zero), jnp.arange(0, size, chunk, dtype=jnp.int32))
  # Nothing compares with NaN, so nothing would be better than it.
  score = jnp.where((better == 0) & jnp.isfinite(own), 1 / (1 + equal.astype(jnp.float32)), 0)
  return score.reshape(2, versions, count).mean(axis=2).max(axis=0)
