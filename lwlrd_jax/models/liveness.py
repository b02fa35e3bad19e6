"""Which weights a model uses at all: those that move its outputs on given images."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from lwlrd_jax.data.device import scale
from lwlrd_jax.data.host_images import HostImages
from lwlrd_jax.models.network import Network, Params
from lwlrd_jax.models.spread import robust_std

_BATCH = 128
# Images that are looked at, at most: a unit that fires on none of so many hardly takes part in what the model does.
_MOST = 2048
# All weights of a model of ten million that are just below it, drawn anew together, move the outputs by 0.3 % of their
# spread (errors of independent draws add in squares).
TOLERANCE = 1e-6


@functools.partial(jax.jit, static_argnums=0)
def live_weights(network: Network, params: Params, images: jax.Array | HostImages) -> Params:
  """Which weights matter to the outputs on some images.

  A weight is dead if it leads into a unit that says nothing, or out of one: a unit all of whose weights on one side
  have a root mean square gradient over images that, times the usual size of their array's weights (`robust_std`), is at
  most `TOLERANCE` of the outputs' spread. A ReLU unit that never fires is such a unit. A single weight without a
  gradient is not dead: between two units that fire on different images it may be what keeps one of them silent.

  The mean square is taken without a gradient for every image: with r_i independent signs, the gradient of
  sum_i r_i f(x_i) has the expected square sum_i |df(x_i)/dw|^2 (Hutchinson 1989), and is exactly 0 where every term is.

  Args:
    network: The model's structure.
    params: Its weights, and statistics if it has any; other entries are left out.
    images: u8[N, H, W, C]; of more than 2048 as many, evenly spread, are looked at.

  Returns:
    bool arrays, in a tree like `network.weights(params)`. An array that is not finite anywhere counts as live.
  """
  whole, weights = network.declared(params), network.weights(params)
  seen = np.linspace(0, len(images) - 1, min(len(images), _MOST)).round().astype(np.int32)
  batch = min(_BATCH, len(seen))
  batches = -(-len(seen) // batch)
  # The last batch is filled up with the first images: seen twice, they still count.
  positions = jnp.asarray(np.resize(seen, (batches, batch)))
  keys = jax.random.split(jax.random.key(0), batches)
  zeros = jax.tree.map(jnp.zeros_like, weights)

  def add(totals: tuple[Params, jax.Array], now: tuple[jax.Array, jax.Array]) -> tuple[tuple[Params, jax.Array], None]:
    squares, outputs = totals
    part, key = images[now[0]], now[1]

    def outputs_with_signs(weights: Params) -> tuple[jax.Array, jax.Array]:
      logits = network.forward({**whole, **weights}, scale(part))
      return (jax.random.rademacher(key, logits.shape, logits.dtype) * logits).sum(), logits

    grads, logits = jax.grad(outputs_with_signs, has_aux=True)(weights)
    spread = jnp.square(logits - logits.mean(axis=0)).sum()
    return (jax.tree.map(lambda total, g: total + jnp.square(g), squares, grads), outputs + spread), None

  (squares, spread), _ = jax.lax.scan(add, (zeros, jnp.float32(0)), (positions, keys))
  limit = TOLERANCE * jnp.sqrt(spread / (batches * batch))

  def live(square: jax.Array, weights: jax.Array) -> jax.Array:
    # Zero biases have no size; any gradient counts.
    width = robust_std(weights)
    sensitivity = jnp.sqrt(square / (batches * batch)) * jnp.where(width > 0, width, 1)
    return ~(sensitivity <= limit)

  matters = jax.tree.map(live, squares, weights)
  return {layer: _by_unit(matters[layer]) for layer in weights}


def _by_unit(matters: Params) -> Params:
  """Whether the units on both sides of each weight of a layer say anything, from which of its weights matter."""
  if "kernel" not in matters:
    return matters
  kernel = matters["kernel"]
  rows = kernel.reshape(-1, kernel.shape[-1])
  # Beside the kernel, what has a number for each output: a bias.
  beside = [name for name, of_entry in matters.items() if of_entry.shape == kernel.shape[-1:]]
  speaks = functools.reduce(jnp.logical_or, (matters[name] for name in beside), rows.any(axis=0))
  both = rows.any(axis=1)[:, None] & speaks
  return {**matters, **dict.fromkeys(beside, speaks), "kernel": both.reshape(kernel.shape)}
