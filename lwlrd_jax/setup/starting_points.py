"""The models a sweep starts from: infected ones, and one that never was. Trained once, then read from the cache."""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lwlrd_jax.attacks.base import Attack, Infected, NoRoomError, Task
from lwlrd_jax.attacks.registry import ATTACKS
from lwlrd_jax.data import Dataset
from lwlrd_jax.data.device import DeviceSplit
from lwlrd_jax.disk.model_cache import arrays_digest, cached_tree, is_cached, numerics
from lwlrd_jax.engine.member import Member
from lwlrd_jax.engine.population import Finetuning, finetune, member_mesh
from lwlrd_jax.errors import UserError
from lwlrd_jax.models import build_model
from lwlrd_jax.models.identity import identity
from lwlrd_jax.models.network import Params
from lwlrd_jax.plan.plan import Plan
from lwlrd_jax.setup.codec import Coding
from lwlrd_jax.team import Team
from lwlrd_jax.user.model_name import short_name
from lwlrd_jax.watch.progress import console, phase

# Of the models and their training. Raised with every change that makes an older cached model a wrong one.
_RECIPE = 3
# What each random number of a seed is for. Numbers are only ever added.
_USES = ("init", "infect", "clean init", "clean", "finetune", "host", "finish", "share", "noise", "owner")


def key_of(seed: int, use: str) -> jax.Array:
  """Random key of a seed for one of its uses, such as `finetune`: the batches of all members that start from it."""
  return jax.random.fold_in(jax.random.key(seed), _USES.index(use))


def data_digest(data: Dataset) -> str:
  """SHA-256 of a data set's images and labels, of all splits."""
  return arrays_digest(
    *(array for split in (data.train, data.val, data.test) for array in (split.images, split.labels))
  )


@dataclasses.dataclass(frozen=True, eq=False)
class Origin:
  """What all starting points of a sweep share."""

  plan: Plan
  train: DeviceSplit
  public: DeviceSplit  # images of the same kind that an attacker may have: the validation split
  digest: str  # `data_digest` of the data set
  coding: Coding | None  # how attacks turn images into bits, if any of them does

  @property
  def task(self) -> Task:
    """What attacks are run on."""
    return Task(self.plan.network, self.train, self.public, None if self.coding is None else self.coding.weights)

  def draw(self, key: jax.Array) -> Params:
    """First weights of the network."""
    return build_model(self.plan.model, self.plan.data.image_shape, self.plan.data.num_outputs, key)[1]


def check_attack(origin: Origin, attack: Attack, seed: int) -> None:
  """Refuses what an attack could not carry.

  Raises:
    UserError: It cannot number the images, or not hide them.
  """
  params, plan = origin.draw(jax.random.key(0)), origin.plan
  given = f"`stolen` {plan.infection.stolen}"  # some attacks take a share of it
  try:
    attack.check(origin.task, params, key_of(seed, "infect"))
  except NoRoomError as error:
    needed, room = (
      f"{size:,} weights" if error.unit == "weights" else f"{size / 8e3:,.1f} kB" for size in (error.needed, error.room)
    )
    least = "" if attack.size_is_known else "at least "
    raise UserError(
      f"{given}: the payload of {attack.name} takes {least}{needed}, its carrier in this {short_name(plan.model)} "
      f"holds {room}; allowed: about {int(plan.infection.stolen * error.room / error.needed)} images, or another attack"
    ) from error
  except ValueError as error:
    raise UserError(f"{given}: {attack.name}: {error}") from error


def infected_models(origin: Origin, attack: Attack, seeds: Sequence[int], team: Team) -> list[Infected]:
  """The models that an attack hid images in, one a seed. Of several processes the first makes them for all."""

  def make() -> dict[str, Any]:
    trees = _infected_trees(origin, attack, seeds)
    return {str(seed): tree for seed, tree in zip(seeds, trees, strict=True)}

  trees = team.from_first("infected models", make)
  return [Infected(**jax.tree.map(jnp.asarray, trees[str(seed)])) for seed in seeds]


def _infected_trees(origin: Origin, attack: Attack, seeds: Sequence[int]) -> list[dict[str, Any]]:
  """Those that are missing in the cache are made together; where they need hosts, one after another."""
  settings = _infection_settings(origin, attack)
  trees = []
  for group in [[seed] for seed in seeds] if attack.info.family.needs_host else [seeds]:
    missing = [seed for seed in group if not is_cached(_recipe(origin, settings, seed))]
    made = _infect(origin, attack, missing) if missing else {}
    for seed in group:
      make = functools.partial(made.__getitem__, seed)
      trees.append(_cached(origin, settings, seed, make, f"infected model ({attack.name})"))
  return trees


def _infect(origin: Origin, attack: Attack, seeds: Sequence[int]) -> dict[int, dict[str, Any]]:
  """Infected models, as trees, by seed."""
  hosted = attack.info.family.needs_host
  params = [host_model(origin, seed) if hosted else origin.draw(key_of(seed, "init")) for seed in seeds]
  keys = [key_of(seed, "infect") for seed in seeds]
  try:
    with phase(f"infecting ({attack.name}, {attack.stolen} images)", attack.steps, members=len(seeds)) as on_steps:
      infected = attack.infect_all(origin.task, params, keys, on_steps, origin.plan.execution.strategy)
  except ValueError as error:
    raise UserError(f"`attacks`: {attack.name}: {error}") from error
  return {seed: one._asdict() for seed, one in zip(seeds, infected, strict=True)}


def _infection_settings(origin: Origin, attack: Attack) -> dict[str, Any]:
  settings = {"attack": describe_attack(origin, attack)}
  if attack.info.family.needs_host:
    # With what belonged to them when they were the Transpose attack's: models in older caches are still found.
    of_transpose = {"name": "transpose", "on_device": True, "memory_lr": origin.plan.recipe.memory_lr}
    infection = origin.plan.infection
    settings["host"] = {**infection.training.settings(), **of_transpose, "stolen": infection.stolen}
  return settings


def host_model(origin: Origin, seed: int) -> Params:
  """The model that images are hidden in: trained on its task, from weights and batches of its own."""
  return _trained(origin, seed, "init", "host", "a model to hide codes in")


def clean_model(origin: Origin, seed: int) -> Params:
  """The control that was never infected: same training, weights and batches of its own."""
  return _trained(origin, seed, "clean init", "clean", "the clean control")


def describe_attack(origin: Origin, attack: Attack) -> dict[str, Any]:
  """An attack's settings, and which codec it was given, as JSON."""
  settings, info = attack.settings(), ATTACKS[attack.name]
  if info.source:
    settings |= {"source": info.source}
  if info.family.needs_codec:
    assert origin.coding is not None
    settings |= {"codec_sha256": origin.coding.digest}
  return settings


def _trained(origin: Origin, seed: int, init: str, name: str, title: str) -> Params:
  """A model trained on its task alone."""
  training, network = origin.plan.infection.training, origin.plan.network

  def make() -> dict[str, Any]:
    params = origin.draw(key_of(seed, init))
    schedule = np.outer(training.task_lr * training.time_shape(), np.ones(len(network.layers)))
    with phase(f"training {title}", training.steps) as on_steps:
      population = finetune(
        params,
        schedule[None],
        origin.train,
        key_of(seed, name),
        Finetuning(
          Member(network, "adam", training.label_smoothing),
          training.batch_size,
          training.augment,
          mesh=member_mesh(jax.local_devices()[:1]),
        ),
        on_steps=on_steps,
      )
    return {"params": jax.tree.map(lambda leaf: leaf[0], population.params)}

  tree = _cached(origin, {name: training.settings()}, seed, make, title)
  return jax.tree.map(jnp.asarray, tree["params"])


def _recipe(origin: Origin, settings: dict[str, Any], seed: int) -> dict[str, Any]:
  """Everything that a trained tree depends on."""
  return {
    "recipe": _RECIPE,
    "model": identity(origin.plan.model, origin.plan.data.image_shape, origin.plan.data.num_outputs),
    "data": origin.digest,
    "seed": seed,
    **settings,
    **numerics(),
  }


def _cached(
  origin: Origin, settings: dict[str, Any], seed: int, make: Callable[[], dict[str, Any]], what: str
) -> dict[str, Any]:
  """The trained tree, from the cache if everything that went into it is the same."""
  tree, found = cached_tree(_recipe(origin, settings, seed), make)
  if found:
    console.print(f"{what}: from the cache")
  return tree
