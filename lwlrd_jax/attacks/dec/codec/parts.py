"""The parts of the learned codec: analysis, synthesis, the same pair for its side information, and a prior of that."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from lwlrd_jax.attacks.dec.codec.blocks import BlockTransform, Residual, UpConv
from lwlrd_jax.models.architectures.layers import Dense, DownConv, centre, uncentre

# Latents are rounded to whole numbers. Networks like values around 1; this many quantisation steps stand for 1.
LATENT_GAIN = 8.0
_FIRST_SHARE = 0.1  # the networks start as small corrections of the linear transform
# Smallest standard deviation of a latent, as in Balle et al. 2018: narrower ones round to 0 anyway.
MIN_SCALE = 0.11
HYPER_LATENTS = 8  # Z, channels of the side information
_HYPER_WIDTH = 32  # those of the networks around it
_MIXTURE = 3
_SCALE_SHIFT = 2.0  # scales start below the networks' first outputs

Side = tuple[int, int]


class Analysis(nnx.Module):
  """Images of C channels -> latents of M: halves the side once per entry of `widths`, the channels after it."""

  def __init__(self, channels: int, widths: tuple[int, ...], latents: int, *, rngs: nnx.Rngs):
    self.stages = len(widths)
    for stage, (inputs, outputs) in enumerate(zip((channels, *widths), widths, strict=False)):
      setattr(self, f"down{stage}", DownConv(inputs, outputs, rngs=rngs))
    self.residual = Residual(widths[-1], rngs=rngs)
    self.head = Dense(widths[-1], latents, rngs=rngs)
    self.head.kernel[...] = _FIRST_SHARE * self.head.kernel[...]
    self.linear = BlockTransform(2**self.stages, channels, latents)

  def __call__(self, images: jax.Array) -> jax.Array:
    """f32[N, H, W, C] in [0, 1] -> f32[N, h, w, M]."""
    x = centre(images)
    linear = self.linear(x)
    for stage in range(self.stages):
      x = nnx.leaky_relu(getattr(self, f"down{stage}")(x))
    return LATENT_GAIN * (linear + self.head(self.residual(x)))


class Synthesis(nnx.Module):
  """Latents of M channels -> images of C: `sides` are (H, W) after each doubling, `widths` the channels before it."""

  def __init__(self, sides: tuple[Side, ...], channels: int, widths: tuple[int, ...], latents: int, *, rngs: nnx.Rngs):
    self.sides = sides
    self.head = Dense(latents, widths[0], rngs=rngs)
    for stage, (inputs, outputs) in enumerate(zip(widths, (*widths[1:], channels), strict=True)):
      setattr(self, f"residual{stage}", Residual(inputs, rngs=rngs))
      setattr(self, f"up{stage}", UpConv(inputs, outputs, rngs=rngs))
    last = getattr(self, f"up{len(widths) - 1}")
    last.kernel[...] = _FIRST_SHARE * last.kernel[...]
    self.linear = BlockTransform(2 ** len(widths), channels, latents)

  def __call__(self, latents: jax.Array) -> jax.Array:
    """f32[N, h, w, M] -> f32[N, H, W, C], not clipped."""
    latents = latents / LATENT_GAIN
    x = self.head(latents)
    for stage, side in enumerate(self.sides):
      x = getattr(self, f"residual{stage}")(x if stage == 0 else nnx.leaky_relu(x))
      x = getattr(self, f"up{stage}")(x, side)
    return uncentre(x + self.linear.transpose(latents, self.sides[-1]))


class HyperAnalysis(nnx.Module):
  """Latents -> side information at half their side."""

  def __init__(self, latents: int, *, rngs: nnx.Rngs):
    self.mix = Dense(latents, _HYPER_WIDTH, rngs=rngs)
    self.down = DownConv(_HYPER_WIDTH, _HYPER_WIDTH, rngs=rngs)
    self.head = Dense(_HYPER_WIDTH, HYPER_LATENTS, rngs=rngs)

  def __call__(self, latents: jax.Array) -> jax.Array:
    """f32[N, h, w, M] -> f32[N, ceil(h / 2), ceil(w / 2), Z]."""
    x = nnx.leaky_relu(self.mix(latents / LATENT_GAIN))
    return LATENT_GAIN * self.head(nnx.leaky_relu(self.down(x)))


class HyperSynthesis(nnx.Module):
  """Side information -> mean and scale of each latent.

  Medical images are framed alike, so what to expect differs by position: each has biases of its own.
  """

  def __init__(self, side: Side, block: int, latents: int, *, rngs: nnx.Rngs):
    self.side = side
    self.mix = Dense(HYPER_LATENTS, _HYPER_WIDTH, rngs=rngs)
    self.up = UpConv(_HYPER_WIDTH, _HYPER_WIDTH, rngs=rngs)
    self.head = Dense(_HYPER_WIDTH, 2 * latents, rngs=rngs)
    scales = np.log(np.expm1(first_scales(block, latents) / LATENT_GAIN)) + _SCALE_SHIFT  # inverse of softplus
    first = np.concatenate([np.zeros(latents), scales]).astype(np.float32)
    self.position = nnx.Param(jnp.broadcast_to(jnp.asarray(first), (*side, 2 * latents)))

  def __call__(self, hyper_latents: jax.Array) -> tuple[jax.Array, jax.Array]:
    """f32[N, ceil(h / 2), ceil(w / 2), Z] -> means and standard deviations, f32[N, h, w, M] each."""
    x = nnx.leaky_relu(self.mix(hyper_latents / LATENT_GAIN))
    x = self.head(nnx.leaky_relu(self.up(x, self.side))) + self.position[...]
    mean, scale = jnp.split(x, 2, axis=-1)
    return LATENT_GAIN * mean, MIN_SCALE + LATENT_GAIN * nnx.softplus(scale - _SCALE_SHIFT)


class Prior(nnx.Module):
  """Distribution of the side information: a mixture of three logistics for each channel, alike at all positions."""

  def __init__(self):
    shape = (_MIXTURE, HYPER_LATENTS)
    spread = jnp.linspace(-2, 1, _MIXTURE, dtype=jnp.float32)[:, None]  # logistics of different widths around 0
    self.weights = nnx.Param(jnp.zeros(shape, jnp.float32))
    self.means = nnx.Param(jnp.zeros(shape, jnp.float32))
    self.scales = nnx.Param(jnp.broadcast_to(spread, shape))

  def __call__(self, values: jax.Array) -> jax.Array:
    """Probability of the unit-wide bin around each value: f32[..., Z] -> f32[..., Z] in [0, 1]."""
    weights = jax.nn.softmax(self.weights[...], axis=0)
    scales = 0.05 + LATENT_GAIN * nnx.softplus(self.scales[...])
    distance = jnp.abs(values[..., None, :] - LATENT_GAIN * self.means[...])
    # sigmoid(a) - sigmoid(b), both in the tail where f32 is accurate.
    bins = jax.nn.sigmoid((0.5 - distance) / scales) - jax.nn.sigmoid((-0.5 - distance) / scales)
    return (weights * bins).sum(axis=-2)


def first_scales(block: int, latents: int) -> np.ndarray:
  """Guess at the standard deviations of cosine coefficients, smoothest first: f64[M], in quantisation steps.

  They fall with frequency, as in all images; without a guess, Adam needs many steps to reach the largest. The number k
  among patterns that are sorted by frequency lies on a quarter circle of radius sqrt(4 k / pi). A block of b x b equal
  pixels has b times their brightness as its coefficient.
  """
  frequency = np.sqrt(4 * np.arange(latents) / np.pi)
  return LATENT_GAIN * block * 0.4 / (1 + 3 * frequency)
