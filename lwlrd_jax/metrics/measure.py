"""Everything that is measured of a member: one row of the results table, for many members in one call."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lwlrd_jax.attacks.base import Attack, Extraction, Infected
from lwlrd_jax.data.device import DeviceSplit, scale
from lwlrd_jax.metrics.capacity import Survival, survival
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
  ber: jax.Array
  exact: jax.Array
  survival: Survival
  samples: jax.Array


def measure(
  network: Network,
  attack: Attack,
  params: Params,
  live: Params,
  infected: Infected,
  train: DeviceSplit,
  test: DeviceSplit,
  public: PublicStatistics,
) -> Measured:
  """Measures members one after another, on the device as far as the attack can be read there.

  Args:
    network: The model's structure.
    attack: What reads the stolen images.
    params: Members' checkpoints, stacked: a leading axis of members.
    live: bool tree of the layers' weights, stacked likewise: see `metrics.capacity.survival`.
    infected: What the thief left, and kept.
    train: Where images were stolen from, and are looked for.
    test: What utility is measured on.
    public: What the thief knows of such images.

  Returns:
    The figures.
  """
  read = extract_population(network, attack, params, infected.secret)
  return _measure(network, params, live, infected.params, read, infected.stolen, train, test, public)


def extract_population(network: Network, attack: Attack, params: Params, secret: dict[str, Any]) -> Extraction:
  """Reads members one after another: one compiled program if the attack can be read on the device.

  Args:
    network: The model's structure.
    attack: What reads the stolen images.
    params: Members' checkpoints, stacked.
    secret: What the thief kept.

  Returns:
    Images f32[members, S, H, W, C], and rates f32[members].
  """
  if attack.on_device:
    return _extract_on_device(network, attack, params, secret)
  members = len(jax.tree.leaves(params)[0])
  each = [attack.read(network, jax.tree.map(lambda leaf, i=i: leaf[i], params), secret) for i in range(members)]
  return jax.tree.map(lambda *leaves: jnp.stack(leaves), *each)


@functools.partial(jax.jit, static_argnums=(0, 1))
def _extract_on_device(network: Network, attack: Attack, params: Params, secret: dict[str, Any]) -> Extraction:
  return jax.lax.map(lambda of_member: attack.read(network, of_member, secret), params)


@functools.partial(jax.jit, static_argnums=0)
def _measure(
  network: Network,
  params: Params,
  live: Params,
  infected: Params,
  read: Extraction,
  stolen: jax.Array,
  train: DeviceSplit,
  test: DeviceSplit,
  public: PublicStatistics,
) -> Measured:
  def of_member(member: tuple[Params, Params, Extraction]) -> Measured:
    params, live, read = member
    return Measured(
      utility(predict(network, params, test.images), test.labels),
      leakage(read.images, stolen, train, public),
      read.ber,
      read.exact,
      survival(infected, params, live, network.layers),
      _samples(read.images, scale(train.images[stolen]), public),
    )

  return jax.lax.map(of_member, (params, live, read))


@functools.partial(jax.jit, static_argnums=0)
def measure_constant(count: int, stolen: jax.Array, train: DeviceSplit, public: PublicStatistics) -> Leakage:
  """Leakage of `count` reconstructions that all are the mean training image: the floor. There is nothing to restore."""
  constant = jnp.broadcast_to(public.mean, (count, *public.mean.shape))
  return leakage(constant, stolen, train, public, restorations=("raw",))


@jax.jit
def measure_images(images: jax.Array, stolen: jax.Array, train: DeviceSplit, public: PublicStatistics) -> Leakage:
  """Leakage of given reconstructions f32[S, H, W, C], as that of extracted ones is measured."""
  return leakage(images, stolen, train, public)


@functools.partial(jax.jit, static_argnums=0)
def auc_of(network: Network, params: Params, split: DeviceSplit) -> jax.Array:
  """Macro AUC of one model on a split: f32[] in [0, 1]."""
  return utility(predict(network, params, split.images), split.labels).auc


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
