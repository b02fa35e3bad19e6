"""Copies among images, found by content: the same file twice, encoded again, or shifted by rounding.

Classes are balanced by copying, and public sets hold the same picture more than once. Whoever reconstructs one copy has
reconstructed them all.

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
  """Which of N images are copies of each other.

  Attributes:
    group: i32[N], number of each image's group, from 0 in order of the groups' first images. An image without a copy is
      a group of its own.
    uniform: i32[U], the first image of each group whose images are all identical.
    varied: i32[V], of each other group one image of each that differ in some pixel, group by group in ascending order.
  """

  group: jax.Array | np.ndarray
  uniform: jax.Array | np.ndarray
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
    said = f"{self.copies} of {len(self.group)} training images are copies of another, exact or near; they count as one"
    return said if self.copies else ""


def find_copies(images: np.ndarray) -> Copies:
  """Finds copies among images u8[N, H, W, C], N > 0; see the module. What is found does not depend on the machine.

  >>> images = np.random.default_rng(0).integers(0, 256, (4, 28, 28, 1), np.uint8)
  >>> images[3] = images[1]
  >>> find_copies(images).group.tolist()
  [0, 1, 2, 1]
  """
  first, same = _identical(images)
  group = _stars(len(first), *_near_pairs(images, first))[same]
  # Numbered in order of first appearance.
  _, starts, group = np.unique(group, return_index=True, return_inverse=True)
  rank = np.empty(len(starts), np.int32)
  rank[np.argsort(starts)] = np.arange(len(starts))
  group = rank[group]
  of_first = group[first]
  several = np.bincount(of_first)[of_first] > 1
  varied = first[several]
  return Copies(group, first[~several], varied[np.argsort(group[varied], kind="stable")])


def _identical(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """First position of each distinct picture, i32[P] ascending, and which of them each image is, i32[N]."""
  seen: dict[bytes, int] = {}
  first: list[int] = []
  same = np.empty(len(images), np.int32)
  for i, image in enumerate(images):
    same[i] = seen.setdefault(hashlib.blake2b(image.tobytes(), digest_size=16).digest(), len(seen))
    if same[i] == len(first):
      first.append(i)
  return np.array(first, np.int32), same


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
  near = _differ(blocks, left, right) <= np.minimum(limit[left], limit[right])
  left, right = left[near], right[near]
  if not len(left):
    return left, right

  total = sum(images[i : i + _ROWS].sum(axis=0, dtype=np.int64) for i in range(0, len(images), _ROWS))
  mean = (total / len(images)).ravel()
  near = np.zeros(len(left), bool)
  for i in range(0, len(left), _ROWS):
    one, other = (
      images[among[side[i : i + _ROWS]]].reshape(-1, mean.size).astype(np.float32) for side in (left, right)
    )
    contrast = np.minimum(_contrast(one, mean, channels), _contrast(other, mean, channels))
    difference = np.sqrt(np.square(one - other).mean(axis=1, dtype=np.float64))
    near[i : i + _ROWS] = difference <= np.minimum(_PIXELS[0], _PIXELS[1] * contrast)
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


def _differ(images: np.ndarray, left: np.ndarray, right: np.ndarray) -> np.ndarray:
  """Root mean square differences of pairs, f64[E]."""
  found = np.empty(len(left))
  for i in range(0, len(left), _COLUMNS):
    part = slice(i, i + _COLUMNS)
    found[part] = np.sqrt(np.square(images[left[part]] - images[right[part]]).mean(axis=1, dtype=np.float64))
  return found


def _main_axis(images: np.ndarray) -> np.ndarray:
  """A unit vector f32[D] close to the one along which images f32[n, D] vary most: any would do, but take longer."""
  spread = (images.T @ images).astype(np.float64)
  axis = spread[spread.diagonal().argmax()]
  for _ in range(20):
    axis = spread @ (axis / max(np.linalg.norm(axis), 1e-30))
  return (axis / max(np.linalg.norm(axis), 1e-30)).astype(np.float32)


def _candidates(images: np.ndarray, limit: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """Pairs whose root mean square difference may be within both limits, and few others.

  No projection of two images lies farther apart than they do: sorted by the one in which images differ most, each has
  to be compared with those next to it alone.

  Args:
    images: f32[n, D], less their mean.
    limit: f[n].

  Returns:
    i[E] and i[E].
  """
  size = images.shape[1]
  along = images @ _main_axis(images)
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
