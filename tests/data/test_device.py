import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lwlrd_jax.data.dataset import Split
from lwlrd_jax.data.device import DeviceSplit, mean_image, scale, scan_images, to_device
from lwlrd_jax.data.host_images import HostImages


def _same(a, b):
  np.testing.assert_array_equal(np.asarray(a), np.asarray(b))


def test_to_device_and_back():
  rng = np.random.default_rng(0)
  split = Split(rng.integers(0, 256, (5, 3, 2, 1)).astype(np.uint8), np.arange(5, dtype=np.int32))
  data = to_device(split)
  assert isinstance(data, DeviceSplit)
  assert len(data) == 5
  _same(data.images, split.images)
  _same(data.labels, split.labels)
  assert (data.images.dtype, data.labels.dtype) == (jnp.uint8, jnp.int32)


def test_is_a_tree_of_two_arrays():
  data = DeviceSplit(jnp.zeros((2, 1, 1, 1), jnp.uint8), jnp.zeros(2, jnp.int32))
  assert len(jax.tree.leaves(data)) == 2
  assert isinstance(jax.jit(lambda d: d)(data), DeviceSplit)


def test_scale_of_every_value():
  values = np.arange(256, dtype=np.uint8)
  found = scale(jnp.asarray(values))
  assert found.dtype == jnp.float32
  np.testing.assert_allclose(found, values / 255, rtol=1e-6)
  assert float(found[-1]) == 1


@pytest.mark.parametrize("count", [3, 256, 300, 512])
def test_a_scan_over_images_on_the_host_is_that_over_images_on_the_device(count):
  images = np.random.default_rng(0).integers(0, 256, (count, 2, 3, 1)).astype(np.uint8)

  def step(total, image):
    value = scale(image)
    return total * 0.9 + value, value.std()

  @jax.jit
  def both(images):
    return scan_images(step, jnp.zeros((2, 3, 1)), images)

  jax.tree.map(_same, both(HostImages(images)), both(jnp.asarray(images)))
  _same(mean_image(HostImages(images)), mean_image(jnp.asarray(images)))


def test_a_subset_stays_where_it_is():
  images = np.arange(12, dtype=np.uint8).reshape(6, 2, 1, 1)
  split = Split(images, np.arange(6, dtype=np.int32))
  for stream in (False, True):
    data = to_device(split, stream=stream)
    assert isinstance(data.images, HostImages) == stream
    chosen = data.subset(jnp.asarray([4, 1]))
    assert isinstance(chosen.images, HostImages) == stream
    assert len(chosen) == 2
    _same(chosen.images[jnp.arange(2)], images[[4, 1]])
    _same(chosen.labels, [4, 1])
