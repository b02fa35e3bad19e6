"""Augmentation, on the device: every image shifted, turned over or turned.

What is done to an image is data, drawn before training beside the order of the batches. All members of a population
therefore see the same images, and a resumed run sees those that it would have seen.
"""

import jax
import jax.numpy as jnp

# Shifts reach as far as this share of the side, as the usual 4 pixels in 32.
_REACH = 8
# Which of a square's eight symmetries are drawn: as bits, 1 left to right, 2 top to bottom, 4 rows for columns. A body
# has an up and a down, and skin has not.
AUGMENTATIONS = {"none": (), "shift": (0,), "flip": (0, 1), "dihedral": tuple(range(8))}


def draw_moves(key: jax.Array, augment: str, shape: tuple[int, ...], side: int) -> jax.Array | None:
  """What is done to each of (steps, B) images: i16[steps, B, 3], rows down, columns to the right, and the symmetry.

  `shift` is by up to an eighth of the side in pixels, any way; `flip`, and half of the images left to right;
  `dihedral`, and each in one of the eight orientations of a square. None for `none`. Step t is drawn from
  `fold_in(key, t)`.
  """
  symmetries = AUGMENTATIONS[augment]
  if not symmetries:
    return None
  steps, batch = shape

  def of_step(step: jax.Array) -> jax.Array:
    key_shift, key_symmetry = jax.random.split(jax.random.fold_in(key, step))
    shift = jax.random.randint(key_shift, (batch, 2), -(side // _REACH), side // _REACH + 1)
    drawn = jax.random.choice(key_symmetry, jnp.asarray(symmetries), (batch, 1))
    return jnp.concatenate([shift, drawn], axis=1).astype(jnp.int16)

  return jax.vmap(of_step)(jnp.arange(steps))


def move(images: jax.Array, moves: jax.Array) -> jax.Array:
  """Moves images f32[B, S, S, C] as i16[B, 3] of `draw_moves` say. What is shifted in from outside repeats the border.

  First the symmetry (rows for columns, then flips), then the shift.

  >>> image = jnp.arange(4.0).reshape(1, 2, 2, 1)
  >>> move(image, jnp.array([[0, 1, 1]], jnp.int16)).ravel().tolist()  # flipped: 1 0, 3 2
  [1.0, 1.0, 3.0, 3.0]
  """
  last = images.shape[1] - 1
  down, right, symmetry = (moves[:, i].astype(jnp.int32)[:, None] for i in range(3))
  places = jnp.arange(last + 1)[None]
  rows, columns = jnp.clip(places - down, 0, last), jnp.clip(places - right, 0, last)
  turned = turn(images, symmetry[:, 0])
  return turned[jnp.arange(len(images))[:, None, None], rows[:, :, None], columns[:, None, :]]


def turn(images: jax.Array, symmetry: jax.Array) -> jax.Array:
  """Puts each image, f32[B, S, S, C], into one of the eight orientations of a square, i[B] in [0, 8).

  As bits: first 4 exchanges rows for columns, then 2 turns top to bottom, 1 left to right.
  """
  bits = symmetry[:, None, None, None]
  images = jnp.where(bits & 4, images.swapaxes(1, 2), images)
  images = jnp.where(bits & 2, images[:, ::-1], images)
  return jnp.where(bits & 1, images[:, :, ::-1], images)
