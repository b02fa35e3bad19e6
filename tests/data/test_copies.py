import io

import numpy as np
import pytest
from PIL import Image

from lwlrd_jax.data.copies import find_copies
from lwlrd_jax.data.phantom import phantom


def rng():
  return np.random.default_rng(0)


@pytest.fixture(scope="module", params=[3, 1], ids=["colour", "grey"])
def images(request):
  return phantom(image_size=28, seed=0).train.images[:400, ..., : request.param]


def jpeg(images, quality):
  """The images as they come out of a JPEG file."""
  read = []
  for image in images:
    file = io.BytesIO()
    Image.fromarray(image.squeeze()).save(file, "JPEG", quality=quality)
    read.append(np.asarray(Image.open(file)).reshape(image.shape))
  return np.stack(read)


def moved(images, by):
  return np.clip(images.astype(int) + by, 0, 255).astype(np.uint8)


def test_images_of_different_patients_are_distinct(images):
  found = find_copies(images)
  assert found.group.tolist() == list(range(400))
  assert found.uniform.tolist() == list(range(400))
  assert len(found.varied) == found.copies == 0
  assert found.distinct == 400
  assert found.note == ""


def test_exact_copies(images):
  rows = np.repeat(np.arange(40), 50)[rng().permutation(2000)]
  found = find_copies(images[rows])
  assert (found.distinct, found.copies) == (40, 1960)
  np.testing.assert_array_equal(found.group[:, None] == found.group, rows[:, None] == rows)
  # Numbered as they first appear, and one image stands for all of a group.
  assert found.uniform.tolist() == [int(np.flatnonzero(found.group == i)[0]) for i in range(40)]
  assert len(found.varied) == 0
  assert found.note == "1960 of 2000 training images are copies of another, exact or near; they count as one"


CHANGES = {
  "quality 75": lambda x: jpeg(x, 75),
  "quality 95": lambda x: jpeg(x, 95),
  "rounding": lambda x: moved(x, rng().integers(-1, 2, x.shape)),
  "two levels": lambda x: moved(x, rng().integers(-2, 3, x.shape)),
  "lighter": lambda x: moved(x, 2),
}


@pytest.mark.parametrize("change", CHANGES)
def test_near_copies(images, change):
  found = find_copies(np.concatenate([images, CHANGES[change](images)]))
  missed = (found.group[:400] != found.group[400:]).sum()
  assert missed <= 1  # nearly blank pictures: what is lost there is more than a quarter of what they show
  assert found.distinct == 400 + missed
  assert np.bincount(found.group).max() == 2


def test_exact_and_near_copies_are_one_group(images):
  mixed = np.concatenate([images[:20], images[:20], jpeg(images[:20], 85), moved(images[:10], 1)])
  found = find_copies(mixed)
  np.testing.assert_array_equal(found.group, [*range(20), *range(20), *range(20), *range(10)])
  assert found.distinct == 20
  assert len(found.uniform) == 0
  # One of each that differ, group by group.
  assert found.group[found.varied].tolist() == sorted([*range(20), *range(20), *range(10)])
  assert len(np.unique(mixed[found.varied].reshape(50, -1), axis=0)) == 50


def test_small_steps_do_not_chain_what_is_unlike():
  """A film from one picture to another: neighbours are near copies, its ends are not."""
  ends = phantom(image_size=28, seed=0).train.images[:2].astype(float)
  film = np.stack([ends[0] + (ends[1] - ends[0]) * t for t in np.linspace(0, 1, 100)]).round().astype(np.uint8)
  found = find_copies(film)
  assert found.group[0] != found.group[-1]
  for number in range(found.distinct):
    of_group = film[found.group == number].astype(float)
    assert max(np.sqrt(np.square(a - b).mean()) for a in of_group for b in of_group) <= 2 * 10
  assert 3 <= found.distinct < 60


def test_pictures_that_show_little_are_copies_only_if_identical():
  blank = np.full((30, 20, 20, 1), 128, np.uint8)
  faint = moved(blank, rng().integers(-3, 4, blank.shape))
  assert find_copies(np.concatenate([blank, faint])).distinct == 31


def test_noise_is_never_a_copy():
  for side in (11, 16, 64):
    images = rng().integers(0, 256, (50, side, side, 1), np.uint8)
    assert find_copies(images).copies == 0


def test_the_same_coarse_picture_with_other_detail_is_no_copy(images):
  """What is equal in blocks has to be alike pixel by pixel too."""
  signs = rng().choice([-25, 25], (2, 20, 14, 28, 1))
  detail = np.concatenate([signs, -signs], axis=3).reshape(2, 20, 28, 28, 1)
  grey = np.clip(images[:20].mean(axis=3, keepdims=True), 30, 220)
  first, second = (moved(grey, one) for one in detail)
  assert find_copies(np.concatenate([first, second])).distinct == 40


def test_naive_search_agrees(images, monkeypatch):
  """Sorting and stretches of images lose no pair."""
  mixed = np.concatenate([images, jpeg(images[100:160], 80), moved(images[:50], 1)])[rng().permutation(510)]
  monkeypatch.setattr("lwlrd_jax.data.copies._ROWS", 32)
  monkeypatch.setattr("lwlrd_jax.data.copies._COLUMNS", 64)
  found = find_copies(mixed)

  def everything(images, limit):
    return np.triu_indices(len(images), 1)

  monkeypatch.setattr("lwlrd_jax.data.copies._candidates", everything)
  naive = find_copies(mixed)
  assert found.distinct < 410
  for one, other in zip(
    (found.group, found.uniform, found.varied), (naive.group, naive.uniform, naive.varied), strict=True
  ):
    np.testing.assert_array_equal(one, other)


def test_one_image():
  found = find_copies(np.zeros((1, 28, 28, 3), np.uint8))
  assert (found.distinct, found.copies) == (1, 0)


@pytest.mark.realdata
@pytest.mark.parametrize(
  ("file", "copies", "largest"),
  [("dermamnist_rebuilt_28.npz", 11, 3), ("pneumoniamnist.npz", 18, 2), ("nih1000_64.npz", 1, 2)],
)
def test_real_images(realdata, file, copies, largest):
  with np.load(realdata / file) as arrays:
    images = arrays["train_images"]
  found = find_copies(images if images.ndim == 4 else images[..., None])
  assert found.copies == copies
  assert np.bincount(found.group).max() == largest
