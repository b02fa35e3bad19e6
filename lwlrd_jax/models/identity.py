"""What identifies a network, beyond a name that may have meant another one before."""

import functools
import hashlib
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from lwlrd_jax.models import build_network
from lwlrd_jax.models.network import Network, Params, initial_rngs
from lwlrd_jax.models.own import load_own, versions_of
from lwlrd_jax.models.task import task_gradient
from lwlrd_jax.user.model_name import own_model

_BATCH = 2


def identity(model: str, image_shape: tuple[int, int, int], num_outputs: int) -> str:
  """A model's name; of one of a file also a hash of the file, and of all that the network computes.

  A layer may be imported from another file, and a width read from the environment: the text of the file is not enough.
  """
  own = own_model(model)
  if own is None:
    return model
  versions = versions_of(model)
  computed = _computed(model, versions, build_network(model, image_shape, num_outputs))
  return f"{own.name}-{versions[0]}-{computed}"


@functools.lru_cache(16)
def _computed(model: str, versions: tuple[str, ...], network: Network) -> str:
  """SHA-256 of the programs of a network: initial weights, outputs, a training step, the way back."""
  del versions  # what the answer holds for, with the network
  digest = hashlib.sha256()
  for _, constant in network.constants:
    what = repr((constant.on_host, constant.shape, constant.dtype)).encode()
    digest.update(hashlib.sha256(what + constant.data).digest())
  structure = (network.layers, network.depths, network.blocks, network.places, network.statistics, network.streams)
  digest.update(repr(structure).encode())
  for program in _programs(network, load_own(model)):
    digest.update(program.encode())
  return digest.hexdigest()


def _programs(network: Network, build: Callable[..., nnx.Module]) -> Iterator[str]:
  """StableHLO of all that is computed, with the numbers in it; functions' names are part of it."""
  key = jax.eval_shape(lambda: jax.random.key(0))

  def initial(key: jax.Array) -> Params:
    return network.tree_of(build(network.image_shape, network.num_outputs, rngs=initial_rngs(key)))

  def step(params: Params, images: jax.Array, labels: jax.Array, key: jax.Array) -> Any:
    return task_gradient(network, params, images, labels, 0.0, key=key)

  def backwards(params: Params, codes: jax.Array) -> Any:
    return jax.value_and_grad(lambda params: jnp.square(network.transpose(params, codes)).sum())(params)

  params, images = jax.eval_shape(initial, key), network.images(_BATCH)
  labels = jax.ShapeDtypeStruct((_BATCH,), jnp.int32)
  calls: list[tuple[Callable[..., Any], tuple[Any, ...]]] = [
    (initial, (key,)),
    (network.forward, (params, images)),
    (step, (params, images, labels, key)),
  ]
  if network.reversible:
    calls.append((backwards, (params, network.codes(_BATCH))))
  for call, arguments in calls:
    yield jax.jit(call).lower(*arguments).as_text()
