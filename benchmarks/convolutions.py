"""Which way to compute a population's convolutions is fastest here: why `architectures/layers.py` multiplies matrices.

    python -m benchmarks.convolutions --members 3 --batch-size 16

Of convolutions such as the networks have, a training step's share: its output, and the gradients of what it reads and
of its kernel, for some members that each have a kernel of their own. `matmul` gathers patches and multiplies; `library`
is XLA's convolution, which under `vmap` becomes a grouped one; `mixed` is XLA's but for the kernel's gradient, a
product with patches. Each is taken with members side by side and one after another, inside a loop over steps as in
training, where XLA's convolutions on CPUs can be slower than outside of one.

Figures are GFLOP/s; the best of each row is marked. Ways are timed in turns.
"""

import dataclasses
import functools
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from rich.table import Table

from lwlrd_jax.cli import parse_command_line, run_main
from lwlrd_jax.engine.mapping import Strategy, map_members
from lwlrd_jax.models.architectures.layers import convolve, convolve_down
from lwlrd_jax.watch.progress import console

Convolution = Callable[[jax.Array, jax.Array], jax.Array]


class Shape(NamedTuple):
  """Of one convolution: images f32[N, side, side, inputs], a kernel of `size`, as many `outputs`."""

  side: int
  inputs: int
  outputs: int
  size: int
  stride: int


# The first layer's members all read the same images; the others read what their own layers before them made.
SHAPES = {
  "cnn, first": Shape(28, 3, 32, 4, 2),
  "cnn, second": Shape(14, 32, 64, 4, 2),
  "resnet18, stem": Shape(28, 3, 64, 3, 1),
  "resnet18, stage 1": Shape(28, 64, 64, 3, 1),
  "resnet18, stage 2": Shape(14, 128, 128, 3, 1),
  "resnet18, stage 4": Shape(4, 512, 512, 3, 1),
  "resnet18, between": Shape(28, 64, 128, 3, 2),
}


@dataclasses.dataclass(frozen=True)
class Settings:
  """Times ways to convolve."""

  members: int = 3
  """Kernels."""
  batch_size: int = 16
  """Images a step."""
  steps: int = 2
  """Of the loop around it."""
  rounds: int = 3
  """Of each way, after one that compiles."""
  json: Path | None = None
  """File for the figures: a list, an entry a convolution."""


def by_matmul(x: jax.Array, kernel: jax.Array, *, stride: int) -> jax.Array:
  """As the networks do: gathers patches, and multiplies."""
  return convolve(x, kernel, stride) if kernel.shape[0] % 2 else convolve_down(x, kernel)


def by_library(x: jax.Array, kernel: jax.Array, *, stride: int) -> jax.Array:
  """XLA's convolution."""
  low = (kernel.shape[0] - 1) // 2
  return jax.lax.conv_general_dilated(
    x,
    kernel,
    (stride, stride),
    [(low, kernel.shape[0] // 2)] * 2 if kernel.shape[0] % 2 else [(low, low)] * 2,
    dimension_numbers=("NHWC", "HWIO", "NHWC"),
  )


def mixed(x: jax.Array, kernel: jax.Array, *, stride: int) -> jax.Array:
  """XLA's but for the kernel's gradient."""
  return _mixed(x, kernel, stride)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _mixed(x: jax.Array, kernel: jax.Array, stride: int) -> jax.Array:
  return by_library(x, kernel, stride=stride)


def _mixed_forward(x: jax.Array, kernel: jax.Array, stride: int) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
  return by_library(x, kernel, stride=stride), (x, kernel)


def _mixed_backward(stride: int, kept: tuple[jax.Array, jax.Array], of_y: jax.Array) -> tuple[jax.Array, jax.Array]:
  x, kernel = kept
  (of_x,) = jax.linear_transpose(lambda x: by_library(x, kernel, stride=stride), x)(of_y)
  (of_kernel,) = jax.linear_transpose(lambda kernel: by_matmul(x, kernel, stride=stride), kernel)(of_y)
  return of_x, of_kernel


_mixed.defvjp(_mixed_forward, _mixed_backward)


WAYS: dict[str, Callable[..., jax.Array]] = {"matmul": by_matmul, "library": by_library, "mixed": mixed}


def training(
  convolve: Callable[..., jax.Array], shape: Shape, strategy: Strategy, steps: int, *, first: bool
) -> Callable:
  """Steps that move kernels f32[M, ...] by their gradients: images f32[(M,) N, ...], kernels -> kernels."""

  def of_member(images: jax.Array, kernel: jax.Array) -> jax.Array:
    def loss(x: jax.Array, kernel: jax.Array) -> jax.Array:
      return jnp.square(convolve(x, kernel, stride=shape.stride)).mean()

    def step(state: tuple[jax.Array, jax.Array], number: jax.Array) -> tuple[tuple[jax.Array, jax.Array], None]:
      x, kernel = state
      if first:  # the gradient of pixels is not needed, and every step has others
        return (x, kernel - 1e-3 * jax.grad(loss, argnums=1)(x + 1e-6 * number, kernel)), None
      of_x, of_kernel = jax.grad(loss, argnums=(0, 1))(x, kernel)
      return (x - 1e-3 * of_x, kernel - 1e-3 * of_kernel), None

    return jax.lax.scan(step, (images, kernel), jnp.arange(steps, dtype=jnp.float32))[0][1]

  def run(images: jax.Array, kernels: jax.Array) -> jax.Array:
    if first:
      return map_members(lambda kernel: of_member(images, kernel), (kernels,), strategy)
    return map_members(of_member, (images, kernels), strategy)

  return jax.jit(run)


def main(settings: Settings) -> None:
  """Prints the table."""
  jax.config.update("jax_default_matmul_precision", "float32")  # as in a sweep
  strategies: tuple[Strategy, ...] = ("vmap", "loop")
  names = [f"{way}, {'side by side' if strategy == 'vmap' else 'in turn'}" for way in WAYS for strategy in strategies]
  table = Table("convolution", *names)
  rows: list[dict[str, Any]] = []
  for title, shape in SHAPES.items():
    first = shape.inputs == 3
    images = jax.random.normal(jax.random.key(0), (settings.batch_size, shape.side, shape.side, shape.inputs))
    images = images if first else jnp.tile(images, (settings.members, 1, 1, 1, 1))
    kernels = 0.05 * jax.random.normal(
      jax.random.key(1), (settings.members, shape.size, shape.size, shape.inputs, shape.outputs)
    )
    runs = [
      training(convolve, shape, strategy, settings.steps, first=first)
      for convolve in WAYS.values()
      for strategy in strategies
    ]
    found = [jax.block_until_ready(run(images, kernels)) for run in runs]
    apart = max(float(jnp.abs(other - found[0]).max()) for other in found)
    if not apart < 1e-4:
      raise SystemExit(f"{title}: ways differ by {apart}")
    seconds: list[list[float]] = [[] for _ in runs]
    for _ in range(settings.rounds):
      for of_run, run in zip(seconds, runs, strict=True):
        started = time.monotonic()
        jax.block_until_ready(run(images, kernels))
        of_run.append(time.monotonic() - started)
    places = settings.batch_size * (-(-shape.side // shape.stride)) ** 2
    once = 2 * places * shape.size**2 * shape.inputs * shape.outputs
    flops = settings.members * settings.steps * once * (2 if first else 3)
    rates = [flops / statistics.median(of_run) / 1e9 for of_run in seconds]
    row = [f"{'*' if rate == max(rates) else ''}{rate:,.0f}" for rate in rates]
    table.add_row(title, *row)
    rows.append({"convolution": title, **dict(zip(names, rates, strict=True))})
    if settings.json is not None:  # whatever comes next
      settings.json.write_text(json.dumps(rows, indent=1))
    console.print(f"{title}: {', '.join(row)}")
  console.print(f"{jax.devices()[0].device_kind}, {settings.members} members, {settings.batch_size} images, GFLOP/s")
  console.print(table)


if __name__ == "__main__":
  run_main(lambda: main(parse_command_line(Settings, sys.argv[1:], program="python -m benchmarks.convolutions")))
