"""How much memory a sweep counts on, and what follows from it."""

import jax
import pytest

from lwlrd_jax.models.cost import activation_bytes
from lwlrd_jax.plan import room
from lwlrd_jax.plan.room import measured_together, members_per_wave, strategy_of, streams


@pytest.fixture
def free(monkeypatch):
  def has(number):
    monkeypatch.setattr(room, "free_memory", lambda: number)

  return has


def _copies(params):
  """Bytes of eight copies of a member's weights."""
  return 8 * sum(leaf.nbytes for leaf in jax.tree.leaves(params))


def test_images_stream_if_they_fill_more_than_half_of_what_is_free(free):
  free(1000)
  assert [streams("auto", size) for size in (500, 501)] == [False, True]
  assert streams("always", 1)
  assert not streams("never", 10**6)


def test_side_by_side_members_need_room_for_what_each_keeps(free, tiny_network, monkeypatch):
  network, params = tiny_network("mlp")
  weights = _copies(params)
  kept = activation_bytes(network, params, 64)
  monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
  free(2 * 10 * (weights + kept))
  assert members_per_wave(network, params, 64, "vmap") == 10 * jax.local_device_count()
  # Four at a time share the room of four.
  free(2 * (10 * weights + 4 * kept))
  assert members_per_wave(network, params, 64, 4) == 10 * jax.local_device_count()
  free(0)
  assert members_per_wave(network, params, 64, "vmap") == jax.local_device_count()


def test_on_a_cpu_waves_are_small(free, tiny_network):
  network, params = tiny_network("mlp")
  weights = _copies(params)
  free(2 * 5 * weights)
  assert members_per_wave(network, params, 10**6, "loop") == 5
  free(2 * 500 * weights)
  assert members_per_wave(network, params, 64, "loop") == 16


def test_a_few_at_a_time_are_no_fewer_than_all_at_once(free, tiny_network, monkeypatch):
  network, params = tiny_network("mlp")
  weights = _copies(params)
  kept = activation_bytes(network, params, 4096)
  monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
  free(2 * 2 * (weights + kept))
  assert members_per_wave(network, params, 4096, "vmap") == 2 * jax.local_device_count()
  assert members_per_wave(network, params, 4096, 100) == 2 * jax.local_device_count()


def test_members_are_measured_side_by_side_where_they_have_room(free, tiny_network, monkeypatch):
  network, params = tiny_network("mlp")
  free(10**15)
  assert measured_together(network, params, 100) == 1  # on a CPU
  monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
  assert measured_together(network, params, 100) == 8
  free(4 * (3 * activation_bytes(network, params, 512) + 2 * 32 * 100 * 12 * 12 * 4))
  assert measured_together(network, params, 100) in {2, 3}
  free(0)
  assert measured_together(network, params, 100) == 1


def test_strategy_of_small_and_large_networks(tiny_network, monkeypatch):
  network, params = tiny_network("mlp")
  assert strategy_of("auto", network, params, 64) == "vmap"
  assert strategy_of("loop", network, params, 64) == "loop"
  assert strategy_of(3, network, params, 64) == 3
  assert strategy_of("auto", network, params, 10**5) == "loop"
  monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
  assert strategy_of("auto", network, params, 10**5) == "vmap"
