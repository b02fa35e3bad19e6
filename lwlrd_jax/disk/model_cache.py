"""Trained starting points, kept for later sweeps under the hash of everything that made them."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np

from lwlrd_jax.cache import cache_dir, private_folder
from lwlrd_jax.disk.checkpoints import load_tree, save_tree
from lwlrd_jax.disk.environment import environment
from lwlrd_jax.jax_settings import unusual

_FOLDER = "models"


def cached_tree(recipe: dict[str, Any], make: Callable[[], dict[str, Any]]) -> tuple[dict[str, Any], bool]:
  """Makes a tree of arrays, or reads the one that the same recipe made before.

  The recipe is everything that the result depends on, as JSON: settings, a hash of the data, library versions. Returns
  the tree, nested dicts of arrays, and whether it came from the cache. UserError where that is damaged.
  """
  path = _path(recipe)
  if path.is_dir():
    return load_tree(path), True
  tree = make()
  private_folder(_FOLDER)
  if is_finite(tree):  # what diverged is for this run to report, and for none to start from
    save_tree(path, tree, replace=False)  # another sweep may have been faster, and a third may be reading that
  return tree, False


def is_finite(tree: Any) -> bool:
  """Whether no number in a tree of arrays is NaN or infinite."""
  return all(bool(np.isfinite(leaf).all()) for leaf in map(np.asarray, jax.tree.leaves(tree)) if leaf.dtype.kind == "f")


def is_cached(recipe: dict[str, Any]) -> bool:
  """Whether `cached_tree` would read it."""
  return _path(recipe).is_dir()


def _path(recipe: dict[str, Any]) -> Path:
  digest = hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()[:20]
  return cache_dir() / _FOLDER / digest


def numerics() -> dict[str, Any]:
  """What every trained thing depends on beside its own recipe: versions of libraries, platform, precision, settings."""
  now = environment()
  versions = {name: now["versions"][name] for name in ("jax", "jaxlib", "flax", "optax")}
  return {**versions, "platform": now["device"]["platform"], "precision": now["matmul_precision"], **unusual()}


def arrays_digest(*arrays: np.ndarray) -> str:
  """SHA-256 of arrays: shapes, dtypes and contents."""
  digest = hashlib.sha256()
  for array in arrays:
    digest.update(str((array.shape, array.dtype)).encode())
    digest.update(np.ascontiguousarray(array).tobytes())
  return digest.hexdigest()
