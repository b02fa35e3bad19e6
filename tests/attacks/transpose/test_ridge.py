import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lwlrd_jax.attacks.transpose.ridge import PENALTIES, kernels, leave_one_out, restore


def _data(count=14, size=5, pixels=6, seed=0):
  rng = np.random.default_rng(seed)
  features = rng.normal(size=(count, size))
  targets = features @ rng.normal(size=(size, pixels)) + 0.5 * rng.normal(size=(count, pixels))
  return features, targets - targets.mean(axis=0)


def test_leave_one_out_by_leaving_out_one_after_another():
  features, targets = _data()
  kernel = features @ features.T
  found = leave_one_out(jnp.asarray(kernel, jnp.float32), jnp.asarray(targets @ targets.T, jnp.float32))
  count = len(targets)
  for i, penalty in enumerate(PENALTIES):
    predictions = np.zeros_like(targets)
    for out in range(count):
      rest = np.delete(np.arange(count), out)
      inside = kernel[np.ix_(rest, rest)] + penalty * np.trace(kernel) / count * np.eye(count - 1)
      predictions[out] = kernel[out, rest] @ np.linalg.solve(inside, targets[rest])
    error = np.square(predictions - targets).sum(axis=1).mean()
    cosines = predictions @ targets.T / np.linalg.norm(targets, axis=1)
    assert float(found.squared_error[i]) == pytest.approx(error, rel=2e-3)
    assert float(found.identified[i]) == pytest.approx((cosines.argmax(axis=1) == np.arange(count)).mean())


def test_kernels_by_definition():
  features = [np.random.default_rng(i).normal(size=(7, 4)).astype(np.float32) for i in range(2)]
  found = kernels([jnp.asarray(feature) for feature in features])
  assert found.shape == (12, 7, 7)
  expected = []
  for feature in features:
    centred = feature - feature.mean(axis=0)
    size = np.square(centred).sum(axis=1).mean()
    distances = np.square(feature[:, None] - feature[None]).sum(axis=2)
    expected.append(centred @ centred.T / size)
    expected += [np.exp(-distances / (width * distances.mean())) for width in (0.25, 1.0, 4.0)]
  expected += [(expected[i] + expected[4 + i]) / 2 for i in range(4)]
  np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def _ruined(seed=0, pilots=40, others=20):
  """Images, and two views of them: one is noise, one a random linear map with a large pattern added to all."""
  rng = np.random.default_rng(seed)
  latent = rng.normal(size=(pilots + others, 6))
  images = 1 / (1 + np.exp(-(latent @ rng.normal(size=(6, 25)))))
  seen = np.maximum(latent @ rng.normal(size=(6, 30)) + 10, 0)
  views = (rng.normal(size=(pilots + others, 8)), seen)
  return jnp.asarray(images.reshape(-1, 5, 5, 1), jnp.float32), tuple(jnp.asarray(v, jnp.float32) for v in views)


def test_restores_what_a_view_still_has():
  images, views = _ruined()
  restored = restore(views, images[:40], images[:40].mean(axis=0))
  assert restored.shape == (2, 20, 5, 5, 1)
  assert float(restored.min()) >= 0
  assert float(restored.max()) <= 1
  floor = float(jnp.square(images[40:] - images[:40].mean(axis=0)).mean())
  for version in restored:
    assert float(jnp.square(version - images[40:]).mean()) < 0.2 * floor
  blind = restore(views[:1], images[:40], images[:40].mean(axis=0))
  assert float(jnp.square(blind[0] - images[40:]).mean()) > 0.8 * floor


def test_a_view_without_differences_and_a_wild_one():
  images, views = _ruined()
  constant, wild = jnp.ones((60, 3)), views[1] * 1e25
  restored = restore((constant, wild), images[:40], images[:40].mean(axis=0))
  np.testing.assert_allclose(restored, restore((constant, views[1]), images[:40], images[:40].mean(axis=0)), atol=1e-3)
  assert np.isfinite(np.asarray(restore((constant,), images[:40], images[:40].mean(axis=0)))).all()


def test_under_jit_and_vmap():
  cases = [_ruined(seed) for seed in range(3)]
  images = jnp.stack([case[0] for case in cases])
  views = jax.tree.map(lambda *leaves: jnp.stack(leaves), *[case[1] for case in cases])
  together = jax.jit(jax.vmap(lambda views, images: restore(views, images[:40], images[:40].mean(axis=0))))(
    views, images
  )
  for one, (alone, seen) in zip(together, cases, strict=True):
    np.testing.assert_allclose(one, restore(seen, alone[:40], alone[:40].mean(axis=0)), atol=1e-3)
