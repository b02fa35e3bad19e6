"""Steps on the weights alone: functions over a tree of f32 arrays, for `jax.jit` and for `jax.vmap` over members.

They can stand before a schedule or after it. `scrub.py` has the one that closes hidden channels, `structure.py` the
check of what else a checkpoint holds.
"""

import jax
import jax.numpy as jnp

from lwlrd_jax.models.network import Params


def noise(params: Params, key: jax.Array, *, scale: float) -> Params:
  """Adds Gaussian noise, relative to each array's spread.

  Args:
    params: Weights.
    key: Random key.
    scale: Standard deviation of the noise, of that of the array; at least 0.

  Returns:
    The weights with noise. Arrays whose entries are all the same stay as they are.
  """
  leaves, tree = jax.tree.flatten(params)
  keys = jax.random.split(key, len(leaves))
  noisy = [w + scale * jnp.std(w) * jax.random.normal(k, w.shape, w.dtype) for w, k in zip(leaves, keys, strict=True)]
  return jax.tree.unflatten(tree, noisy)


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
  """Rounds each array to 255 evenly spaced values, as int8 with one scale would hold it, and back to f32.

  >>> quantize({"kernel": jnp.array([127.0, 3.4, -126.6])})["kernel"].tolist()
  [127.0, 3.0, -127.0]
  """

  def quantized(w: jax.Array) -> jax.Array:
    step = jnp.abs(w).max() / 127
    return jnp.where(step > 0, jnp.round(w / jnp.where(step > 0, step, 1)) * step, w)

  return jax.tree.map(quantized, params)
