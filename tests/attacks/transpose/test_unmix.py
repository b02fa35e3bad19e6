import jax
import jax.numpy as jnp
import numpy as np

from lwlrd_jax.attacks.transpose.unmix import PENALTIES, unmix


def _mixed(seed=0, pilots=40, others=30):
  """Images, and the same with much of three common patterns and a little noise."""
  rng = np.random.default_rng(seed)
  images = 0.5 + 0.1 * rng.normal(size=(pilots + others, 64)).clip(-3, 3)
  patterns = 20 * rng.normal(size=(pilots + others, 3)) @ rng.normal(size=(3, 64))
  mixed = images + patterns + 0.02 * rng.normal(size=images.shape)
  return (jnp.asarray(x.reshape(-1, 8, 8, 1), jnp.float32) for x in (images, mixed))


def _identified(found, images):
  deviations = np.asarray(images - images.mean(axis=0)).reshape(len(images), -1)
  candidates = np.asarray(found - images.mean(axis=0)).reshape(len(found), -1)
  cosines = candidates @ deviations.T / np.linalg.norm(deviations, axis=1)
  return float((cosines.argmax(axis=1) == np.arange(len(found))).mean())


def test_takes_common_patterns_out():
  images, mixed = _mixed()
  assert _identified(mixed[40:], images[40:]) < 0.2
  found = unmix(mixed, images[:40], images[:40].mean(axis=0))
  assert found.shape == (30, 8, 8, 1)
  assert float(found.min()) >= 0
  assert float(found.max()) <= 1
  assert _identified(found, images[40:]) > 0.9


def test_by_the_covariance_of_pixels():
  """The inverse is taken of inner products of images; of pixels it would be the same."""
  images, mixed = _mixed(seed=1)
  flat = np.asarray(mixed, np.float64).reshape(70, -1)
  flat -= flat.mean(axis=0)
  scatter = flat.T @ flat
  directions = []
  for penalty in PENALTIES:
    z = flat @ np.linalg.inv(scatter + penalty * np.trace(scatter) / 70 * np.eye(64))
    directions.append((z / np.linalg.norm(z, axis=1, keepdims=True))[40:])
  found = np.asarray(
    unmix(mixed, images[:40], images[:40].mean(axis=0)) - images[:40].mean(axis=0), np.float64
  ).reshape(30, -1)
  found /= np.linalg.norm(found, axis=1, keepdims=True)
  assert max((found * z).sum(axis=1).mean() for z in directions) > 0.99


def test_wild_extractions_and_ones_without_differences():
  images, mixed = _mixed()
  np.testing.assert_allclose(
    unmix(mixed * 1e25, images[:40], images[:40].mean(axis=0)),
    unmix(mixed, images[:40], images[:40].mean(axis=0)),
    atol=1e-2,
  )
  assert np.isfinite(np.asarray(unmix(jnp.ones_like(mixed), images[:40], images[:40].mean(axis=0)))).all()


def test_under_vmap():
  (images, mixed), (images1, mixed1) = _mixed(0), _mixed(1)
  means = jnp.stack([images[:40].mean(axis=0), images1[:40].mean(axis=0)])
  together = jax.jit(jax.vmap(unmix))(jnp.stack([mixed, mixed1]), jnp.stack([images[:40], images1[:40]]), means)
  np.testing.assert_allclose(together[0], unmix(mixed, images[:40], images[:40].mean(axis=0)), atol=1e-2)
  np.testing.assert_allclose(together[1], unmix(mixed1, images1[:40], images1[:40].mean(axis=0)), atol=1e-2)
