import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lwlrd_jax.data.augment import AUGMENTATIONS, draw_moves, move


def _naive(image, down, right, symmetry):
  """One image: turned over with NumPy, shifted by padding with its border and cutting out."""
  if symmetry & 4:
    image = image.swapaxes(0, 1)
  if symmetry & 2:
    image = image[::-1]
  if symmetry & 1:
    image = image[:, ::-1]
  side, reach = len(image), 10
  padded = np.pad(image, ((reach, reach), (reach, reach), (0, 0)), mode="edge")
  return padded[reach - down : reach - down + side, reach - right : reach - right + side]


def test_against_numpy():
  rng = np.random.default_rng(0)
  images = rng.random((60, 9, 9, 3)).astype(np.float32)
  moves = np.stack([rng.integers(-9, 10, 60), rng.integers(-9, 10, 60), rng.integers(0, 8, 60)], axis=1)
  found = jax.jit(move)(jnp.asarray(images), jnp.asarray(moves, jnp.int16))
  expected = np.stack([_naive(image, *of_image) for image, of_image in zip(images, moves, strict=True)])
  np.testing.assert_array_equal(found, expected)


def test_the_eight_symmetries_are_all_different():
  image = jnp.asarray(np.random.default_rng(0).random((1, 5, 5, 1)), jnp.float32)
  moves = jnp.asarray([[0, 0, i] for i in range(8)], jnp.int16)
  found = np.asarray(move(jnp.tile(image, (8, 1, 1, 1)), moves))
  assert len({one.tobytes() for one in found}) == 8
  np.testing.assert_array_equal(found[0], image[0])


@pytest.mark.parametrize("augment", AUGMENTATIONS)
def test_what_is_drawn(augment):
  moves = draw_moves(jax.random.key(0), augment, (200, 16), side=28)
  if augment == "none":
    assert moves is None
    return
  assert moves is not None
  assert (moves.shape, moves.dtype) == ((200, 16, 3), jnp.int16)
  shifts, symmetries = np.asarray(moves[..., :2]).ravel(), np.asarray(moves[..., 2]).ravel()
  # Each of the seven shifts, and of the symmetries, equally often.
  for drawn, allowed in ((shifts, range(-3, 4)), (symmetries, AUGMENTATIONS[augment])):
    values, counts = np.unique(drawn, return_counts=True)
    assert values.tolist() == list(allowed)
    np.testing.assert_allclose(counts, len(drawn) / len(values), rtol=0.15)
  assert not np.array_equal(moves[0], moves[1])


def test_a_radiograph_is_never_put_on_its_head():
  assert AUGMENTATIONS["flip"] == (0, 1)
