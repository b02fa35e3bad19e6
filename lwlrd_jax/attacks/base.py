"""What an attack is."""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp

from lwlrd_jax.data.device import DeviceSplit
from lwlrd_jax.models.network import Network, Params


class Infected(NamedTuple):
  """A model that carries stolen images, and what the thief keeps to read them.

  Attributes:
    params: The weights that leave the data lake.
    secret: What stays with the thief: a tree of arrays.
    stolen: i32[S], the stolen images' positions in the training split.
  """

  params: Params
  secret: dict[str, Any]
  stolen: jax.Array


class Extraction(NamedTuple):
  """What a thief reads out of a model.

  Attributes:
    images: f32[S, H, W, C], raw.
    ber: f32[], bit error rate of the embedded code, 0.5 if nothing of it is left; NaN for attacks without one.
    exact: f32[], share of the images whose code arrives without an error; NaN likewise.
    labels: i32[S], classes, or u8[S, K], 1 for a finding: what the thief takes to be the images' labels.
    restored: f32[R, S, H, W, C] in [0, 1], what the thief's own restorations make of the images; R is 0 for a thief
      who has none.
  """

  images: jax.Array
  ber: jax.Array
  exact: jax.Array
  labels: jax.Array
  restored: jax.Array


def unrestored(images: jax.Array) -> jax.Array:
  """`Extraction.restored` of a thief without a restoration of his own."""
  return jnp.zeros((0, *images.shape), images.dtype)


class Attack(Protocol):
  """Hides training images in a model, and reads them back. Frozen and hashable: a static argument of `jax.jit`."""

  @property
  def name(self) -> str:
    """As in the results table's column `attack`."""
    ...

  @property
  def stolen(self) -> int:
    """How many images it takes."""
    ...

  @property
  def on_device(self) -> bool:
    """Whether `read` and `extract` can be jitted, and vmapped over params."""
    ...

  def infect(
    self,
    network: Network,
    params: Params,
    data: DeviceSplit,
    key: jax.Array,
    on_steps: Callable[[int], None] = lambda steps: None,
  ) -> Infected:
    """Trains or alters a model so that it does its task and carries images.

    Args:
      network: The model's structure.
      params: Its weights to start from.
      data: The training split.
      key: Random key.
      on_steps: Called with the number of training steps just finished.
    """
    ...

  def extract(self, network: Network, params: Params, secret: dict[str, Any]) -> jax.Array:
    """Reads the stolen images: f32[S, H, W, C], raw."""
    ...

  def read(self, network: Network, params: Params, secret: dict[str, Any]) -> Extraction:
    """Reads the stolen images, and how much of their code is wrong."""
    ...


def choose_stolen(data: DeviceSplit, count: int, key: jax.Array) -> jax.Array:
  """Which images an attack with this key steals, at random: i32[count]. Attacks of one seed steal the same ones.

  Raises:
    ValueError: More images to steal than there are.
  """
  if not 1 <= count <= len(data):
    raise ValueError(f"1 to {len(data)} training images can be stolen, not {count}")
  return jax.random.choice(jax.random.fold_in(key, 0), len(data), (count,), replace=False).astype(jnp.int32)
