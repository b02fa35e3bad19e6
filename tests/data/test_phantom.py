import hashlib
import time

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.metrics import roc_auc_score

from lwlrd_jax.data.dataset import Dataset
from lwlrd_jax.data.phantom import CLASS_SHARES, draw_lesions, phantom
from lwlrd_jax.errors import UserError


@pytest.fixture(scope="module")
def skin() -> Dataset:
  return phantom()


def digest(data: Dataset) -> str:
  parts = (data.train, data.val, data.test)
  return hashlib.sha256(b"".join(part.images.tobytes() + part.labels.tobytes() for part in parts)).hexdigest()


def unit(images: np.ndarray, mean: np.ndarray) -> np.ndarray:
  """u8[N, ...] -> f32[N, D], centred and of length 1, so that products are cosines."""
  flat = images.reshape(len(images), -1) / np.float32(255) - mean
  return flat / np.linalg.norm(flat, axis=1, keepdims=True)


def test_form_of_skin(skin):
  assert (skin.name, skin.image_shape, skin.num_outputs, skin.multi_label) == ("phantom", (28, 28, 3), 7, False)
  assert [len(part) for part in (skin.train, skin.val, skin.test)] == [2048, 256, 1024]
  assert skin.train.images.dtype == np.uint8
  assert skin.train.labels.dtype == np.int32
  assert skin.openly_licensed


def test_every_class_in_every_split(skin):
  for part in (skin.train, skin.val, skin.test):
    numbers = np.bincount(part.labels, minlength=7)
    assert numbers.min() >= 2
    np.testing.assert_allclose(numbers / len(part), CLASS_SHARES, atol=0.006)


def test_same_seed_same_bytes(skin):
  assert digest(phantom(seed=0)) == digest(skin)


def test_other_seed_other_images(skin):
  other = phantom(seed=1)
  assert (skin.train.images != other.train.images).mean() > 0.9


def test_quick():
  start = time.process_time()
  phantom()
  assert time.process_time() - start < 4  # half a second on an idle core of 2024


def test_images_can_be_told_apart(skin):
  """No near-duplicates, neither within train nor across splits: re-identification means something."""
  images = skin.train.images
  mean = images.reshape(len(images), -1).mean(axis=0, dtype=np.float32) / 255
  train, test = unit(images, mean), unit(skin.test.images, mean)
  among = train @ train.T
  np.fill_diagonal(among, -1)
  assert among.max() < 0.995
  assert (train @ test.T).max() < 0.995


def test_mean_image_is_as_bad_a_guess_as_on_real_sets(skin):
  """Mean SSIM (Gaussian window of 11 pixels, sigma 1.5) of the mean training image; real sets have 0.46 to 0.63."""

  taps = np.exp(-0.5 * (np.arange(-5, 6) / 1.5) ** 2)
  rows = np.stack([np.pad(taps / taps.sum(), (at, 17 - at)) for at in range(18)])

  def blur(pictures: np.ndarray) -> np.ndarray:
    return np.einsum("ih,nhwc,jw->nijc", rows, pictures, rows, optimize=True)

  images = skin.train.images[:256] / 255.0
  guess = np.broadcast_to(skin.train.images.mean(axis=0, keepdims=True) / 255, images.shape)
  a, b = blur(images), blur(guess)
  covariance = blur(images * guess) - a * b
  spread = blur(images**2) - a**2 + blur(guess**2) - b**2
  ssim = (2 * a * b + 1e-4) * (2 * covariance + 9e-4) / ((a**2 + b**2 + 1e-4) * (spread + 9e-4))
  assert 0.42 < ssim.mean() < 0.70


def coarse(images: np.ndarray) -> np.ndarray:
  """u8[N, 28, 28, C] -> f64[N, 7 * 7 * C], standardised block means."""
  blocks = images.reshape(len(images), 7, 4, 7, 4, -1).mean(axis=(2, 4)).reshape(len(images), -1)
  return (blocks - blocks.mean(axis=0)) / blocks.std(axis=0)


def linear_aucs(data: Dataset, train: np.ndarray, test: np.ndarray) -> np.ndarray:
  """Test AUC of each output of a ridge regression on coarse images."""
  scores = Ridge(300).fit(coarse(data.train.images), train).predict(coarse(data.test.images))
  return roc_auc_score(test, scores, average=None)


def test_skin_is_learnable_and_not_trivial(skin):
  auc = linear_aucs(skin, np.eye(7)[skin.train.labels], np.eye(7)[skin.test.labels])
  assert 0.6 < auc.mean() < 0.9


def test_other_sizes_show_the_same_patients():
  small, large = (draw_lesions(np.arange(70) % 7, size, np.random.default_rng(0)) for size in (28, 56))
  halved = large.reshape(70, 28, 2, 28, 2, -1).mean(axis=(2, 4))
  cosines = (unit(small, 0.5) * unit(halved, 0.5)).sum(axis=1)  # type: ignore[arg-type]
  assert cosines.min() > 0.9


def test_size_that_is_not_drawn():
  with pytest.raises(UserError, match=r"^`image_size` 30: .* 28, 32, 48, 64 pixels$"):
    phantom(image_size=30)


def test_largest_size():
  assert phantom(image_size=64).val.images.shape == (256, 64, 64, 3)
