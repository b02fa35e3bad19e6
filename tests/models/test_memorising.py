"""What the backward pass of every model has to be able to do: be trained, in all of its weights, to paint images."""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from lwlrd_jax.attacks.transpose import Transpose
from lwlrd_jax.data.device import scale
from lwlrd_jax.metrics.ssim import ssim
from lwlrd_jax.models import MODELS
from lwlrd_jax.models.architectures.resnet import ResNet
from lwlrd_jax.models.architectures.vit import ViT
from lwlrd_jax.models.network import split_model

SHAPE = (12, 12, 1)
SMALL: dict[str, Callable[..., nnx.Module]] = {
  "mlp": functools.partial(MODELS["mlp"], width=16),
  "cnn": functools.partial(MODELS["cnn"], channels=3, width=16),
  "resnet18": functools.partial(ResNet, channels=3),
  "vit": functools.partial(ViT, width=12, depth=2, heads=3, hidden=20),
}
# Small ones that can, how many images, at which rate and in how many steps.
MEMORISING: dict[str, tuple[Callable[..., nnx.Module], int, float, int]] = {
  "mlp": (functools.partial(MODELS["mlp"], width=128), 64, 3e-3, 300),
  "cnn": (functools.partial(MODELS["cnn"], channels=8, width=128), 64, 3e-3, 400),
  "resnet18": (functools.partial(ResNet, channels=8, stages=(1, 1, 1, 1)), 32, 8e-3, 450),
  "vit": (functools.partial(ViT, width=64, depth=2, heads=4, hidden=128), 64, 3e-3, 700),
}
# Layers whose biases the backward direction uses too.
BOTH_WAYS = ("norm", "query")


def test_every_kind_of_model_is_here():
  assert {name.removesuffix("-small") for name in MODELS} == set(SMALL) == set(MEMORISING)


@pytest.mark.parametrize("kind", SMALL)
def test_the_gradient_reaches_every_weight_it_uses(kind):
  """By finite differences, in float64: along a direction in each array, and nowhere is it zero but where it must be."""
  with jax.enable_x64(True), jax.numpy_dtype_promotion("standard"):
    check_gradient(kind)


@pytest.mark.parametrize(
  "kind", ["mlp", "cnn", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("resnet18", "vit"))]
)
def test_memorises_images(kind, smooth_split):
  """Beside its task, as the attack trains it; the mean image in place of each has an SSIM of 0.08."""
  make, stolen, memory_lr, steps = MEMORISING[kind]
  shape = (14, 14, 1)
  network, params = split_model(make(shape, 5, rngs=nnx.Rngs(params=jax.random.key(0))), shape, 5)
  data = smooth_split(64, shape, 5)
  attack = Transpose(stolen=stolen, steps=steps, batch_size=stolen, memory_lr=memory_lr)
  infected = attack.infect(network, params, data, jax.random.key(0))
  reconstructed = attack.read(network, infected.params, infected.secret).images
  originals = scale(jnp.asarray(data.images)[infected.stolen])
  assert float(ssim(jnp.clip(reconstructed, 0, 1), originals).mean()) >= 0.8


def check_gradient(kind):
  network, params = split_model(SMALL[kind](SHAPE, 4, rngs=nnx.Rngs(params=jax.random.key(0))), SHAPE, 4)
  rng = np.random.default_rng(0)
  params = jax.tree.map(lambda w: jnp.asarray(w + rng.normal(0, 0.1, w.shape), jnp.float64), params)
  codes = jnp.asarray(rng.uniform(0.5, 4, (6, 4)))
  target = jnp.asarray(rng.random((6, *SHAPE)))

  @jax.jit
  def loss(params):
    return jnp.square(network.transpose(params, codes) - target).mean()

  grads = jax.jit(jax.grad(loss))(params)
  for layer in network.layers:
    for name, grad in grads[layer].items():
      used = name != "bias" or any(kind in layer for kind in BOTH_WAYS)
      assert (float(jnp.abs(grad).max()) > 1e-9) == used, (layer, name)
      direction = rng.normal(size=grad.shape)

      def along(step, layer=layer, name=name, direction=direction):
        return loss({**params, layer: {**params[layer], name: params[layer][name] + step * direction}})

      # Smaller than the distance to the next bend of a ReLU.
      expected = (along(1e-7) - along(-1e-7)) / 2e-7
      np.testing.assert_allclose((grad * direction).sum(), expected, rtol=1e-3, atol=1e-7)
