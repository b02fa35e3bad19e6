"""What a training step is said to cost."""

import jax
import pytest

from lwlrd_jax.models.cost import activation_bytes, training_flops


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


def test_operations_of_dense_layers_counted_by_hand(tiny_network):
  """Multiplications and additions of four layers, three times, and little beside them."""
  network, params = tiny_network("mlp")
  products = 3 * 2 * sum(leaf.size for leaf in jax.tree.leaves(params) if leaf.ndim == 2)
  assert 100 * products <= training_flops(network, params, 100) <= 1.2 * 100 * products


@pytest.mark.parametrize("name", ["cnn", "resnet18", "vit"])
def test_operations_grow_with_the_batch(name, tiny_network):
  network, params = tiny_network(name)
  assert training_flops(network, params, 32) == pytest.approx(2 * training_flops(network, params, 16), rel=0.1)


def test_operations_are_counted_by_the_cpu(tiny_network, monkeypatch):
  """Other devices' clients may count nothing before compilation; weights that lie on one must not lead there."""
  network, params = tiny_network("mlp")
  count, seen = jax.stages.Lowered.cost_analysis, []

  def counted(lowered):
    seen.append(jax.config.jax_default_device)  # type: ignore[attr-defined]
    return count(lowered)

  monkeypatch.setattr(jax.stages.Lowered, "cost_analysis", counted)
  elsewhere = jax.device_put(params, jax.devices()[-1])
  assert training_flops(network, elsewhere, 16) == training_flops(network, params, 16)
  assert seen == [jax.devices("cpu")[0]] * 2
