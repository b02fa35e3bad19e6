"""Where a run took place."""

import functools
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

import jax

import lwlrd_jax
from lwlrd_jax.jax_internals import setting

_LIBRARIES = ("jax", "jaxlib", "flax", "optax", "optuna")


def environment() -> dict[str, Any]:
  """What the figures may depend on beside the flags: versions, devices, precision, commit."""
  devices = jax.devices()
  return {
    # What runs is this version, whether or not it, or another, is installed.
    "versions": {"lwlrd_jax": lwlrd_jax.__version__, **{name: metadata.version(name) for name in _LIBRARIES}},
    "device": {"platform": devices[0].platform, "kind": devices[0].device_kind, "count": len(devices)},
    # The runs of a study may differ in it.
    "matmul_precision": setting("jax_default_matmul_precision"),
    "git_commit": _git_commit(),
  }


@functools.cache
def _git_commit() -> str | None:
  """Commit of the package's checkout; None outside of one."""
  command = ["git", "rev-parse", "HEAD"]
  folder = Path(__file__).parent
  try:
    answer = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=10, check=False)
  except (OSError, subprocess.TimeoutExpired):
    return None
  return answer.stdout.strip() or None
