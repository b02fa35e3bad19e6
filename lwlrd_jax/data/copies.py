"""Copies among images, found by content: the same file twice, encoded again, or shifted by rounding.

Classes are balanced by copying, and public sets hold the same picture more than once. An attacker who
reconstructs one copy has reconstructed them all.

Two images are near copies if, in blocks of a 7 x 7 grid, their root mean square difference is at most 4.5 grey levels
and .35 of either one's contrast, and pixel by pixel at most 10 and .6. Contrast is the smaller of the deviations from
the mean image and from the image's own mean colour: pictures that show hardly anything differ by little without being
copies. The limits are what JPEG of quality 75 changes: on 28 x 28 pixels in colour, where it changes most, all but one
image in five hundred stay within them. What is that close is a copy, also if it is a second photograph: all such pairs
in DermaMNIST show one lesion, and those of different lesions lie beyond the limits.

A group is an image with all its near copies, formed around the images with the most near copies first. So every image
of a group is like the one in its middle, and no chain of small differences joins images that are unlike.
"""

import dataclasses
import hashlib
from collections.abc import Callable, Sequence

import jax
import numpy as np

_GRID = 7
# Largest root mean square difference, in grey levels and as a share of contrast.
_BLOCKS = (4.5, 0.35)
_PIXELS = (10.0, 0.6)
# Images that are made small, or compared with a stretch of others, at a time; that stretch.
_ROWS, _COLUMNS = 512, 16384


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Copies:
  """Which of N images are copies of each other."""

  # i32[N], from 0 in order of the groups' first images. An image without a copy is a group of its own.
  group: jax.Array | np.ndarray
  uniform: jax.Array | np.ndarray  # i32[U], the first image of each group whose images are all identical
  # i32[V], of each other group one image of each that differ in some pixel, group by group in ascending order.
  varied: jax.Array | np.ndarray

  @property
  def distinct(self) -> int:
    """Number of groups."""
    return int(self.group.max()) + 1

  @property
  def copies(self) -> int:
    """Images that are a copy of an earlier one."""
    return len(self.group) - self.distinct

  @property
  def note(self) -> str:
    """One line that says how many there are; empty if there is none."""
    text = f"{self.copies} of {len(self.group)} training images are copies of another, exact or near; they count as one"
    return text if self.copies else ""


def find_copies(images: np.ndarray) -> Copies:
  """Finds copies among images u8[N, H, W, C], N > 0; see the module. What is found does not depend on the machine.

  >>> images = np.random.default_rng(0).integers(0, 256, (4, 28, 28, 1), np.uint8)
  >>> images[3] = images[1]
  >>> find_copies(images).group.tolist()
  [0, 1, 2, 1]
  """
  first, same = _numbered([hashlib.blake2b(image.tobytes(), digest_size=16).hexdigest() for image in images])
  _, group = _numbered(_stars(len(first), *_near_pairs(images, first))[same])
  of_first = group[first]
  several = np.bincount(of_first)[of_first] > 1
  varied = first[several]
  return Copies(group, first[~several], varied[np.argsort(group[varied], kind="stable")])


def _numbered(things: Sequence[str] | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """First position of each distinct thing, i32[P] ascending, and which of them each of the N is, i32[N]."""
  _, first, which = np.unique(things, return_index=True, return_inverse=True)
  order = np.argsort(first)
  return first[order].astype(np.int32), np.argsort(order).astype(np.int32)[which]


def _stars(count: int, left: np.ndarray, right: np.ndarray) -> np.ndarray:
  """Groups of `count` things, given all pairs that belong together: i32[count], number of each one's centre."""
  ends, others = np.concatenate([left, right]), np.concatenate([right, left])
  others = others[np.argsort(ends, kind="stable")]
  degree = np.bincount(ends, minlength=count)
  stop = np.cumsum(degree)
  centre = np.full(count, -1, np.int32)
  for i in np.argsort(-degree, kind="stable"):
    if centre[i] < 0:
      near = others[stop[i] - degree[i] : stop[i]]
      centre[near[centre[near] < 0]] = i
      centre[i] = i
  return centre


def _near_pairs(images: np.ndarray, among: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """Pairs of near copies among the images at positions `among`: i[E] and i[E], places in it."""
  channels = images.shape[-1]
  blocks = np.concatenate([_in_blocks(images[among[i : i + _ROWS]]) for i in range(0, len(among), _ROWS)])
  mean = blocks.mean(axis=0, dtype=np.float64).astype(np.float32)
  limit = np.minimum(_BLOCKS[0], _BLOCKS[1] * _contrast(blocks, mean, channels))
  left, right = _candidates(blocks - mean, limit)
  near = _differ(blocks.__getitem__, left, right) <= np.minimum(limit[left], limit[right])
  left, right = left[near], right[near]
  if not len(left):
    return left, right

  def pixels(places: np.ndarray) -> np.ndarray:
    return images[among[places]].reshape(len(places), -1).astype(np.float32)

  total = sum(images[i : i + _ROWS].sum(axis=0, dtype=np.int64) for i in range(0, len(images), _ROWS))
  mean = (total / len(images)).ravel()
  contrast = np.full(len(among), np.inf)
  in_pairs = np.union1d(left, right)
  for i in range(0, len(in_pairs), _ROWS):
    part = in_pairs[i : i + _ROWS]
    contrast[part] = _contrast(pixels(part), mean, channels)
  limit = np.minimum(_PIXELS[0], _PIXELS[1] * contrast)
  near = _differ(pixels, left, right) <= np.minimum(limit[left], limit[right])
  return left[near], right[near]


def _in_blocks(images: np.ndarray) -> np.ndarray:
  """u8[n, H, W, C] -> f32[n, D], means over the blocks of a grid."""
  for axis in (1, 2):
    edges = np.linspace(0, images.shape[axis], min(_GRID, images.shape[axis]) + 1).astype(int)
    shape = [1, 1, 1, 1]
    shape[axis] = -1
    images = np.add.reduceat(images, edges[:-1], axis=axis, dtype=np.float32) / np.diff(edges).reshape(shape)
  return images.reshape(len(images), -1).astype(np.float32)


def _contrast(images: np.ndarray, mean: np.ndarray, channels: int) -> np.ndarray:
  """f[n, D] -> f64[n], root mean square deviation from the mean image or from the own mean colour, the smaller one."""
  colours = images.reshape(len(images), -1, channels)
  own = np.square(colours - colours.mean(axis=1, keepdims=True, dtype=np.float64)).mean(axis=(1, 2), dtype=np.float64)
  return np.sqrt(np.minimum(own, np.square(images - mean).mean(axis=1, dtype=np.float64)))


def _differ(read: Callable[[np.ndarray], np.ndarray], left: np.ndarray, right: np.ndarray) -> np.ndarray:
  """Root mean square differences f64[E] of pairs of images, each of which is read by its place."""
  found = np.empty(len(left))
  for i in range(0, len(left), _ROWS):
    part = slice(i, i + _ROWS)
    found[part] = np.sqrt(np.square(read(left[part]) - read(right[part])).mean(axis=1, dtype=np.float64))
  return found


def _candidates(images: np.ndarray, limit: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """Pairs of images f32[n, D], less their mean, that may differ by no more than both limits f[n], and few others.

  The difference is the root mean square. No projection of two images lies farther apart than they do: sorted by the one
  in which images differ most, each has to be compared with those next to it alone.
  """
  size = images.shape[1]
  along = images @ np.linalg.eigh(images.T @ images)[1][:, -1]
  order = np.argsort(along, kind="stable")
  images, along = images[order], along[order].astype(np.float64)
  squares = np.square(images).sum(axis=1)
  # Rounding in f32 moves a squared difference by less than this share of the two squares.
  bound = (np.square(limit[order]) * size + 1e-5 * squares).astype(np.float32)
  reach = np.sqrt(bound + 1e-5 * squares, dtype=np.float64)
  pairs: list[tuple[np.ndarray, np.ndarray]] = []
  for row in range(0, len(images), _ROWS):
    rows = slice(row, min(row + _ROWS, len(images)))
    last = int(np.searchsorted(along, (along[rows] + reach[rows]).max(), side="right"))
    for column in range(row, last, _COLUMNS):
      columns = slice(column, min(column + _COLUMNS, last))
      apart = images[rows] @ images[columns].T
      apart *= -2
      apart += (squares - bound)[rows, None]
      apart += squares[columns]
      one, other = np.nonzero(apart <= 1e-5 * squares[columns])
      later = other + column > one + row
      pairs.append((order[one[later] + row], order[other[later] + column]))
  left, right = (np.concatenate(side) for side in zip(*pairs, strict=True))
  return np.minimum(left, right), np.maximum(left, right)
