"""A linear transform of blocks of pixels, which starts as the cosine transform of JPEG.

The networks beside it only have to learn what a linear transform cannot do: from random weights alone, a codec is
behind JPEG for many more steps.
"""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

# Luma, blue against yellow, red against green: the orthonormal form of JPEG's colours.
_COLOURS = np.array([[1, 1, 1], [-1, -1, 2], [1, -1, 0]]) / np.sqrt([[3], [6], [2]])


class BlockTransform(nnx.Module):
  """Blocks of b x b pixels -> M numbers each, and back.

  Attributes:
    kernel: f32[b * b * C, M], the M smoothest orthonormal cosine patterns at first.
  """

  def __init__(self, block: int, channels: int, outputs: int):
    self.block = block
    self.channels = channels
    self.kernel = nnx.Param(jnp.asarray(cosine_patterns(block, channels, outputs)))

  def __call__(self, x: jax.Array) -> jax.Array:
    """f32[N, H, W, C] -> f32[N, ceil(H / b), ceil(W / b), M]; zeros fill incomplete blocks."""
    count, height, width, channels = x.shape
    b, rows, columns = self.block, -(-height // self.block), -(-width // self.block)
    x = jnp.pad(x, ((0, 0), (0, rows * b - height), (0, columns * b - width), (0, 0)))
    blocks = x.reshape(count, rows, b, columns, b, channels).transpose(0, 1, 3, 2, 4, 5)
    return blocks.reshape(count, rows, columns, b * b * channels) @ self.kernel[...]

  def transpose(self, y: jax.Array, side: tuple[int, int]) -> jax.Array:
    """f32[N, ceil(H / b), ceil(W / b), M] -> f32[N, H, W, C], for side = (H, W): the adjoint."""
    count, rows, columns, _ = y.shape
    b = self.block
    blocks = (y @ self.kernel[...].T).reshape(count, rows, columns, b, b, self.channels).transpose(0, 1, 3, 2, 4, 5)
    return blocks.reshape(count, rows * b, columns * b, self.channels)[:, : side[0], : side[1]]


def cosine_patterns(block: int, channels: int, count: int) -> np.ndarray:
  """The smoothest patterns of the two-dimensional DCT-II, colour differences counted as rougher than brightness.

  Ahmed, Natarajan and Rao 1974, "Discrete Cosine Transform".

  Args:
    block: b, pixels on a side.
    channels: C; three are taken as red, green and blue, any other number as unrelated.
    count: M.

  Returns:
    f32[b * b * C, M], orthonormal columns; zeros where M exceeds b * b * C.
  """
  position, frequency = np.arange(block) + 0.5, np.arange(block)
  cosine = np.cos(np.pi * np.outer(frequency, position) / block) * np.sqrt(2 / block)
  cosine[0] /= np.sqrt(2)
  colours = _COLOURS if channels == 3 else np.eye(channels)
  patterns = np.einsum("ay,bx,kc->abkyxc", cosine, cosine, colours).reshape(block * block * channels, -1)
  roughness = np.hypot(*np.meshgrid(frequency, frequency, indexing="ij"))[..., None] + 0.1
  cost = np.repeat(roughness, channels, axis=-1) * np.where(np.arange(channels) * (channels == 3) > 0, 2.5, 1)
  kernel = np.zeros((block * block * channels, count), np.float32)
  smoothest = np.argsort(cost.ravel(), kind="stable")[:count]
  kernel[:, : len(smoothest)] = patterns[smoothest].T
  return kernel
