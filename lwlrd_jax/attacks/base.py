"""What an attack is."""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import jax

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


class Attack(Protocol):
  """Hides training images in a model, and reads them back."""

  name: str

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
    """Reads the stolen images: f32[S, H, W, C], raw. Can be jitted, and vmapped over params."""
    ...
