"""How good a network gets at its task by our recipe, to compare with what MedMNIST's authors published.

    python benchmarks/utility.py --dataset dermamnist --model resnet18 --augment dihedral --epochs 60
    python benchmarks/utility.py --npz FILE --model cnn --augment flip

The recipe is that of every clean control of a sweep: Adam, label smoothing 0.2, the network's own rate, up at first and
down over the last quarter of the steps. No epoch is chosen by hindsight: what is tested is the model at the end.

Published (Yang et al. 2023, MedMNIST v2, ResNet-18 at 28 px), test AUC and accuracy: DermaMNIST 0.917 and 0.735,
ChestMNIST 0.768 and 0.947, PneumoniaMNIST 0.944 and 0.854, BreastMNIST 0.901 and 0.863.

Ours on 2 CPU cores, DermaMNIST's images rebuilt from HAM10000, PneumoniaMNIST the official file, one network each:

    model      images          augment   epochs   AUC    accuracy   minutes
    resnet18   PneumoniaMNIST  flip      15       0.966  0.870      28 (beside other work)
    resnet18   DermaMNIST      dihedral  20       0.943  0.792      (stopped in between: not timed)
    cnn        PneumoniaMNIST  flip      10       0.938  0.877       0.2
    cnn        DermaMNIST      dihedral  20       0.932  0.770       0.9
"""

import dataclasses
import sys
import time
from pathlib import Path

import jax
import numpy as np

from lwlrd_jax.cli import parse_command_line, run_main
from lwlrd_jax.data import load_dataset
from lwlrd_jax.data.device import to_device
from lwlrd_jax.defenses.plan import steps_per_epoch
from lwlrd_jax.engine.member import Member
from lwlrd_jax.engine.population import Finetuning, finetune
from lwlrd_jax.metrics.utility import absent_classes, utility
from lwlrd_jax.models import build_model
from lwlrd_jax.models.predict import predict
from lwlrd_jax.models.recipes import recipe_of
from lwlrd_jax.models.task_training import TaskTraining
from lwlrd_jax.watch.progress import phase


@dataclasses.dataclass(frozen=True)
class Settings:
  """Trains networks on their task alone."""

  dataset: str | None = None
  """As in a sweep. Default: npz if there is a file, else phantom."""
  npz: Path | None = None
  """A file in MedMNIST's form."""
  data_dir: Path | None = None
  """Where official MedMNIST files are kept."""
  model: str = "resnet18"
  """As in a sweep."""
  augment: str = "none"
  """As in a sweep."""
  epochs: int = 20
  """Passes over the training split."""
  batch_size: int = 128
  """Images a step."""
  lr: float | None = None
  """Largest learning rate. Default: the recipe's for this network."""
  seeds: int = 1
  """Networks, each with weights and batches of its own."""


def main(settings: Settings) -> None:
  """Trains, and prints a line for each network."""
  jax.config.update("jax_default_matmul_precision", "float32")  # as in a sweep
  name = settings.dataset or ("phantom" if settings.npz is None else "npz")
  data = load_dataset(name, npz=settings.npz, data_dir=settings.data_dir)
  train, test = to_device(data.train), to_device(data.test)
  steps = settings.epochs * steps_per_epoch(len(train), settings.batch_size)
  lr = recipe_of(settings.model).task_lr if settings.lr is None else settings.lr
  training = TaskTraining(steps=steps)
  absent = absent_classes(data.test.labels, data.num_outputs)
  for seed in range(settings.seeds):
    key_init, key_batches = jax.random.split(jax.random.key(seed))
    network, params = build_model(settings.model, data.image_shape, data.num_outputs, key_init)
    started = time.monotonic()
    with phase(f"training {settings.model}, seed {seed}", steps) as on_steps:
      trained = finetune(
        params,
        np.outer(lr * training.time_shape(), np.ones(len(network.layers)))[None],
        train,
        key_batches,
        Finetuning(Member(network, "adam", training.label_smoothing), settings.batch_size, augment=settings.augment),
        on_steps=on_steps,
      )
    seconds = time.monotonic() - started
    params = jax.tree.map(lambda leaf: leaf[0], trained.params)
    logits = jax.jit(predict, static_argnums=0)(network, params, test.images)
    found = utility(logits, test.labels)
    print(
      f"{settings.model}, {data.name}, {settings.augment}, {settings.epochs} epochs at {lr:g}, seed {seed}: "
      f"AUC {float(found.auc):.3f}, accuracy {float(found.accuracy):.3f}, balanced {float(found.balanced_accuracy):.3f}"
      f"{f' (no AUC of classes {absent})' if absent else ''}; {seconds:.0f} s on {jax.default_backend()}",
      flush=True,
    )


if __name__ == "__main__":
  run_main(lambda: main(parse_command_line(Settings, sys.argv[1:], program="python -m benchmarks.utility")))
