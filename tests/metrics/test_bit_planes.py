import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lwlrd_jax.metrics.bit_planes import set_by_column, set_by_row

SHAPES = [(1, 1), (1, 300), (300, 1), (64, 16), (255, 33), (256, 17), (600, 5), (70, 4200)]


def _by_plane(words, mask):
  return ((words[None] >> np.arange(32, dtype=np.uint32)[:, None, None]) & 1) * mask


@pytest.mark.parametrize("shape", SHAPES)
def test_counts_are_those_of_one_bit_after_another(shape):
  rng = np.random.default_rng(0)
  mask, words = rng.random(shape) < 0.7, rng.integers(0, 2**32, shape, dtype=np.uint32)
  expected = _by_plane(words, mask)
  np.testing.assert_array_equal(jax.jit(set_by_column)(mask, words)[0], expected.sum(axis=1))
  np.testing.assert_array_equal(jax.jit(set_by_row)(mask, words)[0], expected.sum(axis=2))


@pytest.mark.parametrize("shape", SHAPES)
def test_no_counter_overflows(shape):
  full, mask = np.full(shape, 2**32 - 1, np.uint32), np.ones(shape, bool)
  assert (np.asarray(jax.jit(set_by_column)(mask, full)[0]) == shape[0]).all()
  assert (np.asarray(jax.jit(set_by_row)(mask, full)[0]) == shape[1]).all()


def test_members_side_by_side_and_several_arrays():
  rng = np.random.default_rng(1)
  masks, words = rng.random((3, 40, 20)) < 0.5, rng.integers(0, 2**32, (3, 40, 20), dtype=np.uint32)
  for count, axis in ((set_by_column, 1), (set_by_row, 2)):
    found, inverse = jax.vmap(count)(jnp.asarray(masks), jnp.asarray(words), jnp.asarray(~words))
    for i in range(3):
      np.testing.assert_array_equal(found[i], _by_plane(words[i], masks[i]).sum(axis=axis))
      np.testing.assert_array_equal(inverse[i], _by_plane(~words[i], masks[i]).sum(axis=axis))
