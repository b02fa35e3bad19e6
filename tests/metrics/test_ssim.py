import dm_pix
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lwlrd_jax.metrics.ssim import ssim

measure = jax.jit(ssim)


def _pair(shape, seed=0, noise=0.1):
  rng = np.random.default_rng(seed)
  a = rng.random(shape)
  return a.astype(np.float32), np.clip(a + noise * rng.normal(size=shape), 0, 1).astype(np.float32)


def _naive(a, b):
  """Window by window, in double precision."""
  a, b = a.astype(np.float64), b.astype(np.float64)
  height, width, channels = a.shape
  sides = [min(11, side) for side in (height, width)]
  g = [np.exp(-((np.arange(s) - (s - 1) / 2) ** 2) / (2 * 1.5**2)) for s in sides]
  window = np.outer(g[0] / g[0].sum(), g[1] / g[1].sum())
  values = []
  for i in range(height - sides[0] + 1):
    for j in range(width - sides[1] + 1):
      for c in range(channels):
        x, y = (image[i : i + sides[0], j : j + sides[1], c] for image in (a, b))
        mx, my = (window * x).sum(), (window * y).sum()
        vx, vy = (window * (x - mx) ** 2).sum(), (window * (y - my) ** 2).sum()
        cov = (window * (x - mx) * (y - my)).sum()
        top = (2 * mx * my + 1e-4) * (2 * cov + 9e-4)
        values.append(top / ((mx * mx + my * my + 1e-4) * (vx + vy + 9e-4)))
  return np.mean(values)


@pytest.mark.parametrize("shape", [(28, 28, 3), (64, 64, 1)])
@pytest.mark.parametrize("noise", [0.02, 0.3])
def test_is_that_of_dm_pix(shape, noise):
  a, b = _pair((4, *shape), noise=noise)
  with jax.numpy_dtype_promotion("standard"):
    expected = dm_pix.ssim(jnp.asarray(a), jnp.asarray(b))
  np.testing.assert_allclose(measure(jnp.asarray(a), jnp.asarray(b)), expected, atol=1e-4)


@pytest.mark.parametrize("shape", [(14, 12, 2), (8, 9, 1), (1, 1, 1), (30, 5, 1)])
def test_window_by_window(shape):
  a, b = _pair(shape)
  assert float(measure(jnp.asarray(a), jnp.asarray(b))) == pytest.approx(_naive(a, b), abs=1e-4)


def test_smooth_and_dark_images(smooth_split):
  """Small variances, where single precision has least to spare."""
  images = np.asarray(smooth_split(6, (28, 28, 3)).images) / np.float32(255)
  for a, b in ((images[0], images[1]), (images[2] * 0.02, images[3] * 0.02), (images[4] * 0.01 + 0.99, images[5])):
    assert float(measure(jnp.asarray(a), jnp.asarray(b))) == pytest.approx(_naive(a, b), abs=2e-3)


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_identical_images(value):
  a, _ = _pair((28, 28, 3))
  assert float(measure(jnp.asarray(a), jnp.asarray(a))) == pytest.approx(1, abs=1e-6)
  flat = jnp.full((28, 28, 3), value)
  assert float(measure(flat, flat)) == pytest.approx(1, abs=1e-6)


def test_black_and_white():
  assert float(measure(jnp.zeros((28, 28, 1)), jnp.ones((28, 28, 1)))) == pytest.approx(1e-4 / (1 + 1e-4), abs=1e-6)


def test_symmetric_and_over_leading_axes():
  a, b = _pair((2, 3, 16, 16, 1))
  found = measure(jnp.asarray(a), jnp.asarray(b))
  assert found.shape == (2, 3)
  np.testing.assert_allclose(found, measure(jnp.asarray(b), jnp.asarray(a)), atol=1e-6)
  assert float(found[1, 2]) == pytest.approx(_naive(a[1, 2], b[1, 2]), abs=1e-4)
