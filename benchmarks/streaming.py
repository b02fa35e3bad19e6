"""What it costs to leave the training images on the host: fine-tuning with images that stream, beside the usual way.

    python benchmarks/streaming.py --model cnn --image-size 224
    python benchmarks/streaming.py --model cnn --image-size 224 --mimic-dir DIR --data-dir FOLDER

Both ways are timed in turns, after one round that compiles. What comes out is the median time of a step in each way,
the share of the streaming time in which the program stood and waited for images, and whether both trained the same
models to the last bit.
"""

import dataclasses
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np

from lwlrd_jax.cli import parse_command_line, run_main
from lwlrd_jax.data import Split, load_dataset
from lwlrd_jax.data.device import DeviceSplit, to_device
from lwlrd_jax.data.mimic.choices import Choices
from lwlrd_jax.engine import loop
from lwlrd_jax.engine.member import Member
from lwlrd_jax.engine.population import Finetuning, Population, finetune
from lwlrd_jax.models import build_model
from lwlrd_jax.watch.progress import phase


@dataclasses.dataclass(frozen=True)
class Settings:
  """Times fine-tuning with images on the device and on the host."""

  model: str = "cnn"
  """As in a sweep."""
  image_size: int = 224
  """Side of the images in pixels."""
  mimic_dir: Path | None = None
  """A copy of MIMIC-CXR-JPG. Default: random pixels, 14 findings."""
  data_dir: Path | None = None
  """Where MIMIC-CXR-JPG is kept once prepared."""
  images: int = 2048
  """How many, if they are random."""
  members: int = 2
  """Fine-tuned at once."""
  batch_size: int = 32
  """Images a step."""
  steps: int = 64
  """Of each round."""
  rounds: int = 3
  """Of each way."""


def main(settings: Settings) -> None:
  """Times, and prints one line."""
  jax.config.update("jax_default_matmul_precision", "float32")  # as in a sweep
  train = _split(settings)
  image_shape, num_outputs = train.images.shape[1:], train.labels.shape[1]
  network, params = build_model(settings.model, image_shape, num_outputs, jax.random.key(0))
  member = Member(network, "adam", 0.0)
  schedules = np.full((settings.members, settings.steps, len(network.layers)), 1e-3, np.float32)
  waits: list[float] = []
  loop.portions = _timed(loop.portions, waits)

  def run(split: DeviceSplit, title: str) -> tuple[float, Population]:
    waits.clear()
    started = time.monotonic()
    with phase(title, settings.steps, members=settings.members) as on_steps:
      tuned = finetune(
        params, schedules, split, jax.random.key(0), Finetuning(member, settings.batch_size), on_steps=on_steps
      )
    return time.monotonic() - started, tuned

  splits = {"on the device": to_device(train), "on the host": to_device(train, stream=True)}
  seconds: dict[str, list[float]] = {title: [] for title in splits}
  waited, tuned = [], {}
  for number in range(settings.rounds + 1):
    for title, split in splits.items():
      took, tuned[title] = run(split, f"round {number}, images {title}")
      if number:
        seconds[title].append(took)
        if title == "on the host":
          waited.append(sum(waits) / took)
  of_step = [1e3 * statistics.median(took) / settings.steps for took in seconds.values()]
  same = all(jax.tree.leaves(jax.tree.map(np.array_equal, *(found.params for found in tuned.values()))))
  print(
    f"{settings.model}, {len(train)} images of {settings.image_size} px ({train.images.nbytes / 2**20:.0f} MiB), "
    f"{settings.members} members x {settings.steps} steps of {settings.batch_size}: {of_step[0]:.0f} ms a step "
    f"with images on the device, {of_step[1]:.0f} ms on the host, of which {statistics.median(waited):.2%} waiting for "
    f"images; {'the same' if same else 'OTHER'} models; {jax.default_backend()}"
  )


def _split(settings: Settings) -> Split:
  """A training split of several findings."""
  if settings.mimic_dir is None:
    rng = np.random.default_rng(0)
    shape = (settings.images, settings.image_size, settings.image_size, 1)
    return Split(rng.integers(0, 256, shape, np.uint8), rng.integers(0, 2, (settings.images, 14), np.uint8))
  size, folder = settings.image_size, settings.data_dir
  return load_dataset("mimic-cxr", image_size=size, mimic=Choices(settings.mimic_dir), data_dir=folder).train


def _timed(read: Callable[..., Iterator[Any]], waits: list[float]) -> Callable[..., Iterator[Any]]:
  """An iterator that writes down how long each of its items took."""

  def timed(*args: Any) -> Iterator[Any]:
    items = read(*args)
    while True:
      started = time.monotonic()
      item = next(items, None)
      jax.block_until_ready(item)
      waits.append(time.monotonic() - started)
      if item is None:
        return
      yield item

  return timed


if __name__ == "__main__":
  run_main(lambda: main(parse_command_line(Settings, sys.argv[1:], program="python -m benchmarks.streaming")))
