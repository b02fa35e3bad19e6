"""How well a network's backward pass, trained for nothing else, reconstructs a set of images.

    python benchmarks/memorise.py --model resnet18 --npz FILE --steps 1500

Every step is one of Adam on the squared error of all images at once, at the rate and in the course that the Transpose
attack takes for this network. What comes out is the mean SSIM of these reconstructions, raw and clipped, beside that of
the mean image in every place.

64 images on 2 CPU cores, some of it beside other work; DermaMNIST's images rebuilt from HAM10000 (28 pixels, mean image
0.465), NIH radiographs (64 pixels, mean image 0.529):

    model      images      steps   SSIM    minutes
    mlp        DermaMNIST    400   0.987   0.1
    cnn        DermaMNIST    400   0.903   0.2
    vit        DermaMNIST    800   0.813   22
    resnet18   NIH          1500   0.838   11
"""

import dataclasses
import functools
import sys
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from lwlrd_jax.attacks.base import Task
from lwlrd_jax.attacks.transpose import Transpose
from lwlrd_jax.attacks.transpose.plain import Memory
from lwlrd_jax.cli import parse_command_line, run_main
from lwlrd_jax.data import load_dataset
from lwlrd_jax.data.device import to_device
from lwlrd_jax.metrics.ssim import ssim
from lwlrd_jax.models import build_model
from lwlrd_jax.models.network import Network, Params
from lwlrd_jax.models.recipes import recipe_of
from lwlrd_jax.watch.progress import phase

_STEPS_PER_CALL = 20


@dataclasses.dataclass(frozen=True)
class Settings:
  """Trains a network's backward pass on a few images."""

  model: str = "resnet18"
  """As in a sweep."""
  npz: Path | None = None
  """A file in MedMNIST's form. Default: generated skin lesions."""
  image_size: int | None = None
  """Side of generated images in pixels; 28 by default."""
  images: int = 64
  """How many to memorise, of the training split."""
  steps: int = 1500
  """Of Adam."""
  lr: float | None = None
  """Default: the attack's for this network."""


def main(settings: Settings) -> None:
  """Trains, and prints one line."""
  jax.config.update("jax_default_matmul_precision", "float32")  # as in a sweep
  name = "phantom" if settings.npz is None else "npz"
  data = load_dataset(name, npz=settings.npz, image_size=settings.image_size)
  network, params = build_model(settings.model, data.image_shape, data.num_outputs, jax.random.key(0))
  lr = recipe_of(settings.model).memory_lr if settings.lr is None else settings.lr
  attack = Transpose(stolen=settings.images, steps=settings.steps, memory_lr=lr)
  memory = attack.hide(Task(network, to_device(data.train)), jax.random.key(0)).memory
  state: Any = (params, attack.optimizers()[1].init(network.weights(params)))
  started = time.monotonic()
  with phase(f"memorising {settings.images} images", settings.steps) as on_steps:
    for first in range(0, settings.steps, _STEPS_PER_CALL):
      count = min(_STEPS_PER_CALL, settings.steps - first)
      state = jax.block_until_ready(advance(network, attack, count, state, memory))
      on_steps(count)
  seconds = time.monotonic() - started
  reconstructed = jnp.clip(jax.jit(network.transpose)(state[0], memory.codes), 0, 1)
  floor = jnp.broadcast_to(jnp.asarray(np.mean(data.train.images / np.float32(255), axis=0)), reconstructed.shape)
  error = jnp.square(reconstructed - memory.images).mean()
  print(
    f"{settings.model}, {data.image_shape[0]} px, {settings.images} images, {settings.steps} steps at {lr:g}: "
    f"SSIM {float(ssim(reconstructed, memory.images).mean()):.3f}, MSE {float(error):.5f} "
    f"(mean image: SSIM {float(ssim(floor, memory.images).mean()):.3f}); {seconds:.0f} s on {jax.default_backend()}"
  )


@functools.partial(jax.jit, static_argnums=(0, 1, 2), donate_argnums=3)
def advance(network: Network, attack: Transpose, steps: int, state: Any, memory: Memory) -> Any:
  """Some memory steps of the attack."""
  tx = attack.optimizers()[1]

  def step(state: Any, _: None) -> tuple[Any, None]:
    params, opt_state = state
    grads = attack.memory_gradient(network, params, memory, ())[1]
    updates, opt_state = tx.update(network.weights(grads), opt_state)
    moved: Params = optax.apply_updates(network.weights(params), updates)
    return ({**params, **moved}, opt_state), None

  return jax.lax.scan(step, state, length=steps)[0]


if __name__ == "__main__":
  run_main(lambda: main(parse_command_line(Settings, sys.argv[1:], program="python -m benchmarks.memorise")))
