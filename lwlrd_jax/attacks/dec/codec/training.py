"""Training of the learned codec: rate + lambda * distortion."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.scipy.special import erfc

from lwlrd_jax.attacks.dec.codec.transform import Codec
from lwlrd_jax.data.augment import turn
from lwlrd_jax.data.batches import batch_plan
from lwlrd_jax.data.device import DeviceSplit, scale
from lwlrd_jax.data.host_images import HostImages
from lwlrd_jax.data.stream import in_calls, steps_per_call
from lwlrd_jax.engine.loop import Call, train
from lwlrd_jax.models.network import Params

_WHOLE = 3  # one image in so many is rounded to whole numbers, see `rate_and_distortion`
_MIN_PROBABILITY = 1e-9  # a floor: training must not divide by a probability that f32 holds as 0

_State = tuple[Params, Any]  # weights, and the optimizer's state


@dataclasses.dataclass(frozen=True)
class CodecTraining:
  """Settings of a codec's training. Hashable: a static argument of `jax.jit`."""

  steps: int = 800  # optimizer steps
  # Bits per pixel that one unit of squared error, on the scale of 0 to 255, is worth. Larger is sharper.
  lmbda: float = 0.015
  batch_size: int = 16  # images a step
  learning_rate: float = 3e-3  # of Adam, at its height
  warmup: float = 0.03  # share of the steps in which the rate climbs linearly
  # Whether images are also turned by 90 degrees and upside down; they are always mirrored left to right.
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
  """Of a batch, f32[]: bits include the side information, the mean squared error is on the scale of 0 to 255."""

  bits_per_pixel: jax.Array
  squared_error: jax.Array


def train_codec(
  codec: Codec,
  params: Params,
  images: jax.Array | HostImages,
  key: jax.Array,
  settings: CodecTraining,
  on_steps: Callable[[int], None] = lambda steps: None,
) -> Params:
  """Fits a codec to images u8[N, H, W, C]: the trained weights.

  `params`, the first weights, stay as they are. `key` draws batches, noise and augmentation. `on_steps` is called with
  the number of steps just done, about 32 at a time.
  """
  key_batches, key_noise = jax.random.split(key)
  plan = batch_plan(key_batches, len(images), settings.batch_size, settings.steps)
  keys = jax.random.split(key_noise, settings.steps)
  # A copy: the steps below reuse their arguments' memory, and `params` is the caller's.
  state = (jax.tree.map(jnp.copy, params), settings.optimizer().init(params))
  data = DeviceSplit(images, jnp.zeros(len(images), jnp.int32))  # labels are of no use here
  calls = in_calls(Call(plan, keys), steps_per_call(data, settings.steps, plan.shape[1]))

  def advance(state: _State, part: DeviceSplit, call: Call) -> tuple[_State, Losses]:
    return _advance(codec, settings, state, part, *call)

  return train(advance, lambda *_: state, data, calls, lambda _, losses: on_steps(len(losses.squared_error)))[0]


def bits_of(probability: jax.Array) -> jax.Array:
  """Bits that something of this probability takes: f32[...] in [0, 30]."""
  return -jnp.log2(jnp.maximum(probability, _MIN_PROBABILITY))


def gaussian_bits(offset: jax.Array, scale: jax.Array) -> jax.Array:
  """Bits f32[...] of values in unit-wide bins of a normal distribution (Balle et al. 2018, 1802.01436, appendix).

  They are at these offsets f32[...] from the mean, where the standard deviation is f32[...] > 0.
  """
  # The far tail of the upper side is a difference of tiny numbers, that of the lower side one of numbers near 1.
  offset = jnp.abs(offset)
  reach = scale * 2**0.5
  return bits_of(0.5 * (erfc((offset - 0.5) / reach) - erfc((offset + 0.5) / reach)))


def rate_and_distortion(codec: Codec, params: Params, images: jax.Array, key: jax.Array) -> Losses:
  """Rate with uniform noise in place of rounding, distortion of rounded latents, for images f32[N, H, W, C] in [0, 1].

  Noise keeps the rate differentiable (Balle et al. 2018); a decoder must see rounded latents, though, and gradients
  pass the rounding as if it were not there (Minnen and Singh 2020, arXiv 2007.08739).
  """
  key_hyper, key_latents = jax.random.split(key)
  latents = codec.analysis(params, images)
  hyper = codec.hyper_analysis(params, latents)
  mean, deviation = codec.hyper_synthesis(params, _round(hyper))
  noisy = latents + jax.random.uniform(key_latents, latents.shape, jnp.float32, -0.5, 0.5)
  noisy_hyper = hyper + jax.random.uniform(key_hyper, hyper.shape, jnp.float32, -0.5, 0.5)
  bits = gaussian_bits(noisy - mean, deviation).sum() + bits_of(codec.prior(params, noisy_hyper)).sum()
  # The entropy-coded form rounds distances from the means, the fixed-length form the latents themselves; the decoder
  # has to learn both.
  origin = jnp.where(jnp.arange(len(images))[:, None, None, None] % _WHOLE == 0, 0, mean)
  decoded = codec.synthesis(params, _round(latents - origin) + origin)
  height, width, _ = codec.image_shape
  return Losses(bits / (len(images) * height * width), jnp.square(255 * (decoded - images)).mean())


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

    params, opt_state = state
    grads, losses = jax.grad(loss_fn, has_aux=True)(params)
    updates, opt_state = tx.update(grads, opt_state, params)
    return (optax.apply_updates(params, updates), opt_state), losses

  return jax.lax.scan(step, state, (batches, keys))


def mirrored(images: jax.Array, key: jax.Array, *, turns: bool) -> jax.Array:
  """Mirrors each image f32[N, S, S, C] at random; with `turns`, draws one of the eight symmetries of a square."""
  mirror, flip, swap = jax.random.bernoulli(key, 0.5, (3, len(images), 1, 1, 1)).reshape(3, -1).astype(jnp.int32)
  # Mirrored first and exchanged last: the same as exchanged first and mirrored the other way.
  symmetry = jnp.where(swap, 4 + 2 * mirror + flip, 2 * flip + mirror) if turns else mirror
  return turn(images, symmetry)


def _round(x: jax.Array) -> jax.Array:
  """Rounds; the gradient passes."""
  return x + jax.lax.stop_gradient(jnp.round(x) - x)
