"""Steps on the weights alone: functions over a tree of f32 arrays, for `jax.jit` and for `jax.vmap` over members.

They can stand before a schedule or after it. `scrub.py` has the one that closes hidden channels, `structure.py` the
check of what else a checkpoint holds.
"""

import functools

import jax
import jax.numpy as jnp

from lwlrd_jax.models.network import Params
from lwlrd_jax.models.spread import robust_std


def noise(params: Params, key: jax.Array, *, scale: float) -> Params:
  """Adds Gaussian noise, relative to each layer's spread.

  Args:
    params: Weights, {layer: {"kernel": ..., "bias": ...}}.
    key: Random key. Whoever knows it can subtract the noise again: unlike `scrub`, it overwrites nothing.
    scale: Standard deviation of the noise, of that of the layer's kernel (`robust_std`: outliers do not raise it); at
      least 0. Biases are of the same order as what the kernel adds to, and get the same. In a layer without a kernel,
      of the largest of its entries.

  Returns:
    The weights with noise.
  """
  noisy = {}
  for layer, layer_key in zip(sorted(params), jax.random.split(key, len(params)), strict=True):
    leaves, tree = jax.tree.flatten(params[layer])
    of_layer = params[layer]
    sizes = [robust_std(w) for w in ([of_layer["kernel"]] if "kernel" in of_layer else leaves)]
    sigma = scale * functools.reduce(jnp.maximum, sizes)
    keys = jax.random.split(layer_key, len(leaves))
    drawn = [w + sigma * jax.random.normal(k, w.shape, w.dtype) for w, k in zip(leaves, keys, strict=True)]
    noisy[layer] = jax.tree.unflatten(tree, drawn)
  return noisy


def prune(params: Params, *, share: float) -> Params:
  """Sets the smallest weights of each kernel to 0, by magnitude (Han et al. 2015, arXiv 1506.02626). Biases stay.

  Args:
    params: Weights.
    share: Of each kernel's weights, in [0, 1).

  Returns:
    The weights.

  >>> prune({"kernel": jnp.array([[3.0, -1.0], [0.5, 2.0]])}, share=0.5)["kernel"].tolist()
  [[3.0, 0.0], [0.0, 2.0]]
  """

  def pruned(w: jax.Array) -> jax.Array:
    gone = int(share * w.size)
    if w.ndim < 2 or gone == 0:
      return w
    smallest = jnp.argsort(jnp.abs(w).reshape(-1))[:gone]
    return w.reshape(-1).at[smallest].set(0).reshape(w.shape)

  return jax.tree.map(pruned, params)


def quantize(params: Params) -> Params:
  """Rounds the weights into each output unit to 255 evenly spaced values, as int8 would hold them, and back to f32.

  One scale a unit, and biases left as they are, is how int8 networks are stored (Jacob et al. 2018, arXiv 1712.05877);
  one scale for a whole array would let a single large weight round all others to 0.

  >>> quantize({"kernel": jnp.array([[127.0], [3.4], [-126.6]])})["kernel"][:, 0].tolist()
  [127.0, 3.0, -127.0]
  """

  def quantized(w: jax.Array) -> jax.Array:
    if w.ndim < 2:
      return w
    step = jnp.abs(w).max(axis=tuple(range(w.ndim - 1)), keepdims=True) / 127
    return jnp.where(step > 0, jnp.round(w / jnp.where(step > 0, step, 1)) * step, w)

  return jax.tree.map(quantized, params)
