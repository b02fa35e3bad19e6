"""Building blocks of the learned codec."""

import jax
import jax.numpy as jnp
from flax import nnx

from lwlrd_jax.models.architectures.layers import Dense, DownConv


class UpConv(DownConv):
  """The adjoint of a 4 x 4 convolution of stride 2, with a bias: doubles each side.

  Attributes:
    kernel: f32[4, 4, outputs, inputs], that of the convolution it is the adjoint of.
    bias: f32[outputs].
  """

  def __init__(self, inputs: int, outputs: int, *, rngs: nnx.Rngs):
    super().__init__(outputs, inputs, rngs=rngs)
    # Each output pixel sums 2 x 2 kernel entries of every input channel: He's scale for that fan-in.
    scale = (2 / (4 * inputs)) ** 0.5
    self.kernel = nnx.Param(scale * jax.random.normal(rngs.params(), (4, 4, outputs, inputs), jnp.float32))
    self.bias = nnx.Param(jnp.zeros(outputs, jnp.float32))

  def __call__(self, x: jax.Array, side: tuple[int, int]) -> jax.Array:  # type: ignore[override]
    """f32[N, ceil(H / 2), ceil(W / 2), inputs] -> f32[N, H, W, outputs], for side = (H, W)."""
    return self.transpose(x, side) + self.bias[...]


class Depthwise(nnx.Module):
  """3 x 3 convolution of each channel by itself, zero padded: nine shifted products, which XLA fuses into one loop.

  Attributes:
    kernel: f32[3, 3, channels], the identity at first.
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
