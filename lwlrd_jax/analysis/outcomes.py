"""What figures are means of, image by image, and the intervals that follow."""

import dataclasses
import math
from collections.abc import Iterable, Mapping

import numpy as np

from lwlrd_jax.analysis import bootstrap
from lwlrd_jax.analysis.bootstrap import UNKNOWN, Interval, Kind

# f[images] by seed.
BySeed = Mapping[int, np.ndarray]


# Figures kept by image. Test images are crossed: all infections share them; stolen ones are not.
QUANTITIES = {
  "auc": Kind(crossed=True, limits=(0.0, 1.0)),
  "downstream_auc": Kind(crossed=True, limits=(0.0, 1.0)),
  "reid": Kind(crossed=False, limits=(0.0, 1.0), share=True),
  "ssim": Kind(crossed=False, limits=(-1.0, 1.0)),
  "psnr": Kind(crossed=False),
  "mse": Kind(crossed=False, limits=(0.0, math.inf)),
}


@dataclasses.dataclass(frozen=True, eq=False)
class Outcomes:
  """A run's figures by image. Each quantity below is one of `QUANTITIES`."""

  # f[images] by "<quantity>/<member>"; their means are the table's figures.
  arrays: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)
  seeds: Mapping[str, int] = dataclasses.field(default_factory=dict)  # seed by member

  def samples(self, quantity: str, members: Iterable[str]) -> BySeed:
    """A quantity's f[images] by seed, in the order of seeds; empty if one member has none, or two share a seed."""
    members = sorted(members, key=lambda member: self.seeds.get(member, -1))
    arrays = [self.arrays.get(f"{quantity}/{member}") for member in members]
    found = {self.seeds[member]: array for member, array in zip(members, arrays, strict=True) if array is not None}
    return found if len(found) == len(members) else {}

  def intervals(self, quantity: str, figures: Iterable[Iterable[str]]) -> list[Interval]:
    """Each figure's 95 % interval; a figure is given by the members of one schedule and attack, a member a seed."""
    samples = [list(self.samples(quantity, members).values()) for members in figures]
    return bootstrap.intervals(samples, QUANTITIES[quantity])

  def difference(self, quantity: str, ours: Iterable[str], others: Iterable[str]) -> Interval:
    """The difference of two figures of this run, ours less the others'."""
    return difference(quantity, self.samples(quantity, ours), self.samples(quantity, others), paired=True)

  def mean_difference(self, quantity: str, ours: Iterable[Iterable[str]], others: Iterable[Iterable[str]]) -> Interval:
    """As `difference` of means over several attacks, each with members of its own; of crossed quantities only.

    Unknown unless all attacks have the same seeds: of those that all have it would be another figure.
    """
    return difference(quantity, self._mean(quantity, ours), self._mean(quantity, others), paired=True)

  def _mean(self, quantity: str, groups: Iterable[Iterable[str]]) -> BySeed:
    """The mean over groups; empty unless all have the same seeds."""
    found = [self.samples(quantity, members) for members in groups]
    if not found or any(samples.keys() != found[0].keys() for samples in found):
      return {}
    return {seed: np.mean([samples[seed] for samples in found], axis=0) for seed in found[0]}


NONE = Outcomes()


def difference(quantity: str, ours: BySeed, others: BySeed, *, paired: bool) -> Interval:
  """The difference of two figures, ours less the others', with its 95 % interval.

  Figures of the same data are `paired` wherever they can be: by seeds if these are the same; by test images always, by
  stolen ones if the seeds are the same and each has as many.
  """
  if not ours or not others:
    return UNKNOWN
  kind = QUANTITIES[quantity]
  seeds = paired and list(ours) == list(others)
  # Where two attacks stole different images, pairing them changes nothing: they are independent either way.
  same_counts = seeds and all(len(ours[seed]) == len(others[seed]) for seed in ours)
  images = paired and (kind.crossed or same_counts)
  return bootstrap.difference([*ours.values()], [*others.values()], kind, seeds=seeds, images=images)
