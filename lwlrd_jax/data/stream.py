"""What training reads, a few steps at a time. Images that stay on the host are read ahead through Grain."""

import dataclasses
import math
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from lwlrd_jax.data.device import DeviceSplit
from lwlrd_jax.data.host_images import HostImages

Tree = TypeVar("Tree")

# Steps between two visits of the host: enough to hide the visit, few enough for a lively progress bar.
_STEPS_PER_CALL = 32
# Of images that are read ahead at a time. Up to five such portions exist at once, two of them on every device.
_PORTION_BYTES = 2**28
_AHEAD = 1
# A loop of a single step is compiled as something else, which rounds otherwise; none is made if it need not be.
_FEWEST_STEPS = 2


def steps_per_call(data: DeviceSplit, steps: int, examples: int) -> int:
  """How many of some steps, each of which reads so many examples, a compiled program does at a time, at least 1.

  The calls are of one length, but for the last. Of images on the host they read as many as make a portion, and take at
  least two steps.
  """
  most = _STEPS_PER_CALL
  if isinstance(data.images, HostImages):
    most = max(_FEWEST_STEPS, min(most, _PORTION_BYTES // (examples * math.prod(data.images.shape[1:]))))
  per_call = -(-steps // -(-steps // most))
  while per_call > _FEWEST_STEPS and steps % per_call == 1:
    per_call -= 1
  return per_call


def in_calls(plan: Tree, per_call: int, axis: int = 0) -> list[Tree]:
  """Cuts a tree of arrays, along an axis of steps, into what each of several calls is given."""

  def cut(first: int) -> Tree:
    last = min(first + per_call, steps)
    return jax.tree.map(lambda leaf: jax.lax.slice_in_dim(leaf, first, last, axis=axis), plan)

  steps = jax.tree.leaves(plan)[0].shape[axis]
  return [cut(first) for first in range(0, steps, per_call)]


def portions(
  data: DeviceSplit, positions: Sequence[jax.Array], sharding: jax.sharding.Sharding | None = None
) -> Iterator[tuple[DeviceSplit, jax.Array]]:
  """What each of several calls reads: a split, and positions i32[...] in it of the examples asked for.

  Positions of all calls but the last are of one shape. A split on the device is handed on as it is. Of one on the host,
  examples are read and copied to where `sharding` says, or the default device, while the call before runs.
  """
  if not isinstance(data.images, HostImages):
    if sharding is not None:
      data = jax.device_put(data, sharding)
    yield from ((data, of_call) for of_call in positions)
    return
  # Half a second that others need not spend.
  import grain  # noqa: PLC0415
  from grain import experimental  # noqa: PLC0415

  source = _Portions(data.images, np.asarray(data.labels), [np.asarray(of_call) for of_call in positions])
  # A single reading thread: memory is not read faster by several, and what is read must not pile up.
  options = grain.ReadOptions(num_threads=1, prefetch_buffer_size=_AHEAD)
  loader: Any = grain.MapDataset.source(source).to_iter_dataset(options)
  # Without a sharding they are on the default device without being bound to it, as what they train then is.
  loader = experimental.device_put(loader, sharding, cpu_buffer_size=_AHEAD, device_buffer_size=_AHEAD)
  for (images, labels), of_call in zip(loader, positions, strict=True):
    yield DeviceSplit(images, labels), jnp.arange(of_call.size, dtype=jnp.int32).reshape(of_call.shape)


@dataclasses.dataclass(frozen=True, eq=False)
class _Portions:
  """A Grain source of whole portions: images u8[M, H, W, C] and labels, in the order in which a call reads them."""

  images: HostImages
  labels: np.ndarray
  positions: list[np.ndarray]

  def __len__(self) -> int:
    return len(self.positions)

  def __getitem__(self, call: Any) -> tuple[np.ndarray, np.ndarray]:
    positions = self.positions[call].ravel()
    return self.images.read(positions), self.labels[positions]
