"""Leakage: what the best of an attacker's post-processings recovers of the stolen images."""

from collections.abc import Callable
from typing import NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from lwlrd_jax.data.copies import Copies
from lwlrd_jax.data.device import DeviceSplit, scale
from lwlrd_jax.metrics.postprocess import POSTPROCESSINGS, PublicStatistics
from lwlrd_jax.metrics.ssim import ssim

Carry = TypeVar("Carry")
Pair = tuple[jax.Array, jax.Array]

# Training images compared at a time: bounds the memory that re-identification needs.
_CHUNK = 1024
# Similarities closer than this are the same number, computed in another order.
_TIE = 1e-5


class Leakage(NamedTuple):
  """What a set of reconstructions gives away, image by image; the set's figures are the means. Each f32[S].

  Each figure is of the version of the set, among all post-processings, whose mean is best; `ssim_naive` of the raw one.
  """

  ssim_naive: jax.Array  # SSIM of the raw extraction, clipped; in [-1, 1]
  ssim: jax.Array  # SSIM; in [-1, 1]
  psnr: jax.Array  # peak signal-to-noise ratio in dB
  mse: jax.Array  # squared error, images in [0, 1]
  reid: jax.Array  # 1 if re-identified, in [0, 1]: ties count fractionally; chance is 1 / (distinct training images)

  def figures(self) -> dict[str, float]:
    """Cells of the results table by column."""
    return {name: float(value.mean()) for name, value in self._asdict().items()}

  def outcomes(self) -> dict[str, np.ndarray]:
    """What intervals are made of: f32[S] by column."""
    return {name: np.asarray(value) for name, value in self._asdict().items() if name != "ssim_naive"}


def versions(extracted: jax.Array, public: PublicStatistics, restored: jax.Array | None = None) -> jax.Array:
  """Everything that an attacker makes of what they extracted: f32[P, S, H, W, C] in [0, 1], the raw version first.

  Args:
    extracted: f32[S, H, W, C], raw. If any pixel is not finite, every version of a post-processing is NaN.
    public: Statistics of such images.
    restored: f32[R, S, H, W, C], what the attacker's own restorations make of them, if there are any.
  """
  with jax.default_matmul_precision("highest"):
    closed_form = jnp.stack([process(extracted, public) for process in POSTPROCESSINGS.values()])
  # Clipping would pass infinities off as white.
  closed_form = jnp.where(jnp.isfinite(extracted).all(), closed_form, jnp.nan)
  if restored is None or not len(restored):
    return closed_form
  # A restoration that fails must not spoil what the others recover.
  return jnp.concatenate([closed_form, jnp.clip(jnp.nan_to_num(restored), 0, 1)])


@jax.default_matmul_precision("highest")
def leakage(
  candidates: jax.Array, stolen: jax.Array, data: DeviceSplit, public: PublicStatistics
) -> tuple[Leakage, jax.Array]:
  """Measures versions of a set of reconstructions against the images they were stolen from.

  Matrix products are exact here whatever the device's or the user's precision: rounding would lose matches.

  `candidates` are the `versions` f32[P, S, H, W, C], the raw one first; `stolen` i32[S] are the originals' positions in
  the training split `data`. Beside the figures, NaN where an extraction is not finite, comes i32[], the version that is
  re-identified most, of those the one with the highest SSIM.
  """
  originals = scale(data.images[stolen])
  similarity = ssim(candidates, originals[None])
  squared_error = jnp.square(candidates - originals).mean(axis=(2, 3, 4))
  # An error below a millionth counts as 60 dB: a single perfect image must not lift the mean to infinity.
  ratio = -10 * jnp.log10(jnp.maximum(squared_error, 1e-6))
  identified = reidentification(candidates, stolen, data, public.mean)

  def best(by_version: jax.Array) -> jax.Array:
    return by_version[jnp.nan_to_num(by_version.mean(axis=1), nan=-jnp.inf).argmax()]

  measured = Leakage(similarity[0], best(similarity), best(ratio), -best(-squared_error), best(identified))
  finite = jnp.isfinite(candidates[0]).all()
  # Rates of two versions that differ do so by far more than a thousandth of a thousandth.
  clearest = identified.mean(axis=1) + 1e-6 * jnp.nan_to_num(similarity.mean(axis=1))
  return Leakage(*(jnp.where(finite, value, jnp.nan) for value in measured)), clearest.argmax()


def reidentification(candidates: jax.Array, stolen: jax.Array, data: DeviceSplit, mean: jax.Array) -> jax.Array:
  """Top-1 re-identification among all training images, by cosine similarity of deviations from the mean image.

  Copies are one image: an attacker who finds any of them has found all, and they lose to another image, or tie with it,
  once. Pictures come out inverted at times: if a version's negatives are recognised more often, that counts.

  A tie with n other images counts 1 / (1 + n): reconstructions that are all the same score chance, which is one of all
  distinct images.

  `candidates` f32[P, S, H, W, C] are P versions; `stolen` i32[S] the originals' positions in the training split `data`;
  `mean` f32[H, W, C] is the mean training image. Gives f32[P, S] in [0, 1]: of each version the kind, as it is or
  inverted, that is recognised more.
  """
  number, count = candidates.shape[:2]
  everyone = np.arange(len(data), dtype=np.int32)
  copies = Copies(everyone, everyone, everyone[:0]) if data.copies is None else data.copies
  group, uniform, varied = map(jnp.asarray, (copies.group, copies.uniform, copies.varied))

  def directions(images: jax.Array) -> jax.Array:
    flat = (images - mean).reshape(*images.shape[:-3], -1)
    return flat / jnp.maximum(jnp.linalg.norm(flat, axis=-1, keepdims=True), 1e-6)

  queries = directions(candidates)
  own = (queries * directions(scale(data.images[stolen]))).sum(axis=-1).reshape(-1)
  queries = queries.reshape(number * count, -1)
  own_group = jnp.tile(group[stolen], number)

  def over(among: jax.Array, step: Callable[..., Carry], start: Carry) -> Carry:
    """Runs `step(carry, similarity, groups, new)` over images at the positions `among`, a chunk at a time.

    Row 0 of the similarity f32[2, P S, chunk] is with reconstructions as they are, row 1 with inverted ones.
    """
    if not len(among):
      return start
    chunk = min(_CHUNK, len(among))

    def compare(carry: Carry, first: jax.Array) -> tuple[Carry, None]:
      # The last chunk begins early enough to be whole; what an earlier one has seen is not new.
      index = jnp.minimum(first, len(among) - chunk) + jnp.arange(chunk, dtype=jnp.int32)
      position = among[index]
      similarity = queries @ directions(scale(data.images[position])).T
      return step(carry, jnp.stack([similarity, -similarity]), group[position], index >= first), None

    return jax.lax.scan(compare, start, jnp.arange(0, len(among), chunk, dtype=jnp.int32))[0]

  def nearest(own: jax.Array, similarity: jax.Array, groups: jax.Array, _: jax.Array) -> jax.Array:
    return jnp.maximum(own, jnp.where(groups == own_group[:, None], similarity, -jnp.inf).max(axis=2))

  def compared(similarity: jax.Array, groups: jax.Array, new: jax.Array) -> Pair:
    other = new & (groups != own_group[:, None])
    ahead = similarity - own[..., None]
    return other & (ahead > _TIE), other & (jnp.abs(ahead) <= _TIE)

  def counted(totals: Pair, better: jax.Array, equal: jax.Array) -> Pair:
    return totals[0] + better.sum(axis=2, dtype=jnp.int32), totals[1] + equal.sum(axis=2, dtype=jnp.int32)

  def count_images(totals: Pair, *chunk: jax.Array) -> Pair:
    return counted(totals, *compared(*chunk))

  def count_groups(carry: tuple[Pair, jax.Array], *chunk: jax.Array) -> tuple[Pair, jax.Array]:
    totals, last = carry
    better, equal = compared(*chunk)
    # Groups come in ascending order: the last one that has tied so far is the largest number.
    tied = jnp.where(equal, chunk[1], -1)
    so_far = jax.lax.cummax(jnp.concatenate([last[..., None], tied], axis=2), axis=2)
    return counted(totals, better, equal & (tied > so_far[..., :-1])), so_far[..., -1]

  own = over(varied, nearest, jnp.stack([own, -own]))
  zero = jnp.zeros(own.shape, jnp.int32)
  counts = over(uniform, count_images, (zero, zero))
  (better, equal), _ = over(varied, count_groups, (counts, zero - 1))
  # Nothing compares with NaN, so nothing would be better than it.
  score = jnp.where((better == 0) & jnp.isfinite(own), 1 / (1 + equal.astype(jnp.float32)), 0)
  score = score.reshape(2, number, count)
  return jnp.where(score[0].mean(axis=1, keepdims=True) >= score[1].mean(axis=1, keepdims=True), score[0], score[1])
