"""Images of a split that is too large for the device: they stay in the host's memory."""

import jax
import jax.numpy as jnp
import numpy as np


@jax.tree_util.register_static
class HostImages:
  """Images u8[N, H, W, C] on the host, read by position as an array on the device is, by compiled code as well.

  They are never written to; `order` i[M] says which of them these are, all if None. A compiled program waits for every
  read. What passes over all images once does that; training reads ahead instead (data/stream.py).
  """

  dtype = jnp.dtype(jnp.uint8)

  def __init__(self, images: np.ndarray, order: np.ndarray | None = None):
    self._images = images
    self._order = order

  def __len__(self) -> int:
    return len(self._images if self._order is None else self._order)

  @property
  def shape(self) -> tuple[int, ...]:
    """(N, H, W, C)."""
    return (len(self), *self._images.shape[1:])

  def read(self, positions: np.ndarray) -> np.ndarray:
    """i[...] -> u8[..., H, W, C], on the host."""
    positions = np.asarray(positions)
    return self._images[positions if self._order is None else self._order[positions]]

  def subset(self, positions: np.ndarray) -> "HostImages":
    """Some of them, not copied: i[M]."""
    return HostImages(self._images, positions if self._order is None else self._order[positions])

  def __getitem__(self, positions: jax.Array | np.ndarray | slice) -> jax.Array:
    """i[...] -> u8[..., H, W, C]."""
    if isinstance(positions, slice):
      positions = np.arange(len(self))[positions]
    if not isinstance(positions, jax.core.Tracer):
      return jnp.asarray(self.read(np.asarray(positions)))
    shape = jax.ShapeDtypeStruct((*positions.shape, *self.shape[1:]), self.dtype)
    return jax.pure_callback(self.read, shape, positions, vmap_method="broadcast_all")
