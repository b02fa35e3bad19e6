"""Building blocks of the learned codec: a linear transform of blocks of pixels, and layers of the networks beside it.

The transform starts as JPEG's: from random weights alone, a codec is behind JPEG for many more steps.
"""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from lwlrd_jax.models.architectures.layers import Dense, DownConv

# Luma, blue against yellow, red against green: the orthonormal form of JPEG's colours.
_COLOURS = np.array([[1, 1, 1], [-1, -1, 2], [1, -1, 0]]) / np.sqrt([[3], [6], [2]])


class BlockTransform(nnx.Module):
  """Blocks of b x b pixels -> M numbers each, and back; f32[b * b * C, M] weights, cosine patterns at first."""

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

  Ahmed, Natarajan and Rao 1974, "Discrete Cosine Transform". Three channels are taken as red, green and blue, any other
  number as unrelated. Columns of f32[block * block * channels, count] are orthonormal; zeros beyond their length.
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


class UpConv(DownConv):
  """The adjoint of a 4 x 4 convolution of stride 2, with that one's kernel, and with a bias: doubles each side."""

  def __init__(self, inputs: int, outputs: int, *, rngs: nnx.Rngs):
    super().__init__(outputs, inputs, rngs=rngs)
    scale = (2 / (4 * inputs)) ** 0.5  # He's, for the 2 x 2 kernel entries of each input that an output pixel sums
    self.kernel = nnx.Param(scale * jax.random.normal(rngs.params(), (4, 4, outputs, inputs), jnp.float32))
    self.bias = nnx.Param(jnp.zeros(outputs, jnp.float32))

  def __call__(self, x: jax.Array, side: tuple[int, int]) -> jax.Array:  # type: ignore[override]
    """f32[N, ceil(H / 2), ceil(W / 2), inputs] -> f32[N, H, W, outputs], for side = (H, W)."""
    return self.transpose(x, side) + self.bias[...]


class Depthwise(nnx.Module):
  """3 x 3 convolution of each channel by itself, zero padded, the identity at first.

  Nine shifted products, which XLA fuses into one loop.
  """

  def __init__(self, channels: int):
    self.kernel = nnx.Param(jnp.zeros((3, 3, channels), jnp.float32).at[1, 1].set(1))

  def __call__(self, x: jax.Array) -> jax.Array:
    """f32[N, H, W, channels], the same out."""
    _, height, width, _ = x.shape
    padded = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    kernel = self.kernel[...]
    shifted = [padded[:, i : i + height, j : j + width] * kernel[i, j] for i in range(3) for j in range(3)]
    return sum(shifted[1:], start=shifted[0])


class Residual(nnx.Module):
  """x + a two-layer network of each pixel's 3 x 3 surroundings: depthwise, then 1 x 1 (Liu et al. 2022, 2201.03545)."""

  def __init__(self, channels: int, *, rngs: nnx.Rngs):
    self.around = Depthwise(channels)
    self.expand = Dense(channels, 2 * channels, rngs=rngs)
    self.reduce = Dense(2 * channels, channels, rngs=rngs)
    # Starts as the identity: a deep stack then trains from the first step on.
    self.reduce.kernel[...] = 0.1 * self.reduce.kernel[...]

  def __call__(self, x: jax.Array) -> jax.Array:
    """f32[N, H, W, channels], the same out."""
    # One row per pixel: XLA on CPUs takes twice as long over the same product with three leading axes.
    pixels = self.around(x).reshape(-1, x.shape[-1])
    return x + self.reduce(nnx.leaky_relu(self.expand(pixels))).reshape(x.shape)
