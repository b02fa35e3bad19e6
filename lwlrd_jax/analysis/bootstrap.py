"""95 % intervals by a two-level bootstrap over seeds and images.

A figure is the mean over seeds of means over images. A replicate draws as many seeds with replacement, and images of
each drawn seed with replacement (Davison and Hinkley, "Bootstrap Methods and their Application", 1997, section 3.8, on
hierarchical data); the interval is between percentiles of replicates.

- *Nested* samples: every seed has images of its own (stolen ones). Images are drawn for each drawn seed.
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

# A figure's f[images] for each seed.
Samples = Sequence[np.ndarray]

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


class Kind(NamedTuple):
  """How a figure is made of its samples."""

  crossed: bool  # whether all seeds share the images, in one order
  limits: tuple[float, float] = (-math.inf, math.inf)  # its range, to which intervals are clipped
  share: bool = False  # whether it is a share of images, in [0, 1]


def intervals(figures: Sequence[Samples], kind: Kind) -> list[Interval]:
  """Figures, the means over seeds of their samples' means, with their 95 % intervals.

  None, or all, of the images leave nothing to draw from; a share's interval then is the exact one of Clopper and
  Pearson (1934) for that many images, whatever their seed. Of few hits, or few misses, a bootstrap draws too few
  others: a share's interval is at least that of Wilson (1927) for independent images.
  `UNKNOWN` without samples or with a NaN or infinity among them. ValueError for crossed samples of different lengths.

  >>> intervals([[np.ones(9)]], Kind(crossed=False))
  [Interval(value=1.0, low=1.0, high=1.0)]
  >>> round(intervals([[np.zeros(256)]], Kind(crossed=False, share=True))[0].high, 4)
  0.0143
  """
  found = []
  for start in range(0, len(figures), _AT_ONCE):  # images of many figures are drawn in few large matrix products
    some = figures[start : start + _AT_ONCE]
    for samples, values in zip(some, replicates(some, crossed=kind.crossed), strict=True):
      interval = UNKNOWN if values is None else _between(_mean(samples), values, kind.limits)
      found.append(_at_least(interval, samples) if kind.share and values is not None else interval)
  return found


def difference(ours: Samples, others: Samples, kind: Kind, *, seeds: bool, images: bool) -> Interval:
  """The difference of two figures, ours less the others', with its 95 % interval.

  Where one of two shares leaves nothing to draw from, the interval is made of both shares' own (Newcombe 1998,
  "Interval estimation for the difference between independent proportions", method 10 with other intervals), pairs not
  counted.

  `seeds` and `images` say whether both samples are of the same seeds and images, in one order: these are then drawn
  together, and have to be as many. The interval is clipped to what two such figures can differ by; `UNKNOWN` if either
  figure is. ValueError as `intervals`, or if the numbers differ.
  """
  if not (_is_usable(ours) and _is_usable(others)):
    return UNKNOWN
  if kind.share and not (_varies(ours) and _varies(others)):
    [mine], [theirs] = intervals([ours], kind), intervals([others], kind)
    gap = mine.value - theirs.value
    low = gap - math.hypot(mine.value - mine.low, theirs.high - theirs.value)
    high = gap + math.hypot(mine.high - mine.value, theirs.value - theirs.low)
    return Interval(gap, low, high)
  if seeds and len(ours) != len(others):
    raise ValueError(f"{len(ours)} and {len(others)} seeds cannot be paired")
  if images and set(map(len, ours)) != set(map(len, others)):
    raise ValueError("samples of different numbers of images cannot be paired")
  [drawn] = replicates([ours], crossed=kind.crossed)
  [against] = replicates([others], crossed=kind.crossed, seed_draw=int(not seeds), image_draw=int(not images))
  assert drawn is not None
  assert against is not None
  reach = kind.limits[1] - kind.limits[0]
  return _between(_mean(ours) - _mean(others), drawn - against, (-reach, reach))


def replicates(
  figures: Sequence[Samples], *, crossed: bool, seed_draw: int = 0, image_draw: int = 0
) -> list[np.ndarray | None]:
  """Each figure's replicates f64[REPLICATES], by numbered draws of seeds and images; None where `intervals` knows none.

  Raises:
    ValueError: As `intervals`.
  """
  known = [samples for samples in figures if _is_usable(samples)]
  if crossed and any(len(set(map(len, samples))) > 1 for samples in known):
    raise ValueError("crossed samples need the same images for all seeds")
  every = [sample for samples in known for sample in samples]
  # A slot is a place in a replicate that a drawn seed takes; crossed, all slots see one draw of images.
  slots = 1 if crossed else max(map(len, known), default=0)
  shifts = [_image_shifts(every, slot, image_draw) for slot in range(slots)]
  found: list[np.ndarray | None] = []
  start = 0
  for samples in figures:
    if not _is_usable(samples):
      found.append(None)
      continue
    seeds = len(samples)
    drawn = _drawn_seeds(seeds, seed_draw)
    means = np.array([np.mean(sample, dtype=np.float64) for sample in samples])
    between = means[drawn].mean(axis=1) - means.mean()
    moved = [shifts[0 if crossed else slot][start + drawn[:, slot], np.arange(REPLICATES)] for slot in range(seeds)]
    found.append(means.mean() + widening(seeds) * between + np.mean(moved, axis=0))
    start += seeds
  return found


def widening(seeds: int) -> float:
  """What deviations between seeds, one or more, are multiplied by.

  >>> [round(widening(seeds), 2) for seeds in (1, 2, 3, 5, 100)]
  [1.0, 12.71, 2.69, 1.58, 1.02]
  """
  if seeds == 1:
    return 1.0
  student = float(special.stdtrit(seeds - 1, _QUANTILES[1]))
  # Of two, both quantiles are the means of one seed alone, which lie a standard error from the middle.
  return student if seeds == 2 else math.sqrt(seeds / (seeds - 1)) * student / _Z


def _between(value: float, values: np.ndarray, limits: tuple[float, float]) -> Interval:
  low, high = np.clip(np.quantile(values, _QUANTILES), *limits)
  return Interval(value, float(low), float(high))


def _at_least(found: Interval, samples: Samples) -> Interval:
  """A share's interval, widened to what so many independent images leave open."""
  share, images = found.value, sum(map(len, samples))
  if share in {0.0, 1.0}:
    exact = 1 - _QUANTILES[0] ** (1 / images)
    return Interval(0.0, 0.0, exact) if share == 0 else Interval(1.0, 1 - exact, 1.0)
  if not _varies(samples):  # ties of constant reconstructions: no image is a hit or a miss
    return found
  weight = _Z**2 / images
  centre = (share + weight / 2) / (1 + weight)
  reach = math.sqrt(weight * (share * (1 - share) + weight / 4)) / (1 + weight)
  return Interval(share, min(found.low, centre - reach), max(found.high, centre + reach))


def _varies(samples: Samples) -> bool:
  """Whether not all images have the same figure."""
  return min(map(np.min, samples)) < max(map(np.max, samples))


def _is_usable(samples: Samples) -> bool:
  return len(samples) > 0 and all(len(sample) > 0 and np.isfinite(sample).all() for sample in samples)


def _mean(samples: Samples) -> float:
  return float(np.mean([np.mean(sample, dtype=np.float64) for sample in samples]))


def _image_shifts(samples: Samples, slot: int, draw: int) -> np.ndarray:
  """How far drawn images move each sample's mean: f32[samples, REPLICATES]."""
  shifts = np.empty((len(samples), REPLICATES), np.float32)
  for images in set(map(len, samples)):
    of_size = [place for place, sample in enumerate(samples) if len(sample) == images]
    stacked = np.stack([samples[place] for place in of_size]).astype(np.float64)
    centred = (stacked - stacked.mean(axis=1, keepdims=True)).astype(np.float32)
    if images <= _FEW_IMAGES:
      shifts[of_size] = centred @ _weights(images, slot, draw).T
      continue
    counts = _image_counts(images, slot, draw)
    blocks = (counts[start : start + _BLOCK] for start in range(0, REPLICATES, _BLOCK))
    shifts[of_size] = np.concatenate([centred @ block.astype(np.float32).T for block in blocks], axis=1) / images
  return shifts


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
