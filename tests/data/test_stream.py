import itertools
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lwlrd_jax.data import stream
from lwlrd_jax.data.dataset import Split
from lwlrd_jax.data.device import to_device
from lwlrd_jax.data.stream import portions, steps_per_call

SPLIT = Split(
  np.random.default_rng(0).integers(0, 256, (9, 4, 3, 2)).astype(np.uint8),
  np.random.default_rng(1).integers(0, 2, (9, 5)).astype(np.uint8),
)
POSITIONS = [jnp.asarray(rows) for rows in ([[1, 2], [8, 0]], [[3, 3], [7, 6]], [[5, 4], [0, 1]])]


@pytest.mark.parametrize("on_host", [True, False])
def test_every_call_reads_what_it_asks_for(on_host):
  read = list(portions(to_device(SPLIT, stream=on_host), POSITIONS))
  assert len(read) == 3
  for (part, places), positions in zip(read, POSITIONS, strict=True):
    assert len(part) == (4 if on_host else 9)
    assert places.dtype == jnp.int32
    np.testing.assert_array_equal(part.images[places], SPLIT.images[positions])
    np.testing.assert_array_equal(part.labels[places], SPLIT.labels[positions])


def test_without_a_sharding_nothing_is_bound_to_a_device():
  """What is bound to one device could not be spread over all of them afterwards."""
  part, _ = next(portions(to_device(SPLIT, stream=True), POSITIONS))
  assert isinstance(part.images, jax.Array)
  assert not part.images.committed


def test_goes_to_all_devices():
  mesh = jax.make_mesh((4,), ("members",), axis_types=(jax.sharding.AxisType.Auto,))
  sharding = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec())
  for on_host in (True, False):
    part, _ = next(portions(to_device(SPLIT, stream=on_host), POSITIONS, sharding))
    assert isinstance(part.images, jax.Array)
    assert len(part.images.sharding.device_set) == 4
    assert part.images.sharding.is_fully_replicated


def test_reads_ahead_and_not_far(monkeypatch):
  """While a call runs, the next portions are read; a whole data set never is."""
  asked = []
  read = stream._Portions.__getitem__

  def noted(self, call):
    asked.append(call)
    return read(self, call)

  monkeypatch.setattr(stream._Portions, "__getitem__", noted)
  many = POSITIONS * 20
  for number, _ in enumerate(itertools.islice(portions(to_device(SPLIT, stream=True), many), 40)):
    deadline = time.monotonic() + 20
    while len(asked) < number + 2 and time.monotonic() < deadline:
      time.sleep(0.001)
    assert number + 2 <= len(asked) <= number + 1 + 5
  assert asked[:40] == list(range(40))


def test_calls_are_of_one_length_and_not_longer_than_the_device_holds(monkeypatch):
  on_device, on_host = to_device(SPLIT), to_device(SPLIT, stream=True)
  assert steps_per_call(on_device, 70, 2) == 24  # three calls
  assert steps_per_call(on_host, 70, 2) == 24
  monkeypatch.setattr(stream, "_PORTION_BYTES", 5 * 2 * 4 * 3 * 2)
  assert steps_per_call(on_host, 70, 2) == 5
  assert steps_per_call(on_host, 70, 2000) == 2
  assert steps_per_call(on_host, 1, 2000) == 1
  assert steps_per_call(on_device, 70, 2) == 24


def test_no_call_is_left_with_a_single_step(monkeypatch):
  on_host = to_device(SPLIT, stream=True)
  monkeypatch.setattr(stream, "_PORTION_BYTES", 5 * 2 * 4 * 3 * 2)
  for steps in range(2, 100):
    per_call = steps_per_call(on_host, steps, 2)
    assert 2 <= per_call <= 5
    assert steps % per_call != 1 or per_call == 2


def test_an_error_while_reading_is_not_swallowed():
  positions = [*POSITIONS, jnp.asarray([[9, 0], [0, 0]])]
  with pytest.raises(IndexError):
    list(portions(to_device(SPLIT, stream=True), positions))
