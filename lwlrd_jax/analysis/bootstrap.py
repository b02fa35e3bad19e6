"""95 % intervals by a two-level bootstrap over seeds and images.

A figure is the mean over seeds of means over images. A replicate draws as many seeds with replacement, and images of
each drawn seed with replacement (Davison and Hinkley, "Bootstrap Methods and their Application", 1997, section 3.8, on
hierarchical data); the interval is between percentiles of replicates.

- *Nested* samples: every seed has images of its own (stolen ones). Each drawn seed's images are drawn anew.
- *Crossed* samples: all seeds share their images (test ones). One draw of images serves all seeds of a replicate.

With few seeds the bootstrap is too narrow: it divides by K where K - 1 is right, and takes a normal quantile where
Student's is right (Hesterberg 2015, arXiv 1411.5279). So deviations between seeds are widened by sqrt(K / (K - 1)) *
t[.975, K - 1] / z[.975], with which the interval of seeds alone is about Student's; of two seeds there are but three
means to draw, whose outer ones it takes to be Student's. A seed's mean already varies by its images, which are drawn
again here: nested intervals of several seeds cover up to 99.5 % where seeds differ in nothing else, so small
differences in leakage are missed rather than made up. One seed says nothing about seeds: the interval is over images
only.

Replicates are linear in the samples, and draw with fixed numbers. A difference of two figures that share their draws
is therefore that of a paired bootstrap.
"""

import functools
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import special

REPLICATES = 2000
# Of the normal distribution.
_Z = 1.959964
_QUANTILES = (0.025, 0.975)
# Images up to which weights are kept ready to multiply (32 MB at most); of more, they are converted block by block.
_FEW_IMAGES = 4096
_BLOCK = 250
# Figures whose replicates are held at once: some tens of MB.
_AT_ONCE = 200
# Keys of independent random draws.
_SEEDS, _IMAGES = 0, 1


class Interval(NamedTuple):
  """A figure and its 95 % interval; all NaN where it was not measured."""

  value: float
  low: float
  high: float

  @property
  def known(self) -> bool:
    """Whether there is an interval at all."""
    return math.isfinite(self.low) and math.isfinite(self.high)


UNKNOWN = Interval(math.nan, math.nan, math.nan)


def interval(
  samples: Sequence[np.ndarray], *, crossed: bool, limits: tuple[float, float] = (-math.inf, math.inf)
) -> Interval:
  """A figure with its 95 % interval.

  Args:
    samples: f[images] for each seed; a figure is the mean over seeds of their means.
    crossed: Whether all seeds share the images, in one order; their numbers must agree then.
    limits: The figure's range; the interval is clipped to it.

  Returns:
    The interval; `UNKNOWN` without samples or with a NaN among them.

  Raises:
    ValueError: Crossed samples of different lengths.

  >>> interval([np.ones(9)], crossed=False)
  Interval(value=1.0, low=1.0, high=1.0)
  """
  return intervals([samples], crossed=crossed, limits=limits)[0]


def intervals(
  figures: Sequence[Sequence[np.ndarray]], *, crossed: bool, limits: tuple[float, float] = (-math.inf, math.inf)
) -> list[Interval]:
  """As `interval` for each of many figures, in less time: their images are drawn in few large matrix products.

  Args:
    figures: The samples of each.
    crossed: As for `interval`.
    limits: Likewise.

  Raises:
    ValueError: As `interval`.
  """
  found = []
  for start in range(0, len(figures), _AT_ONCE):
    some = figures[start : start + _AT_ONCE]
    for samples, values in zip(some, _replicates(some, crossed=crossed, seed_draw=0, image_draw=0), strict=True):
      if values is None:
        found.append(UNKNOWN)
        continue
      low, high = np.clip(np.quantile(values, _QUANTILES), *limits)
      found.append(Interval(_mean(samples), float(low), float(high)))
  return found


def difference(
  ours: Sequence[np.ndarray],
  others: Sequence[np.ndarray],
  *,
  crossed: bool,
  seeds: bool,
  images: bool,
  limits: tuple[float, float] = (-math.inf, math.inf),
) -> Interval:
  """The difference of two figures, ours less the others', with its 95 % interval.

  Args:
    ours: As for `interval`.
    others: Likewise.
    crossed: Likewise.
    seeds: Whether both are of the same seeds, in one order: these are then drawn together.
    images: Whether both are of the same images, in one order: likewise.
    limits: Range of either figure; the interval is clipped to what two such figures can differ by.

  Returns:
    The interval; `UNKNOWN` if either is.

  Raises:
    ValueError: Samples said to be of the same seeds or images differ in number; or as `interval`.
  """
  if seeds and len(ours) != len(others):
    raise ValueError(f"{len(ours)} and {len(others)} seeds cannot be paired")
  if images and {len(sample) for sample in ours} != {len(sample) for sample in others}:
    raise ValueError("samples of different numbers of images cannot be paired")
  mine = replicates(ours, crossed=crossed)
  theirs = replicates(others, crossed=crossed, seed_draw=int(not seeds), image_draw=int(not images))
  if mine is None or theirs is None:
    return UNKNOWN
  reach = limits[1] - limits[0]
  low, high = np.clip(np.quantile(mine - theirs, _QUANTILES), -reach, reach)
  return Interval(_mean(ours) - _mean(others), float(low), float(high))


def share_interval(samples: Sequence[np.ndarray]) -> Interval:
  """As `interval` of nested samples, for a share of images in [0, 1].

  None, or all, of the images leave nothing to draw from; the interval then is the exact one of Clopper and Pearson
  (1934) for that many images, whatever their seed. Of few hits, or few misses, a bootstrap draws too few others: the
  interval is at least that of Wilson (1927) for independent images.

  >>> share_interval([np.zeros(256)]).high.__round__(4)
  0.0143
  """
  return share_intervals([samples])[0]


def share_intervals(figures: Sequence[Sequence[np.ndarray]]) -> list[Interval]:
  """As `share_interval` for each of many figures, in less time.

  Args:
    figures: The samples of each.
  """
  pairs = zip(figures, intervals(figures, crossed=False, limits=(0.0, 1.0)), strict=True)
  return [_at_least(found, samples) for samples, found in pairs]


def _at_least(found: Interval, samples: Sequence[np.ndarray]) -> Interval:
  """An interval widened to what so many independent images leave open."""
  if not found.known:
    return found
  images = sum(map(len, samples))
  if found.value in {0.0, 1.0}:
    return _exact(found, images)
  if not _spread(samples):  # ties of constant reconstructions: no image is a hit or a miss
    return found
  share, weight = found.value, _Z**2 / images
  centre = (share + weight / 2) / (1 + weight)
  reach = math.sqrt(weight * (share * (1 - share) + weight / 4)) / (1 + weight)
  return found._replace(low=min(found.low, centre - reach), high=max(found.high, centre + reach))


def _exact(found: Interval, images: int) -> Interval:
  bound = 1 - _QUANTILES[0] ** (1 / images)
  return found._replace(high=bound) if found.value == 0 else found._replace(low=1 - bound)


def share_difference(
  ours: Sequence[np.ndarray], others: Sequence[np.ndarray], *, seeds: bool, images: bool
) -> Interval:
  """As `difference` of nested samples, for shares of images in [0, 1].

  Where one share leaves nothing to draw from, the interval is made of both shares' own (Newcombe 1998, "Interval
  estimation for the difference between independent proportions", method 10 with other intervals), pairs not counted.
  """
  mine, theirs = share_interval(ours), share_interval(others)
  if not (mine.known and theirs.known):
    return UNKNOWN
  if all(_spread(samples) for samples in (ours, others)):
    return difference(ours, others, crossed=False, seeds=seeds, images=images, limits=(0.0, 1.0))
  gap = mine.value - theirs.value
  low = gap - math.hypot(mine.value - mine.low, theirs.high - theirs.value)
  high = gap + math.hypot(mine.high - mine.value, theirs.value - theirs.low)
  return Interval(gap, low, high)


def _spread(samples: Sequence[np.ndarray]) -> bool:
  """Whether not all images have the same."""
  return len({float(value) for sample in samples for value in (np.min(sample), np.max(sample))}) > 1


def replicates(
  samples: Sequence[np.ndarray], *, crossed: bool, seed_draw: int = 0, image_draw: int = 0
) -> np.ndarray | None:
  """The figure of each replicate.

  Args:
    samples: As for `interval`.
    crossed: Likewise.
    seed_draw: Which independent draw of seeds, from 0.
    image_draw: Which independent draw of images, from 0.

  Returns:
    f64[REPLICATES], or None without samples or with a NaN among them.

  Raises:
    ValueError: As `interval`.
  """
  return _replicates([samples], crossed=crossed, seed_draw=seed_draw, image_draw=image_draw)[0]


def _replicates(
  figures: Sequence[Sequence[np.ndarray]], *, crossed: bool, seed_draw: int, image_draw: int
) -> list[np.ndarray | None]:
  usable = [bool(samples) and all(_is_usable(sample) for sample in samples) for samples in figures]
  known = [samples for samples, yes in zip(figures, usable, strict=True) if yes]
  if crossed and any(len({len(sample) for sample in samples}) > 1 for samples in known):
    raise ValueError("crossed samples need the same images for all seeds")
  every = [sample for samples in known for sample in samples]
  # A slot is a place in a replicate that a drawn seed takes; crossed, all slots see one draw of images.
  slots = 1 if crossed else max(map(len, known), default=0)
  shifts = [_image_shifts(every, slot, image_draw) for slot in range(slots)]
  found: list[np.ndarray | None] = []
  start = 0
  for samples, yes in zip(figures, usable, strict=True):
    if not yes:
      found.append(None)
      continue
    drawn = _drawn_seeds(len(samples), seed_draw)
    means = np.array([np.mean(sample, dtype=np.float64) for sample in samples])
    between = means[drawn].mean(axis=1) - means.mean()
    moved = [
      shifts[0 if crossed else place][start + drawn[:, place], np.arange(REPLICATES)] for place in range(len(samples))
    ]
    found.append(means.mean() + widening(len(samples)) * between + np.mean(moved, axis=0))
    start += len(samples)
  return found


def _is_usable(sample: np.ndarray) -> bool:
  return len(sample) > 0 and bool(np.isfinite(sample).all())


def widening(seeds: int) -> float:
  """What deviations between seeds are multiplied by.

  Args:
    seeds: Their number, from 1. With 1 there is no deviation, and the factor is 1.

  >>> [round(widening(seeds), 2) for seeds in (1, 2, 3, 5, 100)]
  [1.0, 12.71, 2.69, 1.58, 1.02]
  """
  if seeds == 1:
    return 1.0
  if seeds == 2:
    # Both quantiles are the means of one seed alone, which lie a standard error from the middle.
    return _student(1)
  return math.sqrt(seeds / (seeds - 1)) * _student(seeds - 1) / _Z


def _student(freedom: int) -> float:
  """The .975 quantile of Student's t."""
  return float(special.stdtrit(freedom, _QUANTILES[1]))


def _mean(samples: Sequence[np.ndarray]) -> float:
  return float(np.mean([np.mean(sample, dtype=np.float64) for sample in samples]))


def _image_shifts(samples: Sequence[np.ndarray], slot: int, draw: int) -> np.ndarray:
  """How far drawn images move each sample's mean: f32[samples, REPLICATES]."""
  shifts = np.empty((len(samples), REPLICATES), np.float32)
  for images in {len(sample) for sample in samples}:
    of_size = [place for place, sample in enumerate(samples) if len(sample) == images]
    stacked = np.stack([samples[place] for place in of_size]).astype(np.float64)
    centred = (stacked - stacked.mean(axis=1, keepdims=True)).astype(np.float32)
    few = images <= _FEW_IMAGES
    shifts[of_size] = centred @ _weights(images, slot, draw).T if few else _in_blocks(centred, slot, draw)
  return shifts


def _in_blocks(centred: np.ndarray, slot: int, draw: int) -> np.ndarray:
  images = centred.shape[1]
  counts = _image_counts(images, slot, draw)
  blocks = (counts[start : start + _BLOCK] for start in range(0, REPLICATES, _BLOCK))
  return np.concatenate([centred @ block.astype(np.float32).T for block in blocks], axis=1) / images


@functools.lru_cache(maxsize=64)
def _drawn_seeds(seeds: int, draw: int) -> np.ndarray:
  """i64[REPLICATES, seeds]: which seeds a replicate draws."""
  return np.random.default_rng([_SEEDS, draw, seeds]).integers(seeds, size=(REPLICATES, seeds))


@functools.lru_cache(maxsize=12)
def _weights(images: int, slot: int, draw: int) -> np.ndarray:
  """f32[REPLICATES, images]: each image's share in the mean of a replicate."""
  return _image_counts(images, slot, draw).astype(np.float32) / images


@functools.lru_cache(maxsize=24)
def _image_counts(images: int, slot: int, draw: int) -> np.ndarray:
  """u8[REPLICATES, images]: how often a replicate draws an image."""
  random = np.random.default_rng([_IMAGES, draw, slot, images])
  counts = np.empty((REPLICATES, images), np.uint8)
  for row in counts:
    row[:] = np.bincount(random.integers(images, size=images), minlength=images)
  return counts
