"""Orbax checkpoints of plain trees of arrays. The only module that knows Orbax."""

import shutil
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

# Of what is inside a checkpoint: {"schema": i32[], and what was saved}. A reader refuses what it does not know.
SCHEMA = 1


def save_tree(path: Path, tree: dict[str, Any]) -> None:
  """Writes a tree of arrays as one checkpoint; complete or not there at all.

  Args:
    path: Folder to create; one that exists is replaced.
    tree: Nested dicts of arrays.
  """
  host = jax.tree.map(np.asarray, tree)
  if path.exists():
    shutil.rmtree(path)
  with ocp.StandardCheckpointer() as checkpointer:
    checkpointer.save(path.absolute(), {"schema": np.int32(SCHEMA), **host})
    checkpointer.wait_until_finished()


def load_tree(path: Path) -> dict[str, Any]:
  """Reads what `save_tree` wrote, as NumPy arrays, whatever devices wrote it.

  Args:
    path: The checkpoint's folder.

  Returns:
    Nested dicts of arrays.

  Raises:
    FileNotFoundError: There is no complete checkpoint.
    ValueError: Its schema number is not `SCHEMA`.
  """
  path = path.absolute()
  if not path.is_dir():
    raise FileNotFoundError(f"{path}: no checkpoint there")
  with ocp.StandardCheckpointer() as checkpointer:
    saved = checkpointer.metadata(path).item_metadata
    # As NumPy arrays: the devices that wrote it need not be here.
    wanted = jax.tree.map(lambda leaf: np.empty(leaf.shape, leaf.dtype), saved.tree)
    tree = checkpointer.restore(path, wanted)
  schema = int(tree.pop("schema"))
  if schema != SCHEMA:
    raise ValueError(f"{path}: checkpoint schema {schema}, this version reads {SCHEMA}")
  return tree
