import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lwlrd_jax.data.host_images import HostImages

IMAGES = np.random.default_rng(0).integers(0, 256, (7, 4, 3, 2)).astype(np.uint8)


@pytest.fixture
def host():
  return HostImages(IMAGES)


def test_looks_like_an_array(host):
  assert (host.shape, len(host), host.dtype) == ((7, 4, 3, 2), 7, jnp.uint8)


@pytest.mark.parametrize("positions", [3, [2, 5], [[0, 6, 1], [1, 1, 2]], slice(5), slice(2, 4)])
def test_reads_what_an_array_does(host, positions):
  index = positions if isinstance(positions, slice) else jnp.asarray(positions)
  found = host[index]
  assert isinstance(found, jax.Array)
  np.testing.assert_array_equal(found, jnp.asarray(IMAGES)[index])


def test_is_read_by_compiled_code(host):
  traces = []

  @jax.jit
  def total(images, positions):
    traces.append(1)
    return images[positions].astype(jnp.uint32).sum()

  for positions in ([1, 2], [6, 0]):
    assert int(total(host, jnp.asarray(positions))) == IMAGES[positions].sum()
  assert len(traces) == 1  # and does not compile it anew
  assert int(total(HostImages(255 - IMAGES), jnp.asarray([1]))) == (255 - IMAGES[1].astype(int)).sum()


def test_is_read_in_loops_and_by_vmap(host):
  positions = jnp.asarray([[1, 2], [6, 0], [3, 3]])
  for over in (
    lambda host: jax.lax.map(host.__getitem__, positions),
    lambda host: jax.vmap(host.__getitem__)(positions),
  ):
    np.testing.assert_array_equal(jax.jit(over)(host), IMAGES[positions])


def test_subsets_of_subsets(host):
  subset = host.subset(np.array([5, 3, 1])).subset(np.array([2, 0]))
  assert subset.shape == (2, 4, 3, 2)
  np.testing.assert_array_equal(subset[jnp.arange(2)], IMAGES[[1, 5]])


def test_has_no_leaves(host):
  """Nothing of it is ever copied to a device as a whole."""
  assert jax.tree.leaves(host) == []
