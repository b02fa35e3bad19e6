"""From the config to what will be run: every default that depends on the data, every schedule."""

import dataclasses
import datetime
import math
from pathlib import Path
from typing import Any

import jax

from lwlrd_jax.analysis.verdict import Limits
from lwlrd_jax.attacks.dec.carriers.hold import BATCH as HELD_BATCH
from lwlrd_jax.attacks.making import load_attack
from lwlrd_jax.attacks.registry import chosen
from lwlrd_jax.config import KEEP, Data, Dec, Finishing, Start, Starting, SweepConfig
from lwlrd_jax.data import Dataset, load_dataset
from lwlrd_jax.data.mimic.choices import Choices
from lwlrd_jax.defenses.plan import Defense, Grid, plan_defenses, plan_retraining, steps_per_epoch
from lwlrd_jax.engine.mapping import Strategy
from lwlrd_jax.errors import UserError
from lwlrd_jax.metrics.utility import absent_classes
from lwlrd_jax.models import build_model
from lwlrd_jax.models.network import Network, Params
from lwlrd_jax.models.own import check_training
from lwlrd_jax.models.recipes import Recipe, recipe_of
from lwlrd_jax.models.task import Compute
from lwlrd_jax.models.task_training import TaskTraining
from lwlrd_jax.plan.jobs import Job, controls_of, table_order
from lwlrd_jax.plan.room import members_per_wave, strategy_of, streams
from lwlrd_jax.search.space import Space
from lwlrd_jax.storage import path_of
from lwlrd_jax.team import Team
from lwlrd_jax.user.model_name import short_name

# Fine-tuning has to undo the harm of its own first large steps, which takes steps rather than epochs: a small set gets
# more of these (compare --epochs 6).
_EPOCHS, _FEWEST_STEPS = 12, 256
_MOST_STEPS = 1_000_000  # each has a row in every schedule
# Enough for the figures in sweeps/dermamnist.py. The task alone needs about a thousand.
_STEPS_PER_STOLEN, _FEWEST_INFECT_STEPS = 4.2, 1000
_GENERATED_STOLEN, _STOLEN = 256, 512
# How long retrain is, as a share of the original training, and what it begins from, where nothing else is asked for.
_RETRAIN = (0.35,)
_RETRAINED = (Start("redraw"), Start("shrink", 0.1, 0.1))
# A search looks at rates up to this many times smaller and larger than the default.
_LR_RANGE = 5.0


@dataclasses.dataclass(frozen=True)
class Place:
  """Where a run is or will be, and whether it is resumed or replaces another one."""

  out: Path
  resume: bool
  overwrite: bool


@dataclasses.dataclass(frozen=True)
class Infection:
  """What is infected, and how often."""

  attacks: tuple[str, ...]  # names in the results table
  stolen: int  # images
  seeds: int  # infections of each attack
  training: TaskTraining  # of all models, infected or not
  given_steps: int | None  # training steps that the user gave

  def steps_of(self, images: int) -> int:
    """Training steps of an infection that memorises so many images."""
    return infect_steps(self.given_steps, images)


@dataclasses.dataclass(frozen=True)
class Search:
  """What is searched for."""

  space: Space  # what varies
  budget: int  # schedules to try
  population: int  # schedules tried together


@dataclasses.dataclass(frozen=True)
class Execution:
  """How the work is done; figures depend on it by rounding alone."""

  strategy: Strategy
  stream: bool  # whether the training split stays on the host
  members_per_wave: int  # of one process
  snapshot_seconds: float
  profile: bool  # whether the first wave is traced
  track: tuple[str, ...]  # trackers


@dataclasses.dataclass(frozen=True, eq=False)
class Plan:
  """What a sweep does; nothing is trained yet, and nothing on the device."""

  flags: dict[str, object]  # as config.json records them
  place: Place
  model: str  # name of the network
  data: Dataset
  network: Network
  declared: Params  # shapes of the network's arrays
  recipe: Recipe  # rates of this kind of network
  infection: Infection
  codes: Dec  # how images are compressed and hidden
  grid: Grid
  compute: Compute
  share: float  # of the training split, that fine-tuning sees
  overlap: str  # whether that share holds stolen images
  starting: Starting
  finishing: Finishing
  limits: Limits
  jobs: tuple[Job, ...]  # done with every infected model; of a search the baselines alone
  search: Search | None
  execution: Execution
  show_stolen: bool  # whether pictures of reconstructions are wanted whatever the data

  @property
  def may_show(self) -> bool:
    """Whether pictures of reconstructions may be kept."""
    return self.data.openly_licensed or self.show_stolen

  def order(self, jobs: tuple[Job, ...] = ()) -> list[str]:
    """Members in the order of the table; with further jobs, those of these too."""
    return table_order(self.infection.attacks, self.jobs + jobs, self.infection.seeds)

  def controls(self, attack: str, seed: int) -> tuple[str, ...]:
    """Names of the controls that are measured with an attack: its own model, untreated, and perhaps shared ones."""
    return controls_of(attack, self.infection.attacks, seed)


def make_plan(config: SweepConfig, place: Place, team: Team) -> Plan:
  """Fills in the defaults, and makes the schedules.

  Raises:
    UserError: A mistake that the data or the network show.
  """
  # Before anything is computed, or looked up in the cache by what it was computed with.
  jax.config.update("jax_default_matmul_precision", config.run.matmul_precision)
  # Preparing a data set writes to a disk that processes may share.
  with team.first_goes_first("the data set is ready"):
    data = _load(config.data)
  _check_auc(config.data, data)
  recipe, train = recipe_of(config.data.model), len(data.train)
  infection = _infection(config, data, recipe)
  if config.tuning.overlap == "none" and infection.stolen == train:
    raise UserError(f"`overlap` none: all {train} training images are stolen; allowed: any, or fewer of them")
  grid = _grid(config, train, recipe)
  # By the first one's memory: other programs round otherwise.
  stream = team.agree("streaming", lambda: streams(config.run.stream, data.train.images.nbytes))
  network, params = build_model(config.data.model, data.image_shape, data.num_outputs, jax.random.key(0))
  depths, task_lr = network.depth_of_layer(grid.granularity), infection.training.task_lr
  limits = Limits(config.searching.max_auc_drop, config.searching.max_bacc_drop, config.searching.max_bytes)
  jobs = _jobs(config, grid, infection.training, train, network)
  sizes = {HELD_BATCH, infection.training.batch_size, *(job.defense.batch_size for job in jobs)}
  check_training(
    config.data.model, network, params, {min(size, train) for size in sizes}, data.train.labels, config.tuning.compute
  )
  declared = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), params)
  strategy = strategy_of(config.run.strategy, network, declared, grid.batch_size)
  batch_size = max((job.defense.batch_size for job in jobs), default=grid.batch_size)
  limit = config.run.members_per_wave or members_per_wave(network, declared, batch_size, strategy)
  return Plan(
    flags=config.flat(),
    place=place,
    model=config.data.model,
    data=data,
    network=network,
    declared=declared,
    recipe=recipe,
    infection=infection,
    codes=config.dec,
    grid=grid,
    compute=config.tuning.compute,
    share=config.tuning.share,
    overlap=config.tuning.overlap,
    starting=config.starting,
    finishing=config.finishing,
    limits=limits,
    jobs=jobs,
    search=_search(config, grid, task_lr, max(depths) + 1),
    execution=Execution(
      strategy=strategy,
      stream=stream,
      # As the first process has it: all of them have to deal the same waves. Who has less room halves their own.
      members_per_wave=int(team.say("members of a wave", lambda: str(limit))),
      snapshot_seconds=60 * config.run.snapshot_minutes,
      profile=config.watching.profile,
      track=config.watching.track,
    ),
    show_stolen=config.run.show_stolen,
  )


def place_of(config: SweepConfig, now: datetime.datetime, team: Team) -> Place:
  """Where the run is or will be, and whether it is resumed."""
  name = f"{now:%Y%m%d-%H%M%S}-{config.data.dataset}-{short_name(config.data.model)}"
  out, resume = path_of(config.run.out or Path("runs") / name), config.run.resume
  if config.run.restartable:
    # The first process may have begun it by the time that another one looks.
    resume = team.agree("whether the run was begun", (out / "config.json").is_file)
  return Place(out, resume, config.run.overwrite)


def infect_steps(given: int | None, images: int) -> int:
  """Training steps of an infection that memorises so many images."""
  return given or max(math.ceil(_STEPS_PER_STOLEN * images), _FEWEST_INFECT_STEPS)


def _load(flags: Data) -> Dataset:
  return load_dataset(
    flags.dataset,
    npz=flags.npz,
    data_dir=flags.data_dir,
    image_size=flags.image_size,
    labels=flags.labels,
    mimic=Choices(flags.mimic_dir, flags.views, flags.uncertain, flags.labeler),
  )


def _check_auc(flags: Data, data: Dataset) -> None:
  """Refuses a validation or test split without an AUC: scrub, search and the choice of a schedule go by it."""
  given = f"`npz` {flags.npz}" if flags.npz else f"`dataset` {flags.dataset}"
  for name, split in (("validation", data.val), ("test", data.test)):
    if len(absent_classes(split.labels, data.num_outputs)) == data.num_outputs:
      needed = "one finding that some images have and others have not" if data.multi_label else "two classes"
      raise UserError(f"{given}: no AUC can be computed on the {name} split; allowed: a split of at least {needed}")


def _infection(config: SweepConfig, data: Dataset, recipe: Recipe) -> Infection:
  train, stolen = len(data.train), config.infection.stolen
  if stolen is None:
    stolen = min(_GENERATED_STOLEN if data.name.startswith("phantom") else _STOLEN, max(train // 4, 1))
  if stolen > train:
    raise UserError(f"`stolen` {stolen}: the training set has {train} images; allowed: 1 to {train}")
  training = TaskTraining(
    steps=infect_steps(config.infection.infect_steps, stolen),
    batch_size=config.infection.infect_batch_size,
    augment=config.data.augment,
    task_lr=recipe.task_lr,
  )
  attacks = chosen(config.infection.attacks, config.dec.carriers)
  if config.infection.attack_file is not None:
    attacks = tuple(dict.fromkeys([*attacks, load_attack(config.infection.attack_file).name]))
  return Infection(attacks, stolen, config.infection.seeds, training, config.infection.infect_steps)


def _grid(config: SweepConfig, train: int, recipe: Recipe) -> Grid:
  """With the defaults filled in that depend on the data and the network; of a search the baselines alone."""
  flags, searches = config.tuning, config.searching.search is not None
  per_epoch = steps_per_epoch(train, flags.batch_size)
  epochs = flags.epochs or max(_EPOCHS, math.ceil(_FEWEST_STEPS / per_epoch))
  if (steps := epochs * per_epoch) > _MOST_STEPS:
    raise UserError(f"`epochs` {epochs}: {steps:,} steps; allowed: at most {_MOST_STEPS:,} in a fine-tuning")
  lrs = (recipe.lr_max,) if flags.lrs is None else flags.lrs
  return Grid(
    decays=flags.decays,
    lrs=lrs,
    high_lrs=lrs if flags.high_lrs is None else flags.high_lrs,
    floors=flags.floors,
    directions=() if searches else flags.directions,
    granularity=flags.granularity or recipe.granularity,
    epochs=epochs,
    batch_size=flags.batch_size,
    optimizer=flags.optimizer,
    shape=flags.shape,
    baselines=flags.baselines,
  )


def _jobs(config: SweepConfig, grid: Grid, training: TaskTraining, train: int, network: Network) -> tuple[Job, ...]:
  """Every start with every schedule with a decay, the baselines, and retraining; of a search the last two alone."""
  depths, starts = network.depth_of_layer(grid.granularity), config.starting.start
  swept, baselines = plan_defenses(grid, task_lr=training.task_lr, train_size=train, depths=depths)
  found = [(start, defense) for start in starts for defense in swept]
  found += [(KEEP, defense) for defense in baselines]
  again = tuple(start for start in starts if start.kind != "keep") or _RETRAINED
  shares = config.starting.retrain
  if shares is None:
    shares = _RETRAIN if grid.baselines else ()
  for start in again if shares else ():
    found += [(start, defense) for defense in _retraining(grid, start, shares, training, train, network)]
  flags = config.finishing
  if not found and config.searching.search is None:
    raise UserError("`directions` none, `retrain` none: nothing to run; allowed: one of them, or baselines")
  return tuple(Job(start, defense, prepare, flags.finish) for prepare in flags.prepare for start, defense in found)


def _retraining(
  grid: Grid, start: Start, shares: tuple[float, ...], training: TaskTraining, train: int, network: Network
) -> list[Defense]:
  """Training on the task again, in lengths that are shares of the original training."""
  size = min(grid.batch_size, train)
  steps = training.steps * min(training.batch_size, train) / size
  # A student's teacher runs forwards once over all images, a third of what training on them takes.
  before = math.ceil(train / 3 / size) if start.kind == "distil" else 0
  lengths = dict.fromkeys(max(int(share * steps) - before, 1) for share in shares)  # at most what they say
  return plan_retraining(grid, [*lengths], task_lr=training.task_lr, train_size=train, layers=len(network.layers))


def _search(config: SweepConfig, grid: Grid, task_lr: float, units: int) -> Search | None:
  """What a search varies, and how many schedules it tries."""
  flags, finishes = config.searching, config.finishing.finish
  if flags.search is None:
    return None
  floors: dict[str, Any] = {} if grid.floors == (0.0,) else {"floors": tuple(grid.floors)}
  starts = config.starting.start
  if starts == (KEEP,):
    starts = (*starts, *_RETRAINED)
  lowest = min(grid.lrs[0] / _LR_RANGE, *(task_lr for start in starts if start.kind != "keep"), math.inf)
  space = Space(
    epochs=tuple(sorted({max(grid.epochs // 2, 1), grid.epochs, 2 * grid.epochs})),
    units=units,
    finishes=tuple(finishes) if finishes != ((),) else ((), ("scrub",)),
    decays=(min(grid.decays), max(grid.decays)),
    lrs=(min(grid.lrs), max(grid.lrs)) if len(grid.lrs) > 1 else (lowest, grid.lrs[0] * _LR_RANGE),
    granularity=grid.granularity,
    usual_lr=grid.lrs[0],
    usual_epochs=grid.epochs,
    starts=tuple(starts),
    task_lr=task_lr,
    **floors,
  )
  return Search(space, flags.search, flags.population)
