"""From what the user said to what will be run: every default that depends on the data."""

import dataclasses
import math
from typing import Any, cast

import jax

from lwlrd_jax.attacks.dec.carriers.hold import BATCH as HELD_BATCH
from lwlrd_jax.config import SweepConfig
from lwlrd_jax.config.names import DIRECTION_NAMES
from lwlrd_jax.config.parse import (
  parse_attacks,
  parse_decays,
  parse_finish,
  parse_floors,
  parse_lrs,
  parse_names,
  parse_strategy,
)
from lwlrd_jax.data import Dataset
from lwlrd_jax.defenses.plan import Defense, plan_defenses, steps_per_epoch
from lwlrd_jax.engine.mapping import Strategy, default_strategy
from lwlrd_jax.engine.memory import free_memory
from lwlrd_jax.errors import UserError
from lwlrd_jax.metrics.utility import absent_classes
from lwlrd_jax.models.cost import activation_bytes
from lwlrd_jax.models.network import Network, Params
from lwlrd_jax.models.own import check_training
from lwlrd_jax.models.predict import CHUNK
from lwlrd_jax.models.recipes import recipe_of
from lwlrd_jax.models.task import Compute
from lwlrd_jax.models.task_training import TaskTraining
from lwlrd_jax.plan.jobs import Job
from lwlrd_jax.search.space import Space

# Fine-tuning has to undo the harm of its own first large steps, which takes steps rather than epochs: a small set gets
# more of these (compare --epochs 6).
_EPOCHS, _FEWEST_STEPS = 12, 256
_MOST_STEPS = 1_000_000  # each has a row in every schedule
# Enough for the figures in sweeps/dermamnist.py. The task alone needs about a thousand.
_STEPS_PER_STOLEN, _FEWEST_INFECT_STEPS = 4.2, 1000
_GENERATED_STOLEN, _STOLEN = 256, 512
# A search looks at rates up to this many times smaller and larger than the default.
_LR_RANGE = 5.0
# A wave that is done is safe on disk: on a CPU, which gains nothing from more members at once, waves are small.
_CPU_WAVE = 16
# Copies of a member's weights while it trains: weights, two moments, gradients, updates; in and out of a step.
_COPIES = 8
# Members measured side by side fill an accelerator; each holds what was stolen in so many versions, some of them twice.
_MEASURED, _VERSIONS = 8, 32


@dataclasses.dataclass(frozen=True)
class Resolved:
  """What a sweep does, in numbers.

  Attributes:
    attacks: Names of the attacks, as in the results table.
    stolen: Images to steal.
    training: How models are trained on their task, infected or not.
    epochs: Of fine-tuning.
    batch_size: Images a step, of fine-tuning.
    lrs: Largest learning rates of fine-tuning.
    granularity: What a decay counts.
    stream: Whether the training split stays on the host.
  """

  attacks: tuple[str, ...]
  stolen: int
  training: TaskTraining
  epochs: int
  batch_size: int
  lrs: tuple[float, ...]
  granularity: str
  stream: bool


def resolve(config: SweepConfig, data: Dataset) -> Resolved:
  """Fills in the defaults.

  Raises:
    UserError: More images to steal than there are, or a split on which no AUC can be computed.
  """
  _check_auc(config, data)
  train = len(data.train)
  stolen = config.infection.stolen
  if stolen is None:
    stolen = min(_GENERATED_STOLEN if data.name.startswith("phantom") else _STOLEN, max(train // 4, 1))
  if stolen > train:
    raise UserError(f"--stolen {stolen}: the training set has {train} images; allowed: 1 to {train}")
  if config.tuning.overlap == "none" and stolen == train:
    raise UserError(f"--overlap none: all {train} training images are stolen; allowed: any, or fewer of them")
  batch_size = config.tuning.batch_size
  epochs = config.tuning.epochs or max(_EPOCHS, math.ceil(_FEWEST_STEPS / steps_per_epoch(train, batch_size)))
  if (steps := epochs * steps_per_epoch(train, batch_size)) > _MOST_STEPS:
    raise UserError(f"--epochs {epochs}: {steps:,} steps; allowed: at most {_MOST_STEPS:,} in a fine-tuning")
  attacks = parse_attacks(config.infection.attacks, config.dec.carriers)
  recipe = recipe_of(config.data.model)
  training = TaskTraining(
    steps=infect_steps(config, stolen),
    batch_size=config.infection.infect_batch_size,
    augment=config.data.augment,
    task_lr=recipe.task_lr,
  )
  lrs = (recipe.lr_max,) if config.tuning.lrs is None else parse_lrs(config.tuning.lrs)
  granularity = config.tuning.granularity or recipe.granularity
  stream = streams(config.run.stream, data.train.images.nbytes)
  return Resolved(attacks, stolen, training, epochs, batch_size, lrs, granularity, stream)


def _check_auc(config: SweepConfig, data: Dataset) -> None:
  """Refuses a validation or test split without an AUC: scrub, search and the choice of a schedule go by it."""
  given = f"--npz {config.data.npz}" if config.data.npz else f"--dataset {config.data.dataset}"
  for name, split in (("validation", data.val), ("test", data.test)):
    if len(absent_classes(split.labels, data.num_outputs)) == data.num_outputs:
      needed = "one finding that some images have and others have not" if data.multi_label else "two classes"
      raise UserError(f"{given}: no AUC can be computed on the {name} split; allowed: a split of at least {needed}")


def infect_steps(config: SweepConfig, images: int) -> int:
  """Training steps of an infection that memorises so many images."""
  return config.infection.infect_steps or max(math.ceil(_STEPS_PER_STOLEN * images), _FEWEST_INFECT_STEPS)


def defenses_of(config: SweepConfig, resolved: Resolved, train_size: int, network: Network) -> list[Defense]:
  """All schedules that a sweep's flags name; see `plan_defenses`. Of a search the baselines alone."""
  tuning = config.tuning
  directions = parse_names("--directions", tuning.directions, DIRECTION_NAMES)
  return plan_defenses(
    decays=parse_decays(tuning.decays),
    lrs=resolved.lrs,
    high_lrs=None if tuning.high_lrs is None else parse_lrs(tuning.high_lrs),
    epochs=resolved.epochs,
    batch_size=resolved.batch_size,
    optimizer=tuning.optimizer,
    shape=tuning.shape,
    baselines=tuning.baselines,
    task_lr=resolved.training.task_lr,
    train_size=train_size,
    layers=len(network.layers),
    floors=parse_floors(tuning.floors),
    depth_of_layer=network.depth_of_layer(resolved.granularity),
    granularity=resolved.granularity,
    directions=directions if config.searching.search is None else (),
  )


def jobs_of(config: SweepConfig, resolved: Resolved, train_size: int, network: Network) -> list[Job]:
  """What a sweep's flags have done to every infected model; of a search with the baselines alone."""
  defenses = defenses_of(config, resolved, train_size, network)
  finishes = parse_finish("--finish", config.finishing.finish)
  prepares = parse_finish("--prepare", config.finishing.prepare)
  return [Job(defense, prepare, finishes) for prepare in prepares for defense in defenses]


def check_network(config: SweepConfig, resolved: Resolved, network: Network, params: Params, data: Dataset) -> None:
  """Refuses a network of a user's own that could not be trained on the batches of a sweep.

  Raises:
    UserError: It fails in a training step.
  """
  defenses = defenses_of(config, resolved, len(data.train), network)
  asked = {resolved.training.batch_size, HELD_BATCH, *(defense.batch_size for defense in defenses)}
  batches = {min(size, len(data.train)) for size in asked}
  compute = cast(Compute, config.tuning.compute)
  check_training(config.data.model, network, params, batches, data.train.labels, compute)


def space_of(config: SweepConfig, resolved: Resolved, network: Network) -> Space:
  """What a search varies; see `--search`."""
  tuning, finishing = config.tuning, config.finishing
  decays, lrs, floors = parse_decays(tuning.decays), resolved.lrs, parse_floors(tuning.floors)
  finishes = parse_finish("--finish", finishing.finish)
  epochs = resolved.epochs
  chosen: dict[str, Any] = {} if floors == (0.0,) else {"floors": floors}
  return Space(
    epochs=tuple(sorted({max(epochs // 2, 1), epochs, 2 * epochs})),
    units=max(network.depth_of_layer(resolved.granularity)) + 1,
    finishes=finishes if finishes != ((),) else ((), ("scrub",)),
    decays=(min(decays), max(decays)),
    lrs=(min(lrs), max(lrs)) if len(lrs) > 1 else (lrs[0] / _LR_RANGE, lrs[0] * _LR_RANGE),
    granularity=resolved.granularity,
    usual_lr=lrs[0],
    usual_epochs=epochs,
    **chosen,
  )


def streams(asked: str, size: int) -> bool:
  """Whether the training split stays on the host.

  Args:
    asked: `always`, `never` or `auto`.
    size: Bytes of its images.

  Returns:
    That; for `auto`, whether they would fill more than half of the device's free memory, as far as that is known.
  """
  free = free_memory()
  return asked == "always" or (asked == "auto" and free is not None and size > free // 2)


def strategy_of(asked: str, network: Network, params: Params, batch_size: int) -> Strategy:
  """How a device maps over members: what `--strategy` asks for, `default_strategy` for `auto`."""
  strategy = parse_strategy(asked)
  return default_strategy(network, params, batch_size) if strategy == "auto" else cast(Strategy, strategy)


def members_per_wave(asked: int | None, network: Network, params: Params, batch_size: int, strategy: Strategy) -> int:
  """Members to train at once.

  Args:
    asked: What the user wants, if anything.
    network: The model's structure.
    params: Its weights, or their shapes.
    batch_size: Images a step.
    strategy: How a device maps over members.

  Returns:
    That, or as many as half of the free memory holds; at least 1, and no more where nobody knows what is free.
  """
  if asked is not None:
    return asked
  of_member = _COPIES * sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(params))
  free = (free_memory() or 0) // 2
  if strategy == "vmap":
    of_member += activation_bytes(network, params, batch_size)
  elif strategy != "loop":  # members share the room of those whose turn it is
    kept = activation_bytes(network, params, batch_size)
    free -= kept * min(strategy, max(1, free // (of_member + kept)))
  most = max(1, free // of_member)
  if jax.default_backend() == "cpu":
    return min(_CPU_WAVE, most)
  return most * jax.local_device_count()


def measured_together(network: Network, params: Params, stolen: int) -> int:
  """Members to measure side by side: one on a CPU, elsewhere up to `_MEASURED`, as far as a quarter of the memory goes.

  Args:
    network: The model's structure.
    params: Its weights, or their shapes.
    stolen: Images.
  """
  if jax.default_backend() == "cpu":
    return 1
  images = _VERSIONS * stolen * math.prod(network.image_shape) * 4
  of_member = images + activation_bytes(network, params, CHUNK)
  return min(max((free_memory() or 0) // 4 // of_member, 1), _MEASURED)
