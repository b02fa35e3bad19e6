"""Trained starting points, kept for later sweeps under the hash of everything that made them."""

import hashlib
import json
from collections.abc import Callable
from typing import Any

from lwlrd_jax.cache import private_folder
from lwlrd_jax.runs.checkpoints import load_tree, save_tree


def cached_tree(recipe: dict[str, Any], make: Callable[[], dict[str, Any]]) -> tuple[dict[str, Any], bool]:
  """Makes a tree of arrays, or reads the one that the same recipe made before.

  Args:
    recipe: Everything the result depends on, as JSON: settings, a hash of the data, library versions.
    make: Makes it; nested dicts of arrays.

  Returns:
    The tree, and whether it came from the cache.
  """
  digest = hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()[:20]
  path = private_folder("models") / digest
  if path.is_dir():
    return load_tree(path), True
  tree = make()
  save_tree(path, tree)
  return tree, False
