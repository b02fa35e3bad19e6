"""Re-identification where the training split holds copies."""

import functools
import io

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from lwlrd_jax.data.copies import Copies, find_copies
from lwlrd_jax.data.dataset import Split
from lwlrd_jax.data.device import to_device
from lwlrd_jax.data.phantom import phantom
from lwlrd_jax.metrics import leakage
from lwlrd_jax.metrics.leakage import reidentification

reidentify = jax.jit(reidentification)


def split(images, copies=None, *, stream=False):
  images = np.asarray(images, np.uint8)
  return to_device(Split(images, np.zeros(len(images), np.int32)), copies=copies, stream=stream)


def grouped(images, group):
  """`Copies` of a given grouping, made without looking for it."""
  images, group = np.asarray(images), np.asarray(group, np.int32)
  uniform: list[int] = []
  varied: list[int] = []
  for number in range(group.max() + 1):
    members = np.flatnonzero(group == number)
    _, first = np.unique(images[members].reshape(len(members), -1), axis=0, return_index=True)
    (varied if len(first) > 1 else uniform).extend(members[np.sort(first)].tolist())
  return Copies(group, np.array(uniform, np.int32), np.array(varied, np.int32))


def naive(candidates, stolen, images, group):
  """Score of each candidate, f[P, S], one query, one group at a time."""
  mean = (images / 255).mean(axis=0)

  def direction(image):
    flat = (image - mean).ravel()
    return flat / max(np.linalg.norm(flat), 1e-6)

  train = np.stack([direction(image / 255) for image in images])
  found = np.zeros((2, *candidates.shape[:2]))
  for p, version in enumerate(candidates):
    for s, candidate in enumerate(version):
      for kind, sign in enumerate((1, -1)):
        similarity = sign * (train @ direction(candidate))
        best = np.array([similarity[group == number].max() for number in range(group.max() + 1)])
        own = best[group[stolen[s]]]
        if not (best > own + 1e-5).any():
          found[kind, p, s] = 1 / (np.abs(best - own) <= 1e-5).sum()
  return np.where((found[0].mean(axis=1) >= found[1].mean(axis=1))[:, None], found[0], found[1])


def versions_of(images, stolen):
  """Reconstructions good and bad, inverted, constant, and of another image that is in the split more than once."""
  rng = np.random.default_rng(1)
  originals = images[stolen] / 255
  kinds = [originals, 1 - originals, np.full_like(originals, 0.3), np.broadcast_to(images[0] / 255, originals.shape)]
  kinds += [originals + scale * rng.normal(size=originals.shape) for scale in (0.1, 0.5, 1.5)]
  return np.stack(kinds).astype(np.float32)


@pytest.mark.parametrize(
  ("kind", "chunk"),
  [("none", 7), ("none", 1024), ("exact", 7), ("near", 16), ("both", 7), ("both", 1024), ("one group", 7)],
)
def test_a_naive_search_agrees(monkeypatch, chunk, kind):
  """With groups across chunks, and groups that tie."""
  monkeypatch.setattr(leakage, "_CHUNK", chunk)
  rng = np.random.default_rng(0)
  images = rng.integers(0, 256, (120, 4, 4, 1)).astype(np.uint8)
  group = np.arange(120)
  if kind in {"exact", "both"}:
    group[40:80] = rng.integers(0, 5, 40)
    images[40:80] = images[group[40:80]]
  if kind in {"near", "both"}:
    group[80:] = rng.integers(0, 8, 40)
    images[80:] = np.clip(images[group[80:]] + rng.integers(-9, 10, (40, 4, 4, 1)), 0, 255)
  if kind == "one group":
    group[:] = 0
  order = rng.permutation(120)
  images, group = images[order], np.unique(group[order], return_inverse=True)[1]
  stolen = rng.choice(120, 30, replace=False)
  candidates = versions_of(images, stolen)
  mean = jnp.asarray((images / 255).mean(axis=0), jnp.float32)
  on_device = split(images, grouped(images, group))
  fresh = functools.partial(reidentification)  # the compiled programs have chunks of other sizes
  found = jax.jit(fresh)(jnp.asarray(candidates), jnp.asarray(stolen), on_device, mean)
  np.testing.assert_allclose(found, naive(candidates, stolen, images, group), atol=1e-6)
  if kind == "none":
    np.testing.assert_array_equal(found, reidentify(jnp.asarray(candidates), jnp.asarray(stolen), split(images), mean))


def test_groups_that_tie_are_counted_once():
  """A tie with images of one group that are not neighbours, some of which do not tie: one other image."""
  # Deviations from a mean of nothing: the query lies between two directions.
  one, other, far, close = [200, 0, 0], [0, 200, 0], [0, 60, 190], [0, 63, 190]
  images = np.stack([one, other, far, close, other, far]).astype(np.uint8).reshape(6, 1, 3, 1)
  group = np.array([0, 1, 1, 1, 1, 1])
  query = jnp.asarray([0.5, 0.5, 0.0], jnp.float32).reshape(1, 1, 1, 3, 1)
  for members, expected in ((np.arange(6), 1 / 3), (group, 1 / 2)):
    data = split(images, grouped(images, members))
    found = reidentify(query, jnp.zeros(1, jnp.int32), data, jnp.zeros((1, 3, 1)))
    assert float(found[0, 0]) == pytest.approx(expected)


def encoded_again(images):
  def encode(image):
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=85)
    return np.asarray(Image.open(file))

  return np.concatenate([images, np.stack([encode(image) for image in images])])


def rounded(images):
  noise = np.random.default_rng(0).integers(-1, 2, (9, *images.shape))
  return np.concatenate([images, *np.clip(images + noise, 0, 255).astype(np.uint8)])


COPYING = {"exact": lambda images: np.repeat(images, 50, axis=0), "encoded": encoded_again, "rounded": rounded}


@pytest.fixture(scope="module")
def pictures():
  return phantom(image_size=28, seed=0).train.images[:24]


@pytest.mark.parametrize("copying", COPYING)
def test_a_theft_of_copies_is_found_whole(pictures, copying):
  """Also of copies of each other, and with a loss that makes another copy closer. A constant scores chance."""
  images = COPYING[copying](pictures)
  copies = find_copies(images)
  assert copies.distinct == 24
  stolen = np.arange(0, len(images), 2)[:24]
  mean = jnp.asarray((images / 255).mean(axis=0), jnp.float32)
  originals = images[stolen] / 255
  lossy = originals + 0.3 * np.random.default_rng(0).normal(size=originals.shape)
  candidates = jnp.asarray(np.stack([originals, lossy, np.broadcast_to(mean, originals.shape)]), jnp.float32)
  found, before = (
    reidentify(candidates, jnp.asarray(stolen), split(images, known, stream=stream), mean).mean(axis=1)
    for known, stream in ((copies, copying == "exact"), (None, False))
  )
  np.testing.assert_allclose(found, [1, 1, 1 / 24], rtol=1e-6)
  assert before[1] < 0.95
  assert before[0] == pytest.approx(0.02 if copying == "exact" else 1)


def test_other_images_are_no_better_for_being_copied(pictures):
  """Who reconstructs the wrong image is as wrong, however many copies there are."""
  rng = np.random.default_rng(0)
  wrong = jnp.asarray(np.roll(pictures, 1, axis=0) / 255 + 0.3 * rng.normal(size=pictures.shape), jnp.float32)[None]
  images = np.repeat(pictures, 5, axis=0)
  mean = jnp.asarray((pictures / 255).mean(axis=0), jnp.float32)
  once = reidentify(wrong, jnp.arange(24), split(pictures), mean)
  np.testing.assert_array_equal(reidentify(wrong, jnp.arange(24) * 5, split(images, find_copies(images)), mean), once)
  assert once.mean() < 0.2


@pytest.mark.realdata
def test_dermamnist_near_duplicates(realdata):
  """Every image that has a copy, among some that have none; also with a loss after which a copy may be closer."""
  with np.load(realdata / "dermamnist_rebuilt_28.npz") as arrays:
    images = arrays["train_images"]
  group = find_copies(images).group
  several = np.flatnonzero(np.bincount(group)[group] > 1)
  assert len(several) == 21
  images = images[np.concatenate([several, np.setdiff1d(np.arange(300), several)])]
  copies = find_copies(images)
  assert copies.copies == 11
  stolen, mean = jnp.arange(21), jnp.asarray((images / 255).mean(axis=0), jnp.float32)
  loss = 0.2 * np.random.default_rng(1).normal(size=(21, 28, 28, 3))
  candidates = jnp.asarray(np.stack([images[:21] / 255, images[:21] / 255 + loss]), jnp.float32)
  np.testing.assert_array_equal(reidentify(candidates, stolen, split(images, copies), mean).mean(axis=1), [1, 1])
  assert float(reidentify(candidates, stolen, split(images), mean)[0].mean()) == pytest.approx(20 / 21)
