"""How much memory a sweep counts on, and what follows from it."""

import jax
import pytest

from lwlrd_jax.runs import resolve
from lwlrd_jax.runs.resolve import activation_bytes, members_per_wave, streams


@pytest.fixture
def free(monkeypatch):
  def has(number):
    monkeypatch.setattr(resolve, "_free_memory", lambda: number)

  return has


def test_images_stream_if_they_fill_more_than_half_of_what_is_free(free):
  free(1000)
  assert [streams("auto", size) for size in (500, 501)] == [False, True]
  assert streams("always", 1)
  assert not streams("never", 10**6)


@pytest.mark.parametrize("name", ["mlp", "cnn", "resnet18", "vit"])
def test_activations_grow_with_the_batch(name, tiny_network):
  network, params = tiny_network(name)
  # Weights are held once, whatever the batch.
  one, two, three = (activation_bytes(network, params, size) for size in (8, 16, 24))
  assert three - two == pytest.approx(two - one, rel=0.1)
  assert two - one > 8 * 4 * 12 * 12  # the images alone


def test_activations_of_dense_layers_counted_by_hand(tiny_network):
  """Inputs of four layers, three of which have 16 units, and at most as much again for what ReLU let through."""
  network, params = tiny_network("mlp")
  inputs = 4 * (12 * 12 + 3 * 16)
  grown = activation_bytes(network, params, 101) - activation_bytes(network, params, 1)
  assert 100 * inputs <= grown <= 2 * 100 * inputs


def test_side_by_side_members_need_room_for_what_each_keeps(free, tiny_network, monkeypatch):
  network, params = tiny_network("mlp")
  weights = 8 * sum(leaf.nbytes for leaf in jax.tree.leaves(params))
  kept = activation_bytes(network, params, 64)
  monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
  free(2 * 10 * (weights + kept))
  assert members_per_wave(None, network, params, 64, "vmap") == 10 * jax.local_device_count()
  assert members_per_wave(3, network, params, 64, "vmap") == 3
  free(0)
  assert members_per_wave(None, network, params, 64, "vmap") == jax.local_device_count()


def test_on_a_cpu_waves_are_small(free, tiny_network):
  network, params = tiny_network("mlp")
  weights = 8 * sum(leaf.nbytes for leaf in jax.tree.leaves(params))
  free(2 * 5 * weights)
  assert members_per_wave(None, network, params, 10**6, "loop") == 5
  free(2 * 500 * weights)
  assert members_per_wave(None, network, params, 64, "loop") == 16
