"""Layers with two directions: forwards with a bias, backwards through the same kernel without one.

The backward direction is the adjoint of the forward one's linear part (Amit, Levy, Mirsky, "Transpose Attack", NDSS
2024). Both are written as plain matrix products, convolutions included: under `vmap` over a population they become
batched matrix products, and inside a training loop they keep the speed they have outside of one, which XLA's
convolutions on CPUs do not.
"""

import abc

import jax
import jax.numpy as jnp
from flax import nnx

# He et al. 2015 (arXiv 1502.01852): keeps the scale of activations through ReLU layers, in the direction of the draw.
_KERNEL_INIT = nnx.initializers.he_normal()


def centre(images: jax.Array) -> jax.Array:
  """[0, 1] -> [-1, 1], MedMNIST's own normalisation.

  Uncentred pixels share a large mean: every gradient of the first layer then points along it, and a step at a large
  rate switches units off for good instead of changing what they see.
  """
  return 2 * images - 1


def uncentre(images: jax.Array) -> jax.Array:
  """[-1, 1] -> [0, 1], the inverse of `centre`."""
  return (images + 1) / 2


def halved(side: tuple[int, int]) -> tuple[int, int]:
  """Height and width after a layer of stride 2."""
  return (side[0] + 1) // 2, (side[1] + 1) // 2


class TwoWay(nnx.Module):
  """A model that runs backwards through the same kernels: images to logits f32[N, K], and codes f32[N, K] to images."""

  def transpose(self, codes: jax.Array) -> jax.Array:
    """Codes f32[N, K] -> images f32[N, H, W, C], not clipped."""
    return self.transpose_stages(codes)[-1]

  @abc.abstractmethod
  def transpose_stages(self, codes: jax.Array) -> tuple[jax.Array, ...]:
    """What each layer of the backward pass makes of codes f32[N, K], from the code's side on; the images last."""


class Dense(nnx.Module):
  """Fully connected layer: kernel f32[inputs, outputs], and perhaps a bias f32[outputs], used forwards only."""

  def __init__(
    self, inputs: int, outputs: int, *, init: nnx.Initializer = _KERNEL_INIT, biased: bool = True, rngs: nnx.Rngs
  ):
    self.kernel = nnx.Param(init(rngs.params(), (inputs, outputs), jnp.float32))
    if biased:
      self.bias = nnx.Param(jnp.zeros(outputs, jnp.float32))

  def __call__(self, x: jax.Array) -> jax.Array:
    """f32[..., inputs] -> f32[..., outputs]."""
    kernel = self.kernel[...]
    y = x.astype(kernel.dtype) @ kernel  # batch normalisation's output is float32 whatever the weights are
    return y + self.bias[...] if hasattr(self, "bias") else y

  def transpose(self, y: jax.Array) -> jax.Array:
    """f32[..., outputs] -> f32[..., inputs]."""
    return y @ self.kernel[...].T


class Conv(nnx.Module):
  """Convolution by a kernel f32[size, size, inputs, outputs], of odd size, with zero padding of half of it.

  It has no bias: a normalisation after it would take it away.
  """

  def __init__(self, inputs: int, outputs: int, *, size: int, stride: int = 1, rngs: nnx.Rngs):
    self.stride = stride
    self.kernel = nnx.Param(_KERNEL_INIT(rngs.params(), (size, size, inputs, outputs), jnp.float32))

  def __call__(self, x: jax.Array) -> jax.Array:
    """f32[N, H, W, inputs] -> f32[N, ceil(H / stride), ceil(W / stride), outputs]."""
    kernel = self.kernel[...]
    return convolve(x.astype(kernel.dtype), kernel, self.stride)

  def transpose(self, y: jax.Array, side: tuple[int, int]) -> jax.Array:
    """f32[N, ceil(H / stride), ceil(W / stride), outputs] -> f32[N, H, W, inputs], for side = (H, W)."""
    kernel = self.kernel[...]
    x = jax.ShapeDtypeStruct((len(y), *side, kernel.shape[2]), y.dtype)
    return jax.linear_transpose(lambda x: convolve(x, kernel, self.stride), x)(y)[0]


def convolve(x: jax.Array, kernel: jax.Array, stride: int) -> jax.Array:
  """What a `Conv` does to x f32[N, H, W, inputs], as a product with patches."""
  patches = jnp.concatenate(shifted(x, kernel.shape[0], stride), axis=-1)
  return patches @ kernel.reshape(-1, kernel.shape[-1])


def shifted(x: jax.Array, size: int, stride: int, padding: float = 0.0) -> list[jax.Array]:
  """What each place of a window of odd size sees as it moves over images f32[N, H, W, C], padded by half its size.

  Returns size * size times f32[N, ceil(H / stride), ceil(W / stride), C], row by row.
  """
  half = size // 2
  rows, columns = (-(-side // stride) for side in x.shape[1:3])
  x = jnp.pad(x, ((0, 0), (half, half), (half, half), (0, 0)), constant_values=padding)
  return [
    x[:, i : i + (rows - 1) * stride + 1 : stride, j : j + (columns - 1) * stride + 1 : stride]
    for i in range(size)
    for j in range(size)
  ]


class DownConv(nnx.Module):
  """4 x 4 convolution of stride 2 with one pixel of zero padding: halves each side, rounding up.

  A kernel of twice the stride meets every pixel of its adjoint's output equally often, so the backward direction makes
  no checkerboard. An odd side is padded by one more zero row or column at its end, which the adjoint cuts off again.
  """

  def __init__(self, inputs: int, outputs: int, *, rngs: nnx.Rngs):
    self.kernel = nnx.Param(_KERNEL_INIT(rngs.params(), (4, 4, inputs, outputs), jnp.float32))
    self.bias = nnx.Param(jnp.zeros(outputs, jnp.float32))

  def __call__(self, x: jax.Array) -> jax.Array:
    """f32[N, H, W, inputs] -> f32[N, ceil(H / 2), ceil(W / 2), outputs]."""
    return convolve_down(x, self.kernel[...]) + self.bias[...]

  def transpose(self, y: jax.Array, side: tuple[int, int]) -> jax.Array:
    """f32[N, ceil(H / 2), ceil(W / 2), outputs] -> f32[N, H, W, inputs], for side = (H, W)."""
    return _patches_adjoint(y @ _matrix(self.kernel[...]).T, side)


def convolve_down(x: jax.Array, kernel: jax.Array) -> jax.Array:
  """What a `DownConv` does to x f32[N, H, W, inputs], but for its bias, as a product with patches."""
  return _patches(x) @ _matrix(kernel)


def _matrix(kernel: jax.Array) -> jax.Array:
  """A kernel f32[4, 4, inputs, outputs] as f32[16 * inputs, outputs], rows in the order of `_patches`' columns."""
  _, _, inputs, outputs = kernel.shape
  blocks = kernel.reshape(2, 2, 2, 2, inputs, outputs).transpose(0, 2, 1, 3, 4, 5)
  return blocks.reshape(16 * inputs, outputs)


def _patches(x: jax.Array) -> jax.Array:
  """Every 4 x 4 patch at stride 2: f32[N, H, W, C] -> f32[N, ceil(H / 2), ceil(W / 2), 16 * C].

  Two by two pixels first become one with four times the channels; a patch is then two by two of those. That takes four
  slices instead of sixteen.
  """
  count, height, width, channels = x.shape
  rows, columns = (height + 1) // 2 + 1, (width + 1) // 2 + 1
  x = jnp.pad(x, ((0, 0), (1, 2 * rows - 1 - height), (1, 2 * columns - 1 - width), (0, 0)))
  blocks = x.reshape(count, rows, 2, columns, 2, channels).transpose(0, 1, 3, 2, 4, 5)
  blocks = blocks.reshape(count, rows, columns, 4 * channels)
  corners = [blocks[:, i : rows - 1 + i, j : columns - 1 + j] for i in (0, 1) for j in (0, 1)]
  return jnp.concatenate(corners, axis=-1)


def _patches_adjoint(patches: jax.Array, side: tuple[int, int]) -> jax.Array:
  """Adds overlapping patches up: the adjoint of `_patches` for images of the given (H, W)."""
  count, out_rows, out_columns, depth = patches.shape
  rows, columns, channels = out_rows + 1, out_columns + 1, depth // 16
  corners = jnp.split(patches, 4, axis=-1)
  placed = [
    jnp.pad(corner, ((0, 0), (i, 1 - i), (j, 1 - j), (0, 0)))
    for corner, (i, j) in zip(corners, ((0, 0), (0, 1), (1, 0), (1, 1)), strict=True)
  ]
  blocks = sum(placed[1:], start=placed[0]).reshape(count, rows, columns, 2, 2, channels)
  x = blocks.transpose(0, 1, 3, 2, 4, 5).reshape(count, 2 * rows, 2 * columns, channels)
  return x[:, 1 : 1 + side[0], 1 : 1 + side[1]]
