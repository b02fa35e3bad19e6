"""The one form in which every data set reaches the rest of the package."""

import dataclasses
from typing import TYPE_CHECKING, TypeVar

import numpy as np

if TYPE_CHECKING:
  import jax

  Labels = TypeVar("Labels", np.ndarray, jax.Array)

SPLITS = ("train", "val", "test")
# In multi-label data, a finding whose presence is not known. It counts neither in the loss nor in figures of utility.
UNKNOWN = 255


@dataclasses.dataclass(frozen=True)
class Split:
  """Images and labels of one split, in a fixed order."""

  images: np.ndarray  # u8[N, H, W, C]
  # i32[N], the class (single label), or u8[N, K], 1 where a finding is present, 0 where it is absent, `UNKNOWN` where
  # neither is known (multi-label).
  labels: np.ndarray

  def __len__(self) -> int:
    return len(self.images)


@dataclasses.dataclass(frozen=True)
class Dataset:
  """Train, validation and test split of one image classification task."""

  name: str  # what the user calls it: the value of `dataset`
  train: Split  # what models are trained on and what an attacker steals from
  val: Split  # for choosing, never for reporting
  test: Split  # for reporting
  label_names: tuple[str, ...]  # one an output of the model, K in all
  multi_label: bool  # several of the K findings can be present at once
  # Pictures of single images may be shown: generated data and open licences. A report shows reconstructions of other
  # data only when asked to.
  openly_licensed: bool
  notes: tuple[str, ...] = ()  # what a user has to know of how it was read, a line each

  @property
  def num_outputs(self) -> int:
    """K, the number of classes or findings."""
    return len(self.label_names)

  @property
  def image_shape(self) -> tuple[int, int, int]:
    """(H, W, C)."""
    _, height, width, channels = self.train.images.shape
    return height, width, channels


def unknown_as_absent(labels: "Labels") -> "Labels":
  """Labels where a finding is one bit, as in codes and payloads: u8[N, K] without `UNKNOWN`; i32[N] as they are.

  >>> unknown_as_absent(np.array([[1, 0, UNKNOWN]], np.uint8)).tolist()
  [[1, 0, 0]]
  """
  return labels if labels.ndim == 1 else labels * (labels != UNKNOWN).astype(labels.dtype)
