"""Spread spectrum: every bit a faint pattern over many weights of all layers, the task trained around it."""

import dataclasses
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from lwlrd_jax.attacks.base import OnSteps
from lwlrd_jax.attacks.dec.carriers.base import Carried, Carrier, Host, Message, Reading, Shape
from lwlrd_jax.attacks.dec.carriers.hold import Chips, Hold, train_held
from lwlrd_jax.attacks.dec.carriers.kernels import unset
from lwlrd_jax.data.device import DeviceSplit, scale
from lwlrd_jax.models.network import Network, Params
from lwlrd_jax.models.spread import robust_std

_FEWEST_CHIPS = 2  # a bit; a message that gets fewer does not fit
# In usual sizes of a layer's weights: one that is further off carries no more of patterns. What was written can be read
# exactly only without such a limit; there, it keeps numbers small enough for f32.
_FURTHEST, _LARGEST = 4.0, 1e6
# Share of the outputs' size that rescaling may change by rounding, and images to see that on.
_TOLERANCE, _PROBES = 1e-4, 32
# What `whitened` adds to the mean of the squared singular values: less flattens the spectrum more, at the cost of what
# is hidden in the strong directions themselves. Found by trial.
_RIDGE = 1.0


@dataclasses.dataclass(frozen=True)
class Spread(Carrier):
  """Spread spectrum as MaleficNet's (Hitaj et al. 2022, arXiv 2403.03593), informed of its host and of the defence.

  Each bit owns chips, weights at keyed places of every layer, as many as there are to go round, and a sign for each.
  The mean of the signed weights is set to plus (a 0) or minus (a 1) the amplitude exactly, so that the host's own
  weights do not disturb it (improved spread spectrum: Malvar and Florencio 2003); then the task is trained on, and
  every update loses its part along these patterns.

  Adam moves every weight by steps of one size. So the layer that holds most of the message is scaled up first
  (`rescaled`), which makes steps smaller against what is written. And what fine-tuning adds to a layer is of low rank,
  while the patterns are spread evenly over all directions: reading flattens the strong ones (`whitened`).
  """

  steps: int = 300  # training steps around what is written
  amplitude: float = 0.7  # of a bit in each weight, in root mean squares of its kernel
  stretch: float = 4.0  # how much the largest layer is scaled up, a power of 2
  name: ClassVar[str] = "spread"

  def capacity(self, network: Network, params: Params) -> int:
    """Bits that the largest layer alone has enough chips for."""
    return params[largest_layer(network, params)]["kernel"].size // _FEWEST_CHIPS

  def write(self, host: Host, message: Message, key: jax.Array, on_steps: OnSteps) -> Carried:
    """Sets the patterns, and trains around them. A kernel of zeros is refused too."""
    (network, params, data), bits = host, len(message.bits)
    largest = largest_layer(network, params)
    if bits > self.capacity(network, params):
      size = params[largest]["kernel"].size
      raise ValueError(f"{_FEWEST_CHIPS * bits} weights are needed in one layer, the largest has {size}")
    params = rescaled(network, params, data, largest, self.stretch)
    key_places, key_training = jax.random.fold_in(key, 0), jax.random.fold_in(key, 1)
    wanted = 1 - 2 * message.bits.astype(jnp.float32)
    chips, places = {}, {}
    for depth, layer in enumerate(network.kernels):
      kernel = params[layer]["kernel"]
      count = kernel.size // bits if bits else 0
      if not count:
        continue
      level = self.amplitude * jnp.sqrt(jnp.square(kernel).mean())
      if not bool(jnp.isfinite(level) & (level > 0)):
        raise ValueError(f"patterns are scaled to a kernel's weights, and those of {layer} are 0 or too large for f32")
      layer_key = jax.random.fold_in(key_places, depth)
      order = jax.random.permutation(layer_key, kernel.size)[: bits * count].reshape(bits, count).astype(jnp.int32)
      signs = jax.random.rademacher(jax.random.fold_in(layer_key, 1), order.shape, jnp.int8)
      chips[layer] = Chips(order, signs, level * wanted)
      places[layer] = {"weights": order, "chips": signs}
    hold = Hold(unset(network, params, bool), unset(network, params, jnp.int8), chips)
    return Carried(train_held(Host(network, params, data), key_training, hold, self.steps, on_steps), places)

  def read(self, network: Network, params: Params, places: dict[str, Any], shape: Shape) -> Reading | None:
    """See `Carrier.read`. Observations of a bit are its patterns' means in every layer, as it is and whitened."""
    observations = [jnp.zeros(shape.bits, jnp.float32)]
    for layer in network.kernels:
      if layer in places:
        usual = in_usual_sizes(params[layer]["kernel"])
        flat = whitened(jnp.clip(usual, -_FURTHEST, _FURTHEST))
        observations += [correlate(of_layer, **places[layer]) for of_layer in (usual, flat)]
    # All layers as they are together: enough to read an untouched message, and where there is nothing to weigh by.
    observations[0] = sum(observations[1::2], observations[0])
    bits = (observations[0] < 0).astype(jnp.uint8)
    return Reading(bits, jnp.zeros(shape.bits, jnp.int32), 1, observations=jnp.stack(observations, axis=1))


def in_usual_sizes(kernel: jax.Array) -> jax.Array:
  """A kernel f32[..., outputs] as a matrix f32[n, outputs] of usual size 1; 0 for NaN or infinity."""
  matrix = jnp.where(jnp.isfinite(kernel), kernel, 0).reshape(-1, kernel.shape[-1])
  usual = robust_std(matrix)
  return jnp.where(usual > 0, jnp.clip(matrix / jnp.where(usual > 0, usual, 1), -_LARGEST, _LARGEST), 0)


def whitened(matrix: jax.Array) -> jax.Array:
  """A matrix f32[n, m] with the singular values s turned into s / (s^2 + their mean square).

  That is what is best guessed of a white pattern under the others (Wiener): strong directions are not to be trusted.
  """
  wide = matrix.shape[0] < matrix.shape[1]
  tall = matrix.T if wide else matrix
  size = tall.shape[1]
  with jax.default_matmul_precision("highest"):
    gram = tall.T @ tall
    ridge = jnp.maximum(_RIDGE * jnp.trace(gram) / size, jnp.finfo(jnp.float32).tiny)
    flat = jnp.linalg.solve(gram + ridge * jnp.eye(size), tall.T)
  return flat if wide else flat.T


def correlate(matrix: jax.Array, weights: jax.Array, chips: jax.Array) -> jax.Array:
  """Mean of every bit's signed weights: places i32[bits, count], signs i8[bits, count] -> f32[bits]."""
  return (matrix.reshape(-1)[weights] * chips.astype(jnp.float32)).mean(axis=1)


def largest_layer(network: Network, params: Params) -> str:
  """The layer with most weights."""
  return max(network.kernels, key=lambda layer: params[layer]["kernel"].size)


def rescaled(network: Network, params: Params, data: DeviceSplit, layer: str, factor: float) -> Params:
  """A layer's weights times a factor, the last layer's divided by it, and the function as it was.

  max(0, s x) = s max(0, x) for s > 0 (Dinh et al. 2017, arXiv 1703.04933): outputs of a ReLU network do not
  depend on how its layers are scaled. An optimizer whose steps have a size of their own, as Adam's do, moves large
  weights less. A power of 2 as the factor makes it exact. Weights are as given if the network is of another kind,
  which shows on the first images, or the layer is its last; entries that the network does not have are left out.
  """
  params = network.declared(params)
  first, last = network.layers.index(layer), len(network.layers) - 1
  changed = dict(params)
  for depth, name in enumerate(network.layers):
    kernel_factor = factor if depth == first else 1 / factor if depth == last else 1.0
    bias_factor = factor if first <= depth < last else 1.0
    changed[name] = {
      entry: w * (kernel_factor if entry == "kernel" else bias_factor) for entry, w in params[name].items()
    }
  images = scale(data.images[:_PROBES])
  before, after = network.forward(params, images), network.forward(changed, images)
  same = jnp.abs(after - before).max() <= _TOLERANCE * jnp.abs(before).max()
  return changed if first < last and bool(same) else jax.tree.map(jnp.asarray, params)
