"""What a checkpoint holds besides the model it is said to be."""

from typing import Any

import jax

from lwlrd_jax.models.network import Params


def strip(params: Params, declared: Any) -> tuple[Params, tuple[str, ...]]:
  """Keeps the tensors that the declared architecture has, and names all others.

  Args:
    params: A checkpoint: nested dicts of arrays.
    declared: The architecture's own tree, of arrays or of their shapes.

  Returns:
    The architecture's tensors, and what was stripped: path, dtype and shape of each, sorted.

  Raises:
    ValueError: A declared tensor is missing, or has another shape or dtype: that is another architecture.

  >>> import jax.numpy as jnp
  >>> strip({"a": {"kernel": jnp.ones(2), "extra": jnp.ones((3, 1))}}, {"a": {"kernel": jnp.zeros(2)}})[1]
  ('a/extra: float32[3,1]',)
  """
  found = {_path(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(params)}
  wanted = {_path(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(declared)}
  for name, leaf in wanted.items():
    if name not in found:
      raise ValueError(f"{name} is missing from the checkpoint")
    if _kind(found[name]) != _kind(leaf):
      raise ValueError(f"{name} is {_kind(found[name])}, the declared architecture has {_kind(leaf)}")
  kept = jax.tree_util.tree_map_with_path(lambda path, _: found[_path(path)], declared)
  return kept, tuple(f"{name}: {_kind(found[name])}" for name in sorted(set(found) - set(wanted)))


def _path(path: tuple[Any, ...]) -> str:
  return "/".join(str(entry.key) for entry in path)


def _kind(leaf: Any) -> str:
  return f"{leaf.dtype.name}[{','.join(map(str, leaf.shape))}]"
