"""Steps on the weights alone, before a schedule or after it; `scrub.py` has the one that closes hidden channels.

`noise`, `prune` and `quantize` are functions over trees of f32 arrays, for `jax.jit` and for `jax.vmap` over members.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp

from lwlrd_jax.models.network import Params
from lwlrd_jax.models.spread import robust_std


def noise(params: Params, key: jax.Array, *, scale: float) -> Params:
  """Adds Gaussian noise; who knows the key can subtract it again: unlike `scrub`, it overwrites nothing.

  `scale` is its standard deviation, at least 0, in units of that of the layer's kernel (`robust_std`: outliers do not
  raise it), or in a layer without one of the entry with the largest. Biases are of the same order as what the kernel
  adds to, and get the same.
  """
  noisy = {}
  for layer, layer_key in zip(sorted(params), jax.random.split(key, len(params)), strict=True):
    leaves, tree = jax.tree.flatten(params[layer])
    kernels = [params[layer]["kernel"]] if "kernel" in params[layer] else leaves
    sigma = scale * functools.reduce(jnp.maximum, map(robust_std, kernels))
    keys = jax.random.split(layer_key, len(leaves))
    drawn = [w + sigma * jax.random.normal(k, w.shape, w.dtype) for w, k in zip(leaves, keys, strict=True)]
    noisy[layer] = jax.tree.unflatten(tree, drawn)
  return noisy


def prune(params: Params, *, share: float) -> Params:
  """Sets a share in [0, 1) of each kernel's weights to 0, the smallest (Han et al. 2015, arXiv 1506.02626).

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


def strip(params: Params, declared: Any) -> tuple[Params, tuple[str, ...]]:
  """Keeps of a checkpoint the tensors that the declared architecture has, a tree of arrays or of their shapes.

  Also returns path, dtype and shape of each that was stripped, sorted. Raises ValueError if a declared tensor is
  missing, or has another shape or dtype: that is another architecture.

  >>> strip({"a": {"kernel": jnp.ones(2), "extra": jnp.ones((3, 1))}}, {"a": {"kernel": jnp.zeros(2)}})[1]
  ('a/extra: float32[3,1]',)
  """
  found, wanted = (
    {jax.tree_util.keystr(path, simple=True, separator="/"): leaf for path, leaf in leaves}
    for leaves in map(jax.tree_util.tree_leaves_with_path, (params, declared))
  )
  for name, leaf in wanted.items():
    if name not in found:
      raise ValueError(f"{name} is missing from the checkpoint")
    if _kind(found[name]) != _kind(leaf):
      raise ValueError(f"{name} is {_kind(found[name])}, the declared architecture has {_kind(leaf)}")
  kept = jax.tree.unflatten(jax.tree.structure(declared), [found[name] for name in wanted])
  return kept, tuple(f"{name}: {_kind(found[name])}" for name in sorted(set(found) - set(wanted)))


def _kind(leaf: Any) -> str:
  return f"{leaf.dtype.name}[{','.join(map(str, leaf.shape))}]"
