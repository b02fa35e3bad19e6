import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lwlrd_jax.data.device import DeviceSplit
from lwlrd_jax.metrics.leakage import reidentification
from lwlrd_jax.metrics.postprocess import (
  POSTPROCESSINGS,
  per_image,
  per_image_then_pixel,
  per_pixel,
  per_pixel_then_image,
  public_statistics,
)
from lwlrd_jax.metrics.postprocess import raw as nothing


@pytest.fixture(scope="module")
def data(smooth_split):
  return smooth_split(40, (12, 10, 3))


@pytest.fixture(scope="module")
def originals(data):
  return np.asarray(data.images, np.float64) / 255


def _public(images):
  """Statistics as NumPy has them, of images f64[N, H, W, C] in [0, 1]."""
  return images.mean(0), images.std(0), images.mean((0, 1, 2)), images.std((1, 2)).mean(0)


def test_public_statistics(data, originals):
  found = public_statistics(data)
  for value, expected in zip(
    (found.mean, found.std, found.image_mean, found.image_std), _public(originals), strict=True
  ):
    assert value.shape == expected.shape
    assert value.dtype == jnp.float32
    np.testing.assert_allclose(value, expected, rtol=1e-4, atol=1e-4)


def test_public_statistics_of_many_bright_images():
  """As many images as ChestMNIST has, of a bright pixel that hardly varies: where running sums in float32 lose most."""
  rng = np.random.default_rng(0)
  images = np.full((78_468, 1, 2, 1), 254, np.uint8)
  images[:, 0, 1, 0] = rng.integers(250, 256, len(images))
  found = public_statistics(DeviceSplit(jnp.asarray(images), jnp.zeros(len(images), jnp.int32)))
  mean, std, image_mean, image_std = _public(images / 255.0)
  np.testing.assert_allclose(found.mean, mean, atol=1e-4)
  np.testing.assert_allclose(found.std, std, atol=1e-3)  # a quarter of one grey level
  np.testing.assert_allclose(found.image_mean, image_mean, atol=1e-4)
  np.testing.assert_allclose(found.image_std, image_std, atol=1e-4)


def _numpy_versions(images, public):
  images = images.astype(np.float64)
  mean, std, image_mean, image_std = public
  each = (images - images.mean((1, 2), keepdims=True)) / images.std((1, 2), keepdims=True)
  deviation = (images - images.mean(0)) / images.std(0) * std
  size = np.sqrt((deviation**2).mean((1, 2, 3), keepdims=True))
  usual = np.sqrt((std**2).mean())
  left, _, right = np.linalg.svd((images - images.mean(0)).reshape(len(images), -1), full_matrices=False)
  even = (left[:, :-1] @ right[:-1]).reshape(images.shape)  # the last direction went with the mean
  flat = (images - images.mean(0)).reshape(len(images), -1)
  covariance = flat @ flat.T
  penalised = covariance + 1e-3 * np.trace(covariance) / len(images) * np.eye(len(images))
  divided = (np.linalg.inv(penalised) @ flat).reshape(images.shape)
  return {
    "raw": images,
    "per-image": each * image_std + image_mean,
    "per-pixel": deviation + mean,
    "per-image-then-pixel": (each - each.mean(0)) / each.std(0) * std + mean,
    "per-pixel-then-image": deviation / size * usual + mean,
    "whitened": (even - even.mean(0)) / even.std(0) * std + mean,
    "unmixed": divided / np.sqrt((divided**2).mean()) * 0.5 * usual + mean,
  }


@pytest.mark.parametrize("name", list(POSTPROCESSINGS))
def test_by_hand(name, data, originals):
  images = np.random.default_rng(0).normal(0.3, 2, (7, 12, 10, 3)).astype(np.float32)
  found = POSTPROCESSINGS[name](jnp.asarray(images), public_statistics(data))
  expected = np.clip(_numpy_versions(images, _public(originals))[name], 0, 1)
  np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3)


def test_raw_is_clipping(data):
  images = jnp.linspace(-1, 2, 720).reshape(2, 12, 10, 3)
  np.testing.assert_array_equal(nothing(images, public_statistics(data)), jnp.clip(images, 0, 1))


@jax.jit
def _reidentified(extracted, stolen, data, public):
  candidates = jnp.stack([restore(extracted, public) for restore in POSTPROCESSINGS.values()])
  return reidentification(candidates, stolen, data, public.mean).mean(axis=1)


def _error(images, originals):
  return float(np.abs(np.asarray(images) - originals).mean())


def test_per_image_undoes_a_gain_and_an_offset_of_each_image(data, originals):
  """Of images that have the usual mean and contrast to begin with: nobody can know more."""
  _, _, image_mean, image_std = _public(originals)
  usual = (originals - originals.mean((1, 2), keepdims=True)) / originals.std((1, 2), keepdims=True)
  usual = np.clip(usual * image_std * 0.3 + image_mean, 0, 1)
  public = public_statistics(DeviceSplit(jnp.asarray((usual * 255).round().astype(np.uint8)), data.labels))
  rng = np.random.default_rng(1)
  distorted = usual * rng.uniform(0.05, 9, (40, 1, 1, 3)) + rng.normal(0, 5, (40, 1, 1, 3))
  distorted = jnp.asarray(distorted, jnp.float32)
  assert _error(per_image(distorted, public), usual) < 0.01
  assert _error(nothing(distorted, public), usual) > 0.2


@pytest.mark.parametrize("strength", [1e-3, 1.0, 1e3])
def test_per_pixel_undoes_a_gain_and_an_offset_of_each_pixel(strength, data, originals):
  rng = np.random.default_rng(1)
  distorted = originals * rng.uniform(0.2, 5, (12, 10, 3)) + rng.normal(0, 5, (12, 10, 3))
  distorted = jnp.asarray(strength * distorted, jnp.float32)
  public = public_statistics(data)
  assert _error(per_pixel(distorted, public), originals) < 0.01
  assert _error(nothing(distorted, public), originals) > 0.2


def test_per_pixel_then_image_undoes_both(data, originals):
  """Each image's deviation from the mean image is scaled, and then each pixel."""
  rng = np.random.default_rng(1)
  mean, std, _, _ = _public(originals)
  deviation = originals - mean
  size = np.sqrt((deviation**2).mean((1, 2, 3), keepdims=True))
  usual = np.clip(deviation / size * np.sqrt((std**2).mean()) * 0.5 + mean, 0, 1)
  gains = rng.uniform(0.02, 1, (40, 1, 1, 1))
  distorted = (usual - usual.mean(0)) * gains * rng.uniform(0.2, 5, (12, 10, 3)) + rng.normal(0, 5, (12, 10, 3))
  distorted = jnp.asarray(distorted, jnp.float32)
  public = public_statistics(DeviceSplit(jnp.asarray((usual * 255).round().astype(np.uint8)), data.labels))
  assert _error(per_pixel_then_image(distorted, public), usual) < 0.05
  assert _error(per_pixel_then_image(distorted, public), usual) < _error(per_pixel(distorted, public), usual)


def test_per_image_then_pixel_undoes_them_in_that_order(data, originals):
  rng = np.random.default_rng(1)
  each = originals - originals.mean((1, 2), keepdims=True)
  usual = each / originals.std((1, 2), keepdims=True) * 0.15 + 0.5
  public = public_statistics(DeviceSplit(jnp.asarray((usual.clip(0, 1) * 255).round().astype(np.uint8)), data.labels))
  distorted = usual * rng.uniform(0.1, 9, (40, 1, 1, 3)) + rng.normal(0, 5, (40, 1, 1, 3))
  distorted = jnp.asarray(distorted, jnp.float32)
  assert _error(per_image_then_pixel(distorted, public), usual) < 0.02
  assert _error(per_pixel(distorted, public), usual) > 0.05


def test_whitening_finds_images_under_strong_common_patterns(data, originals):
  """What every other version is blind to: each image drowned in some of the same few patterns."""
  rng = np.random.default_rng(1)
  patterns, amounts = rng.normal(size=(3, 12 * 10 * 3)), rng.normal(size=(40, 3))
  drowned = originals + 20 * (amounts @ patterns).reshape(originals.shape)
  drowned = jnp.asarray(drowned, jnp.float32)
  public = public_statistics(data)
  stolen = jnp.arange(40, dtype=jnp.int32)
  found = dict(zip(POSTPROCESSINGS, _reidentified(drowned, stolen, data, public).tolist(), strict=True))
  assert found.pop("whitened") > 0.8
  assert found.pop("unmixed") > 0.8
  assert max(found.values()) < 0.3


def test_unmixing_finds_more_than_whitening_where_there_is_noise(data, originals):
  """Made as strong as all others, directions of noise drown the images."""
  public, stolen = public_statistics(data), jnp.arange(40, dtype=jnp.int32)
  shares = []
  for seed in range(3):
    rng = np.random.default_rng(seed)
    patterns = rng.normal(size=(5, 12 * 10 * 3)) * np.geomspace(20, 1, 5)[:, None]
    drowned = originals + (rng.normal(size=(40, 5)) @ patterns).reshape(originals.shape)
    drowned = jnp.asarray(drowned + rng.normal(size=originals.shape), jnp.float32)
    found = dict(zip(POSTPROCESSINGS, _reidentified(drowned, stolen, data, public).tolist(), strict=True))
    shares.append((found["whitened"], found["unmixed"]))
  whitened, unmixed = np.mean(shares, axis=0)
  assert unmixed > whitened + 0.03


@pytest.mark.parametrize("name", list(POSTPROCESSINGS))
def test_a_single_image(name, data):
  restored = POSTPROCESSINGS[name](
    jnp.asarray(np.random.default_rng(0).random((1, 12, 10, 3)), jnp.float32), public_statistics(data)
  )
  assert np.isfinite(restored).all()


@pytest.mark.parametrize("name", list(POSTPROCESSINGS))
def test_a_constant_set_stays_finite_and_in_range(name, data):
  restored = POSTPROCESSINGS[name](jnp.full((5, 12, 10, 3), 0.7), public_statistics(data))
  assert np.isfinite(restored).all()
  assert float(restored.min()) >= 0
  assert float(restored.max()) <= 1


@pytest.mark.parametrize("name", [name for name in POSTPROCESSINGS if name != "raw"])
@pytest.mark.parametrize("strength", [1e-6, 1e12, 1e25, 1e37])
def test_brightness_hides_nothing(name, strength, data):
  """An attacker can multiply: what is painted a million times too dark or too bright is as readable as before."""
  images = jnp.asarray(np.random.default_rng(0).random((6, 12, 10, 3)), jnp.float32)
  public = public_statistics(data)
  restore = POSTPROCESSINGS[name]
  np.testing.assert_allclose(restore(images * strength, public), restore(images, public), atol=0.02)


def test_one_wild_pixel_hides_no_other(data, originals):
  """An attacker leaves it out; so it must not be what all others are measured by."""
  rng = np.random.default_rng(1)
  distorted = originals * rng.uniform(0.2, 5, (12, 10, 3)) + rng.normal(0, 5, (12, 10, 3))
  distorted[:, 0, 0] *= 1e8
  public = public_statistics(data)
  stolen = jnp.arange(40, dtype=jnp.int32)
  distorted = jnp.asarray(distorted, jnp.float32)
  assert float(_reidentified(distorted, stolen, data, public).max()) > 0.9


def test_under_jit(data):
  public = public_statistics(data)
  images = jnp.asarray(np.random.default_rng(0).random((6, 12, 10, 3)), jnp.float32)
  for name, restore in POSTPROCESSINGS.items():
    # Solving for small directions magnifies the order of sums.
    close = 1e-4 if name == "unmixed" else 1e-5
    np.testing.assert_allclose(jax.jit(restore)(images, public), restore(images, public), atol=close)
