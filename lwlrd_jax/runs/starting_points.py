"""The models a sweep starts from: infected ones, and one that never was. Trained once, then read from the cache."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lwlrd_jax import processes
from lwlrd_jax.attacks.base import Attack, Infected
from lwlrd_jax.attacks.dec.attack import DEC
from lwlrd_jax.attacks.transpose import Transpose
from lwlrd_jax.data import Dataset
from lwlrd_jax.data.device import DeviceSplit
from lwlrd_jax.engine.mapping import Strategy
from lwlrd_jax.engine.member import Member
from lwlrd_jax.engine.population import finetune, member_mesh
from lwlrd_jax.errors import UserError
from lwlrd_jax.model_name import short_name
from lwlrd_jax.models import build_model
from lwlrd_jax.models.identity import identity
from lwlrd_jax.models.network import Params
from lwlrd_jax.progress import console, phase
from lwlrd_jax.runs.cache import arrays_digest, cached_tree, is_cached, numerics
from lwlrd_jax.runs.codec import Coding

# Of the models and their training. Raised with every change that makes an older cached model a wrong one.
_RECIPE = 3
# What each random number of a seed is for. Numbers are only ever added.
_INIT, _INFECT, _CLEAN_INIT, _CLEAN, _FINETUNE, _HOST, _FINISH, _SHARE, _NOISE = range(9)


def finetune_key(seed: int) -> jax.Array:
  """Key of the batches that every member started from this seed is fine-tuned on."""
  return jax.random.fold_in(jax.random.key(seed), _FINETUNE)


def finish_key(seed: int) -> jax.Array:
  """Key of the steps on the weights, of this seed."""
  return jax.random.fold_in(jax.random.key(seed), _FINISH)


def share_key(seed: int) -> jax.Array:
  """Key of the share of the training split that fine-tuning sees, of this seed."""
  return jax.random.fold_in(jax.random.key(seed), _SHARE)


def noise_key(seed: int) -> jax.Array:
  """Key of the images of noise that stand beside the stolen ones, of this seed."""
  return jax.random.fold_in(jax.random.key(seed), _NOISE)


def data_digest(data: Dataset) -> str:
  """SHA-256 of a data set's images and labels, of all splits."""
  return arrays_digest(
    *(array for split in (data.train, data.val, data.test) for array in (split.images, split.labels))
  )


@dataclasses.dataclass(frozen=True, eq=False)
class Origin:
  """What all starting points of a sweep share.

  Attributes:
    model: Name of the network.
    data: The data set.
    train: Its training split, on the device.
    public: Images of the same kind that a thief may have from elsewhere: its validation split.
    digest: Its `data_digest`.
    recipe: How models are trained on their task: by the Transpose attack's settings, but for the memory.
    coding: How the DEC attack turns images into bits; None without that attack.
  """

  model: str
  data: Dataset
  train: DeviceSplit
  public: DeviceSplit
  digest: str
  recipe: Transpose
  coding: Coding | None

  def build(self, key: jax.Array):
    """A network and its first weights."""
    return build_model(self.model, self.data.image_shape, self.data.num_outputs, key)


def check_capacity(origin: Origin, attack: Attack, seed: int) -> None:
  """Refuses what an attack could not carry.

  Raises:
    UserError: It cannot number the images, or not hide them.
  """
  key = jax.random.fold_in(jax.random.key(seed), _INFECT)
  network, params = origin.build(jax.random.key(0))
  try:
    if isinstance(attack, Transpose):
      try:
        attack.hide(network, origin.train, key, origin.public)
      except ValueError as error:
        raise ValueError(f"{attack.name}: {error}") from error
    elif isinstance(attack, DEC):
      assert origin.coding is not None
      payload = attack.payload(network, origin.train, key, origin.coding.weights)[1]
      needed, room = (
        attack.needed(network, origin.train, len(payload)),
        attack.carrier.capacity(network, params, origin.train),
      )
      if needed > room:
        numbers = attack.carrier.sends_numbers
        sizes = [f"{size:,} weights" if numbers else f"{size / 8e3:,.1f} kB" for size in (needed, room)]
        least = "" if origin.coding.trained else "at least "
        raise ValueError(
          f"the payload of {attack.name} takes {least}{sizes[0]}, its carrier in this {short_name(origin.model)} holds "
          f"{sizes[1]}; allowed: about {int(origin.recipe.stolen * room / needed)} images, or another attack"
        )
  except ValueError as error:
    # Some attacks take a share of what they are told to.
    raise UserError(f"--stolen {origin.recipe.stolen}: {error}") from error


def infected_models(origin: Origin, attack: Attack, seeds: Sequence[int], strategy: Strategy) -> list[Infected]:
  """The models that an attack hid images in, one a seed. Of several processes the first makes them for all.

  Args:
    origin: What they start from.
    attack: What hides them.
    seeds: Of infections.
    strategy: How a device maps over seeds.
  """

  def make() -> dict[str, Any]:
    trees = _infected_trees(origin, attack, seeds, strategy)
    return {str(seed): tree for seed, tree in zip(seeds, trees, strict=True)}

  trees = processes.from_first(make)
  return [Infected(**jax.tree.map(jnp.asarray, trees[str(seed)])) for seed in seeds]


def _infected_trees(origin: Origin, attack: Attack, seeds: Sequence[int], strategy: Strategy) -> list[dict[str, Any]]:
  """Transpose trains those that are missing in the cache together."""
  settings = _infection_settings(origin, attack)
  if isinstance(attack, DEC):
    return [_infected_by_dec(origin, attack, settings, seed) for seed in seeds]
  assert isinstance(attack, Transpose)
  missing = [seed for seed in seeds if not is_cached(_recipe(origin, settings, seed))]
  trained: dict[int, Infected] = {}
  if missing:
    keys = [jax.random.key(seed) for seed in missing]
    built = [origin.build(jax.random.fold_in(key, _INIT)) for key in keys]
    title = f"infecting ({attack.name}, {attack.stolen} images)"
    with phase(title, attack.steps, members=len(missing)) as on_steps:
      infected = attack.infect_all(
        built[0][0],
        [params for _, params in built],
        origin.train,
        [jax.random.fold_in(key, _INFECT) for key in keys],
        on_steps,
        public=origin.public,
        strategy=strategy,
      )
    trained = dict(zip(missing, infected, strict=True))
  what = f"infected model ({attack.name})"

  def tree_of(seed: int) -> dict[str, Any]:
    return _cached(origin, settings, seed, lambda: dict(trained[seed]._asdict()), what)

  return [tree_of(seed) for seed in seeds]


def _infected_by_dec(origin: Origin, attack: DEC, settings: dict[str, Any], seed: int) -> dict[str, Any]:
  key = jax.random.key(seed)

  def make() -> dict[str, Any]:
    assert origin.coding is not None
    network, _ = origin.build(key)
    host = host_model(origin, seed)
    title = f"infecting ({attack.name}, {attack.stolen} images)"
    try:
      with phase(title, getattr(attack.carrier, "steps", 1)) as on_steps:
        infected = attack.infect(
          network, host, origin.train, jax.random.fold_in(key, _INFECT), on_steps, codec=origin.coding.weights
        )
    except ValueError as error:
      raise UserError(f"--attacks: {attack.name}: {error}") from error
    return infected._asdict()

  return _cached(origin, settings, seed, make, f"infected model ({attack.name})")


def _infection_settings(origin: Origin, attack: Attack) -> dict[str, Any]:
  settings: dict[str, Any] = {"attack": describe_attack(origin, attack)}
  if isinstance(attack, DEC):
    settings["host"] = _settings_of(origin.recipe)
  return settings


def host_model(origin: Origin, seed: int) -> Params:
  """The model that DEC hides images in: trained on its task, from weights and batches of its own."""
  return _trained(origin, seed, _INIT, _HOST, "host", "a model to hide codes in")


def clean_model(origin: Origin, seed: int) -> Params:
  """The control that was never infected: same recipe and steps, weights and batches of its own."""
  return _trained(origin, seed, _CLEAN_INIT, _CLEAN, "clean", "the clean control")


def describe_attack(origin: Origin, attack: Attack) -> dict[str, Any]:
  """An attack's settings, as JSON."""
  if isinstance(attack, Transpose):
    return _settings_of(attack)
  assert isinstance(attack, DEC)
  assert origin.coding is not None
  code: dict[str, Any] = {"kind": type(attack.code).__name__, "codec_id": attack.code.codec_id}
  if hasattr(attack.code, "table"):
    code["bits_per_image"] = attack.code.table.bits_per_image
  if hasattr(attack.code, "codec") and hasattr(attack.code.codec, "quality"):
    code["quality"] = attack.code.codec.quality
  return {
    "name": attack.name,
    "stolen": attack.stolen,
    "carrier": {"name": attack.carrier.name, **vars(attack.carrier)},
    "code": code,
    "redundancy": attack.redundancy.name,
    "internal": attack.internal,
    "codec_sha256": origin.coding.digest,
  }


def _settings_of(attack: Transpose) -> dict[str, Any]:
  """Of training. That nothing is augmented goes without saying: models older than augmentation stay what they are."""
  settings = dataclasses.asdict(attack)
  return {name: value for name, value in settings.items() if (name, value) != ("augment", "none")}


def _trained(origin: Origin, seed: int, init: int, batches: int, name: str, title: str) -> Params:
  """A model trained on its task alone."""
  key, recipe = jax.random.key(seed), origin.recipe

  def make() -> dict[str, Any]:
    network, params = origin.build(jax.random.fold_in(key, init))
    schedule = np.outer(recipe.task_lr * recipe.time_shape(), np.ones(len(network.layers)))
    with phase(f"training {title}", recipe.steps) as on_steps:
      population = finetune(
        params,
        schedule[None],
        origin.train,
        jax.random.fold_in(key, batches),
        member=Member(network, "adam", recipe.label_smoothing),
        batch_size=recipe.batch_size,
        augment=recipe.augment,
        mesh=member_mesh(jax.local_devices()[:1]),
        on_steps=on_steps,
      )
    return {"params": jax.tree.map(lambda leaf: leaf[0], population.params)}

  of_task = ("steps", "batch_size", "task_lr", "label_smoothing", "warmup", "cooldown", "augment")
  settings = {name: value for name, value in _settings_of(recipe).items() if name in of_task}
  tree = _cached(origin, {name: settings}, seed, make, title)
  return jax.tree.map(jnp.asarray, tree["params"])


def _recipe(origin: Origin, settings: dict[str, Any], seed: int) -> dict[str, Any]:
  """Everything that a trained tree depends on."""
  return {
    "recipe": _RECIPE,
    "model": identity(origin.model, origin.data.image_shape, origin.data.num_outputs),
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
