"""Everything that is measured of a member: one row of the results table, for many members in one call."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lwlrd_jax.attacks.base import Attack
from lwlrd_jax.data.device import DeviceSplit, scale
from lwlrd_jax.metrics.capacity import SurvivingBytes, surviving_bytes
from lwlrd_jax.metrics.leakage import Leakage, leakage
from lwlrd_jax.metrics.postprocess import POSTPROCESSINGS, PublicStatistics
from lwlrd_jax.metrics.ssim import ssim
from lwlrd_jax.metrics.utility import Utility, utility
from lwlrd_jax.models.network import Network, Params

# Test images classified at a time: bounds the memory that activations need.
_CHUNK = 512
# Stolen images of which a picture is kept, at most.
_SAMPLES = 8


class Measured(NamedTuple):
  """Figures of members, each with a leading axis of members; samples u8[members, min(8, S), H, W, C]."""

  utility: Utility
  leakage: Leakage
  surviving: SurvivingBytes
  samples: jax.Array


@functools.partial(jax.jit, static_argnums=(0, 1))
def measure(
  network: Network,
  attack: Attack,
  params: Params,
  infected: Params,
  secret: dict[str, Any],
  stolen: jax.Array,
  train: DeviceSplit,
  test: DeviceSplit,
  public: PublicStatistics,
) -> Measured:
  """Measures members one after another, all on the device.

  Args:
    network: The model's structure.
    attack: What reads the stolen images.
    params: Members' parameters, stacked: a leading axis of members.
    infected: The weights that the thief left, for surviving bytes.
    secret: What the thief kept.
    stolen: i32[S], the stolen images' positions in the training split.
    train: Where they were stolen from, and are looked for.
    test: What utility is measured on.
    public: What the thief knows of such images.

  Returns:
    The figures.
  """

  def of_member(params: Params) -> Measured:
    extracted = attack.extract(network, params, secret)
    return Measured(
      utility(predict(network, params, test.images), test.labels),
      leakage(extracted, stolen, train, public),
      surviving_bytes(infected, params),
      _samples(extracted, scale(train.images[stolen]), public),
    )

  return jax.lax.map(of_member, params)


@functools.partial(jax.jit, static_argnums=0)
def measure_constant(count: int, stolen: jax.Array, train: DeviceSplit, public: PublicStatistics) -> Leakage:
  """Leakage of `count` reconstructions that all are the mean training image: the floor. There is nothing to restore."""
  constant = jnp.broadcast_to(public.mean, (count, *public.mean.shape))
  return leakage(constant, stolen, train, public, restorations=("raw",))


def predict(network: Network, params: Params, images: jax.Array) -> jax.Array:
  """Logits of a split, a chunk at a time: u8[N, H, W, C] -> f32[N, K]."""
  size = len(images)
  chunk = min(_CHUNK, size)
  chunks = -(-size // chunk)
  padded = jnp.pad(images, ((0, chunks * chunk - size), (0, 0), (0, 0), (0, 0)))
  padded = padded.reshape(chunks, chunk, *images.shape[1:])
  logits = jax.lax.map(lambda part: network.forward(params, scale(part)), padded)
  return logits.reshape(chunks * chunk, -1)[:size]


def sample_positions(stolen: int) -> np.ndarray:
  """Which stolen images pictures are kept of: spread evenly, since index codes make each class's first ones special.

  >>> sample_positions(3).tolist(), sample_positions(15).tolist()
  ([0, 1, 2], [0, 2, 4, 6, 8, 10, 12, 14])
  """
  return np.linspace(0, stolen - 1, min(_SAMPLES, stolen)).round().astype(np.int32)


def _samples(extracted: jax.Array, originals: jax.Array, public: PublicStatistics) -> jax.Array:
  """A few reconstructions, as the post-processing shows them that looks most like the originals."""
  candidates = jnp.stack([restore(extracted, public) for restore in POSTPROCESSINGS.values()])
  best = jnp.nan_to_num(ssim(candidates, originals[None]).mean(axis=1)).argmax()
  return jnp.round(jnp.nan_to_num(candidates[best, sample_positions(len(extracted))]) * 255).astype(jnp.uint8)
