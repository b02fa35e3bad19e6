"""A data set that needs no download: seeded drawings of skin lesions.

It stands in for DermaMNIST where no data are at hand (first steps, tests) and says nothing about patients. How the
images are drawn stands in `phantom_skin.py`.

It is not easy. Seed 0 at 28 pixels, an MLP of three hidden layers of 1024 units (Adam 1e-4, batch 128, label smoothing
0.2), macro test AUC after 20 / 40 epochs, mean of two runs: 0.76 / 0.80. The same MLP on 2048 images of DermaMNIST:
0.75 / 0.77. SSIM of the constant mean training image against the images: 0.48 (DermaMNIST 0.46).
"""

from collections.abc import Sequence

import numpy as np

from lwlrd_jax.data.dataset import Dataset, Split
from lwlrd_jax.data.phantom import skin
from lwlrd_jax.errors import UserError

TRAIN_SIZE = 2048
VAL_SIZE = 256
TEST_SIZE = 1024
IMAGE_SIZES = (28, 32, 48, 64)


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
  if image_size not in IMAGE_SIZES:
    allowed = ", ".join(map(str, IMAGE_SIZES))
    raise UserError(f"`image_size` {image_size}: the generated set phantom is drawn at {allowed} pixels")

  def draw(count: int, stream: np.random.SeedSequence) -> Split:
    rng = np.random.default_rng(stream)
    labels = draw_classes(skin.CLASS_SHARES, count, rng)
    return Split(skin.draw_lesions(labels, image_size, rng), labels)

  # Each split has its own stream, so that the size of one does not change the next.
  sizes = (TRAIN_SIZE, VAL_SIZE, TEST_SIZE)
  train, val, test = map(draw, sizes, np.random.SeedSequence(seed).spawn(3))
  return Dataset("phantom", train, val, test, skin.CLASS_NAMES, multi_label=False, openly_licensed=True)


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
