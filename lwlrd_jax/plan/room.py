"""What fits: where images are kept, and how many members are worked on at once."""

import math

import jax

from lwlrd_jax.engine.mapping import Strategy, default_strategy
from lwlrd_jax.engine.memory import free_memory
from lwlrd_jax.models.cost import activation_bytes
from lwlrd_jax.models.network import Network, Params
from lwlrd_jax.models.predict import CHUNK

# A wave that is done is safe on disk: on a CPU, which gains nothing from more members at once, waves are small.
_CPU_WAVE = 16
# Copies of a member's weights while it trains: weights, two moments, gradients, updates; in and out of a step.
_COPIES = 8
# Members measured side by side fill an accelerator; each holds what was stolen in so many versions, some of them twice.
_MEASURED, _VERSIONS = 8, 32


def streams(asked: str, size: int) -> bool:
  """Whether `size` bytes of training images stay on the host: `always`, `never`, or `auto`.

  `auto`: if they would fill more than half of the device's free memory, where that is known.
  """
  free = free_memory()
  return asked == "always" or (asked == "auto" and free is not None and size > free // 2)


def strategy_of(asked: Strategy | str, network: Network, params: Params, batch_size: int) -> Strategy:
  """How a device maps over members: what was asked for, `default_strategy` for `auto`."""
  return default_strategy(network, params, batch_size) if asked == "auto" else asked  # type: ignore[return-value]


def members_per_wave(network: Network, params: Params, batch_size: int, strategy: Strategy) -> int:
  """Members to train at once: as many as half of the free memory holds, at least 1; `params` may be shapes."""
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
  """Members to measure side by side: one on a CPU, elsewhere up to `_MEASURED`, in a quarter of the free memory."""
  if jax.default_backend() == "cpu":
    return 1
  images = _VERSIONS * stolen * math.prod(network.image_shape) * 4
  of_member = images + activation_bytes(network, params, CHUNK)
  return min(max((free_memory() or 0) // 4 // of_member, 1), _MEASURED)
