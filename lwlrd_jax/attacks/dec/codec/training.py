"""Training of the learned codec: rate + lambda * distortion."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from lwlrd_jax.attacks.dec.codec.likelihood import gaussian_bits
from lwlrd_jax.attacks.dec.codec.transform import Codec
from lwlrd_jax.data.augment import turn
from lwlrd_jax.data.batches import batch_plan
from lwlrd_jax.data.device import DeviceSplit, scale
from lwlrd_jax.data.host_images import HostImages
from lwlrd_jax.data.stream import in_calls, steps_per_call
from lwlrd_jax.engine.loop import Call, train
from lwlrd_jax.models.network import Params

# One image in so many is rounded to whole numbers, see `rate_and_distortion`.
_WHOLE = 3


@dataclasses.dataclass(frozen=True)
class CodecTraining:
  """Settings of a codec's training. Hashable: a static argument of `jax.jit`.

  Attributes:
    steps: Optimizer steps.
    lmbda: Bits per pixel that one unit of squared error, on the scale of 0 to 255, is worth. Larger is sharper.
    batch_size: Images a step.
    learning_rate: Of Adam, at its height.
    warmup: Share of the steps in which the rate climbs linearly.
    turns: Whether images are also turned by 90 degrees and upside down; they are always mirrored left to right.
  """

  steps: int = 800
  lmbda: float = 0.015
  batch_size: int = 16
  learning_rate: float = 3e-3
  warmup: float = 0.03
  turns: bool = True

  def rate_shape(self) -> np.ndarray:
    """Course of the learning rate: f32[steps] in (0, 1], a linear climb and half a cosine down."""
    up = np.arange(1, self.steps + 1) / max(self.warmup * self.steps, 1)
    down = 0.5 + 0.5 * np.cos(np.pi * np.arange(self.steps) / self.steps)
    return np.minimum(up, down).astype(np.float32)

  def optimizer(self) -> optax.GradientTransformation:
    """Adam; a batch with an outlier must not undo what was learnt, so long gradients are shortened."""
    course = jnp.asarray(self.rate_shape())
    adam = optax.adam(lambda count: self.learning_rate * course[count])
    return optax.chain(optax.clip_by_global_norm(1.0), adam)


class Losses(NamedTuple):
  """Of one batch.

  Attributes:
    bits_per_pixel: f32[], side information included.
    squared_error: f32[], mean over pixels and channels, on the scale of 0 to 255.
  """

  bits_per_pixel: jax.Array
  squared_error: jax.Array


def train_codec(
  codec: Codec,
  params: Params,
  images: jax.Array | HostImages,
  key: jax.Array,
  settings: CodecTraining | None = None,
  on_steps: Callable[[int], None] = lambda steps: None,
) -> Params:
  """Fits a codec to images.

  Args:
    codec: The structure.
    params: First weights; they stay as they are.
    images: u8[N, H, W, C].
    key: Draws batches, noise and augmentation.
    settings: Left out, the defaults.
    on_steps: Called with the number of steps just done, about 32 at a time.

  Returns:
    The trained weights.
  """
  settings = settings or CodecTraining()
  key_batches, key_noise = jax.random.split(key)
  plan = batch_plan(key_batches, len(images), settings.batch_size, settings.steps)
  keys = jax.random.split(key_noise, settings.steps)
  # A copy: the steps below reuse their arguments' memory, and `params` is the caller's.
  params = jax.tree.map(jnp.copy, params)
  state = _State(params, settings.optimizer().init(params))
  data = DeviceSplit(images, jnp.zeros(len(images), jnp.int32))  # labels are of no use here
  calls = in_calls(Call(plan, keys), steps_per_call(data, settings.steps, plan.shape[1]))

  def advance(state: _State, part: DeviceSplit, call: Call) -> tuple[_State, Losses]:
    return _advance(codec, settings, state, part, *call)

  return train(advance, lambda *_: state, data, calls, lambda _, losses: on_steps(len(losses.squared_error))).params


def rate_and_distortion(codec: Codec, params: Params, images: jax.Array, key: jax.Array) -> Losses:
  """Rate with uniform noise in place of rounding, distortion of rounded latents.

  Noise keeps the rate differentiable (Balle et al. 2018); a decoder must see rounded latents, though, and gradients
  pass the rounding as if it were not there (Minnen and Singh 2020, arXiv 2007.08739).

  Args:
    codec: The structure.
    params: Its weights.
    images: f32[N, H, W, C] in [0, 1].
    key: Draws the noise.

  Returns:
    Both losses of the batch.
  """
  key_hyper, key_latents = jax.random.split(key)
  latents = codec.analysis(params, images)
  hyper = codec.hyper_analysis(params, latents)
  mean, deviation = codec.hyper_synthesis(params, _round(hyper))
  noisy = latents + jax.random.uniform(key_latents, latents.shape, jnp.float32, -0.5, 0.5)
  noisy_hyper = hyper + jax.random.uniform(key_hyper, hyper.shape, jnp.float32, -0.5, 0.5)
  bits = gaussian_bits(noisy - mean, deviation).sum() + codec.prior(params).bits(noisy_hyper).sum()
  # The entropy-coded form rounds distances from the means, the fixed-length form the latents themselves; the decoder
  # has to learn both.
  origin = jnp.where(jnp.arange(len(images))[:, None, None, None] % _WHOLE == 0, 0, mean)
  painted = codec.synthesis(params, _round(latents - origin) + origin)
  height, width, _ = codec.image_shape
  squared_error = jnp.square(255 * (painted - images)).mean()
  return Losses(bits / (len(images) * height * width), squared_error)


class _State(NamedTuple):
  params: Params
  opt_state: Any


@functools.partial(jax.jit, static_argnums=(0, 1), donate_argnums=(2,))
def _advance(
  codec: Codec, settings: CodecTraining, state: _State, data: DeviceSplit, batches: jax.Array, keys: jax.Array
) -> tuple[_State, Losses]:
  """A few steps in one scan; losses f32[steps] before each step."""
  tx = settings.optimizer()

  def step(state: _State, now: tuple[jax.Array, jax.Array]) -> tuple[_State, Losses]:
    batch, key = now
    key_augment, key_noise = jax.random.split(key)
    shown = mirrored(scale(data.images[batch]), key_augment, turns=settings.turns)

    def loss_fn(params: Params) -> tuple[jax.Array, Losses]:
      losses = rate_and_distortion(codec, params, shown, key_noise)
      return losses.bits_per_pixel + settings.lmbda * losses.squared_error, losses

    grads, losses = jax.grad(loss_fn, has_aux=True)(state.params)
    updates, opt_state = tx.update(grads, state.opt_state, state.params)
    return _State(optax.apply_updates(state.params, updates), opt_state), losses

  return jax.lax.scan(step, state, (batches, keys))


def mirrored(images: jax.Array, key: jax.Array, *, turns: bool) -> jax.Array:
  """Mirrors each image at random; with `turns`, also turns it, one of the eight symmetries of a square.

  Args:
    images: f32[N, S, S, C].
    key: Draws the symmetry of each image.
    turns: False only mirrors left to right.

  Returns:
    f32[N, S, S, C].
  """
  mirror, flip, swap = jax.random.bernoulli(key, 0.5, (3, len(images), 1, 1, 1)).reshape(3, -1).astype(jnp.int32)
  # Mirrored first and exchanged last: the same as exchanged first and mirrored the other way.
  symmetry = jnp.where(swap, 4 + 2 * mirror + flip, 2 * flip + mirror) if turns else mirror
  return turn(images, symmetry)


def _round(x: jax.Array) -> jax.Array:
  """Rounds; the gradient passes."""
  return x + jax.lax.stop_gradient(jnp.round(x) - x)
