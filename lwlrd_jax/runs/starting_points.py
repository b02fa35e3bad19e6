"""The models a sweep starts from: one infected, one that never was. Trained once, then read from the cache."""

import dataclasses
import hashlib
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lwlrd_jax.attacks.base import Infected
from lwlrd_jax.attacks.transpose import Transpose
from lwlrd_jax.data import Dataset
from lwlrd_jax.data.device import DeviceSplit
from lwlrd_jax.engine.member import Member
from lwlrd_jax.engine.population import finetune, member_mesh
from lwlrd_jax.models import build_model, build_network
from lwlrd_jax.models.network import Params
from lwlrd_jax.runs.cache import cached_tree
from lwlrd_jax.runs.describe import environment
from lwlrd_jax.runs.progress import console, phase

# Of the models and their training. Raised with every change that makes an older cached model a wrong one.
_RECIPE = 1
# What each random number of a seed is for. Numbers are only ever added.
_INIT, _INFECT, _CLEAN_INIT, _CLEAN, _FINETUNE = range(5)


def finetune_key(seed: int) -> jax.Array:
  """Key of the batches that every member started from this seed is fine-tuned on."""
  return jax.random.fold_in(jax.random.key(seed), _FINETUNE)


def data_digest(data: Dataset) -> str:
  """SHA-256 of a data set's images and labels, of all splits."""
  digest = hashlib.sha256()
  for split in (data.train, data.val, data.test):
    for array in (split.images, split.labels):
      digest.update(str((array.shape, array.dtype)).encode())
      digest.update(np.ascontiguousarray(array).tobytes())
  return digest.hexdigest()


def check_capacity(attack: Transpose, model: str, data: Dataset, train: DeviceSplit, seed: int) -> None:
  """Raises ValueError if the attack cannot number the images it would steal."""
  network = build_network(model, data.image_shape, data.num_outputs)
  attack.choose(network, train, _choice_key(seed))


def infected_model(
  attack: Transpose, model: str, data: Dataset, train: DeviceSplit, seed: int, digest: str
) -> Infected:
  """The model that the attack hid images in."""
  key = jax.random.key(seed)

  def make() -> dict[str, Any]:
    network, params = build_model(model, data.image_shape, data.num_outputs, jax.random.fold_in(key, _INIT))
    with phase(f"infecting ({attack.name}, {attack.stolen} images)", attack.steps) as on_steps:
      infected = attack.infect(network, params, train, jax.random.fold_in(key, _INFECT), on_steps)
    return infected._asdict()

  tree = _cached({"attack": dataclasses.asdict(attack)}, model, digest, seed, make, "infected model")
  return Infected(**jax.tree.map(jnp.asarray, tree))


def clean_model(attack: Transpose, model: str, data: Dataset, train: DeviceSplit, seed: int, digest: str) -> Params:
  """A model trained as the infected one but for the memory: same recipe and steps, weights and batches of its own."""
  key = jax.random.key(seed)

  def make() -> dict[str, Any]:
    network, params = build_model(model, data.image_shape, data.num_outputs, jax.random.fold_in(key, _CLEAN_INIT))
    schedule = np.outer(attack.task_lr * attack.time_shape(), np.ones(len(network.layers)))
    member = Member(network, "adam", attack.label_smoothing)
    with phase("training the clean control", attack.steps) as on_steps:
      population = finetune(
        params,
        schedule[None],
        train,
        jax.random.fold_in(key, _CLEAN),
        member=member,
        batch_size=attack.batch_size,
        mesh=member_mesh(jax.local_devices()[:1]),
        on_steps=on_steps,
      )
    return {"params": jax.tree.map(lambda leaf: leaf[0], population.params)}

  settings = {name: getattr(attack, name) for name in ("steps", "batch_size", "task_lr", "label_smoothing")}
  shape = {"warmup": attack.warmup, "cooldown": attack.cooldown}
  tree = _cached({"clean": {**settings, **shape}}, model, digest, seed, make, "clean control")
  return jax.tree.map(jnp.asarray, tree["params"])


def _choice_key(seed: int) -> jax.Array:
  return jax.random.fold_in(jax.random.key(seed), _INFECT)


def _cached(
  settings: dict[str, Any], model: str, digest: str, seed: int, make: Callable[[], dict[str, Any]], what: str
) -> dict[str, Any]:
  """The trained tree, from the cache if everything that went into it is the same."""
  now = environment()
  versions = {name: now["versions"][name] for name in ("jax", "jaxlib", "flax", "optax")}
  numerics = {"platform": now["device"]["platform"], "precision": now["matmul_precision"]}
  recipe = {"recipe": _RECIPE, "model": model, "data": digest, "seed": seed, **settings, **versions, **numerics}
  tree, found = cached_tree(recipe, make)
  if found:
    console.print(f"{what}: from the cache")
  return tree
