import jax
import pytest

from lwlrd_jax.engine.optimizer import layer_labels
from lwlrd_jax.models import build_network

PARAMS = {"b": {"kernel": 0.0, "bias": 0.0}, "a": {"kernel": 0.0, "inside": {"deep": 0.0}}}


def test_labels_follow_the_order_given_not_the_alphabet():
  assert layer_labels(PARAMS, ("b", "a")) == {
    "b": {"kernel": 0, "bias": 0},
    "a": {"kernel": 1, "inside": {"deep": 1}},
  }


@pytest.mark.parametrize(
  "layers", [("a",), ("a", "b", "c"), ("a", "c"), (), ("a", "b", "b"), ("a", "a", "b"), ("a", "a")]
)
def test_every_layer_and_every_parameter_needs_a_number(layers):
  with pytest.raises(ValueError, match="the order of layers names"):
    layer_labels(PARAMS, layers)


@pytest.mark.parametrize(("name", "layers"), [("mlp", 4), ("cnn", 5)])
def test_models(name, layers):
  network = build_network(name, (28, 28, 1), 3)
  params = {layer: {"kernel": 0.0, "bias": 0.0} for layer in network.layers}
  labels = layer_labels(params, network.layers)
  assert sorted(set(jax.tree.leaves(labels))) == list(range(layers))
  assert labels[network.layers[0]] == {"kernel": 0, "bias": 0}
