"""Two data sets that need no download: seeded drawings of skin lesions and of chest radiographs.

They stand in for DermaMNIST and ChestMNIST where no data are at hand (first steps, tests) and say nothing about
patients. How the images are drawn stands in `phantom_skin.py` and `phantom_chest.py`.

Neither is easy. Seed 0 at 28 pixels, an MLP of three hidden layers of 1024 units (Adam 1e-4, batch 128, label
smoothing 0.2), macro test AUC after 20 / 40 epochs, mean of two runs: `phantom` 0.76 / 0.80, `phantom-chest` 0.68 /
0.71. The same MLP on 2048 images of DermaMNIST: 0.75 / 0.77. SSIM of the constant mean training image against the
images: `phantom` 0.48 (DermaMNIST 0.46), `phantom-chest` 0.66 (real chest radiographs 0.60 to 0.63).
"""

from collections.abc import Callable, Sequence

import numpy as np

from lwlrd_jax.data import phantom_chest as chest
from lwlrd_jax.data import phantom_skin as skin
from lwlrd_jax.data.dataset import Dataset, Split
from lwlrd_jax.errors import UserError

TRAIN_SIZE = 2048
VAL_SIZE = 256
TEST_SIZE = 1024
IMAGE_SIZES = (28, 32, 48, 64)

# Some patients have much wrong with them and most nothing: how far illness in general drives the single findings.
_COMORBIDITY = 0.6


def phantom(*, image_size: int = 28, seed: int = 0) -> Dataset:
  """Skin lesions in colour: seven classes with HAM10000's names, as unbalanced as DermaMNIST's.

  Args:
    image_size: Side in pixels, one of `IMAGE_SIZES`. The same seed shows the same lesions at every size.
    seed: At least 0. Another seed, other patients.

  Returns:
    `TRAIN_SIZE` / `VAL_SIZE` / `TEST_SIZE` images u8[N, image_size, image_size, 3]; every class is in every split.

  Raises:
    UserError: image_size is not supported.
  """
  _check_size("phantom", image_size)

  def draw(count: int, rng: np.random.Generator) -> Split:
    labels = draw_classes(skin.CLASS_SHARES, count, rng)
    return Split(skin.draw_lesions(labels, image_size, rng), labels)

  return _make("phantom", skin.CLASS_NAMES, draw, seed=seed, multi_label=False)


def phantom_chest(*, image_size: int = 28, seed: int = 0) -> Dataset:
  """Frontal chest radiographs: ChestMNIST's fourteen findings, several at once, half of the images without any.

  Args:
    image_size: Side in pixels, one of `IMAGE_SIZES`. The same seed shows the same patients at every size.
    seed: At least 0. Another seed, other patients.

  Returns:
    `TRAIN_SIZE` / `VAL_SIZE` / `TEST_SIZE` images u8[N, image_size, image_size, 1]; every finding is present in some
    images of every split and absent in others.

  Raises:
    UserError: image_size is not supported.
  """
  _check_size("phantom-chest", image_size)

  def draw(count: int, rng: np.random.Generator) -> Split:
    labels = draw_findings(chest.FINDING_SHARES, count, rng)
    return Split(chest.draw_chests(labels, image_size, rng), labels)

  return _make("phantom-chest", chest.FINDING_NAMES, draw, seed=seed, multi_label=True)


def draw_classes(shares: Sequence[float], count: int, rng: np.random.Generator) -> np.ndarray:
  """Labels with exactly the wanted shares, in random order.

  Args:
    shares: Share of each class, about 1 in all; the largest class takes up the rounding.
    count: Number of labels; enough for two of each class.
    rng: Shuffles them.

  Returns:
    i32[count] in [0, len(shares)), each class at least twice.

  >>> np.bincount(draw_classes((0.9, 0.1), 10, np.random.default_rng(0))).tolist()
  [8, 2]
  """
  numbers = np.maximum(np.rint(np.asarray(shares) * count).astype(int), 2)
  numbers[np.argmax(numbers)] += count - numbers.sum()
  return rng.permutation(np.repeat(np.arange(len(shares), dtype=np.int32), numbers))


def draw_findings(shares: Sequence[float], count: int, rng: np.random.Generator) -> np.ndarray:
  """Findings with exactly the wanted shares, which occur together more often than by chance.

  Args:
    shares: Share of images with each finding, well below 1.
    count: Number of images.
    rng: Decides who has what.

  Returns:
    u8[count, len(shares)] of 0 and 1, each finding present at least twice.

  >>> draw_findings((0.2, 0.5), 10, np.random.default_rng(0)).sum(axis=0).tolist()
  [2, 5]
  """
  illness = rng.standard_normal((count, 1))
  score = _COMORBIDITY * illness + rng.standard_normal((count, len(shares)))
  numbers = np.maximum(np.rint(np.asarray(shares) * count).astype(int), 2)
  rank = np.argsort(np.argsort(-score, axis=0), axis=0)
  return (rank < numbers).astype(np.uint8)


def _make(
  name: str,
  label_names: tuple[str, ...],
  draw: Callable[[int, np.random.Generator], Split],
  *,
  seed: int,
  multi_label: bool,
) -> Dataset:
  """Draws the three splits, each from its own stream, so that the size of one does not change the next."""
  streams = np.random.SeedSequence(seed).spawn(3)
  sizes = (TRAIN_SIZE, VAL_SIZE, TEST_SIZE)
  train, val, test = (draw(size, np.random.default_rng(stream)) for size, stream in zip(sizes, streams, strict=True))
  return Dataset(
    name=name,
    train=train,
    val=val,
    test=test,
    label_names=label_names,
    multi_label=multi_label,
    openly_licensed=True,
  )


def _check_size(name: str, image_size: int) -> None:
  if image_size not in IMAGE_SIZES:
    allowed = ", ".join(map(str, IMAGE_SIZES))
    raise UserError(f"--image-size {image_size}: the generated set {name} is drawn at {allowed} pixels")
