"""What config.json says of a run, and whether a stopped run is the one that is asked for again."""

import functools
import json
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

import jax

from lwlrd_jax.config import SweepConfig
from lwlrd_jax.data import Dataset
from lwlrd_jax.defenses.plan import Defense
from lwlrd_jax.errors import UserError
from lwlrd_jax.metrics.postprocess import POSTPROCESSINGS
from lwlrd_jax.metrics.utility import absent_classes
from lwlrd_jax.runs.resolve import Resolved

_LIBRARIES = ("lwlrd_jax", "jax", "jaxlib", "flax", "optax")
# Flags that say where and how to run, not what.
_FREE = ("out", "resume", "overwrite", "members_per_wave", "show_stolen", "config", "data_dir", "npz", "codec_npz")


@functools.cache
def environment() -> dict[str, Any]:
  """What the figures may depend on beside the flags: versions, devices, precision, commit."""
  devices = jax.devices()
  return {
    "versions": {name: metadata.version(name) for name in _LIBRARIES},
    "device": {"platform": devices[0].platform, "kind": devices[0].device_kind, "count": len(devices)},
    "matmul_precision": jax.config.values["jax_default_matmul_precision"],
    "git_commit": _git_commit(),
  }


def describe(config: SweepConfig, data: Dataset, digest: str, resolved: Resolved) -> dict[str, Any]:
  """What a run is about, as JSON: the flags, the data, and every default that was filled in."""
  return {
    "config": config.flat(),
    "dataset": {
      "name": data.name,
      "train": len(data.train),
      "val": len(data.val),
      "test": len(data.test),
      "image_shape": list(data.image_shape),
      "label_names": list(data.label_names),
      "multi_label": data.multi_label,
      "openly_licensed": data.openly_licensed,
      "sha256": digest,
    },
    "absent_classes": [data.label_names[i] for i in absent_classes(data.test.labels, data.num_outputs)],
    "stolen": resolved.transpose.stolen,
    "attacks": list(resolved.attacks),
    "fine_tuning": {"epochs": resolved.epochs, "batch_size": resolved.batch_size},
    "postprocessings": list(POSTPROCESSINGS),
  }


def describe_members(parameters: dict[str, int], members: dict[str, Defense]) -> dict[str, Any]:
  """The layers, and each member's learning rates, as JSON.

  Args:
    parameters: Number of parameters by layer, in depth order.
    members: Schedules by member.
  """

  def rates(defense: Defense) -> dict[str, Any]:
    schedule = defense.schedule
    return {
      "steps": len(schedule),
      "peak_lr": [float(f"{rate:.6g}") for rate in schedule.max(axis=0)],
      "mean_lr": [float(f"{rate:.6g}") for rate in schedule.mean(axis=0)],
    }

  return {
    "layers": list(parameters),
    "layer_parameters": list(parameters.values()),
    "members": {name: rates(defense) for name, defense in members.items()},
  }


def check_resumable(before: dict[str, Any], now: dict[str, Any]) -> None:
  """Refuses to go on with a run that was started with other flags, on other data, or with another image codec.

  Raises:
    UserError: It names the first difference.
  """
  for flag, value in now["config"].items():
    if flag not in _FREE and before["config"].get(flag) != value:
      raise UserError(
        f"--{flag.replace('_', '-')} {value}: the run to go on with had {before['config'].get(flag)}; "
        "allowed: the same flags, or another --out"
      )
  if before["dataset"]["sha256"] != now["dataset"]["sha256"]:
    raise UserError("--resume: the data set's images or labels are not those the run was started on")
  for attack, settings in json.loads(json.dumps(now["infection"])).items():
    if before["infection"].get(attack) != settings:
      raise UserError(
        f"--resume: the {attack} attack is not as it was when the run was started (another --codec-npz, or another "
        "version of lwlrd_jax); allowed: the same, or another --out"
      )


def _git_commit() -> str | None:
  """Commit of the package's checkout; None outside of one."""
  try:
    answer = subprocess.run(
      ["git", "rev-parse", "HEAD"],
      cwd=Path(__file__).parent,
      capture_output=True,
      text=True,
      timeout=10,
      check=False,
    )
  except (OSError, subprocess.TimeoutExpired):
    return None
  return answer.stdout.strip() or None
