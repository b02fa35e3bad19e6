"""What config.json says of a run, and whether a stopped run is the one that is asked for again."""

import json
from collections.abc import Sequence
from typing import Any

from lwlrd_jax.config import SweepConfig
from lwlrd_jax.defenses.plan import Defense
from lwlrd_jax.errors import UserError, with_flags
from lwlrd_jax.metrics.measure import MEASURES
from lwlrd_jax.metrics.postprocess import POSTPROCESSINGS
from lwlrd_jax.metrics.utility import absent_classes
from lwlrd_jax.models.identity import identity
from lwlrd_jax.plan.jobs import Job
from lwlrd_jax.plan.plan import Plan
from lwlrd_jax.setup.setup import Setup
from lwlrd_jax.setup.starting_points import describe_attack
from lwlrd_jax.user.model_name import own_model

# Flags that say where and how to run, not what.
_FREE = (
  *("out", "resume", "restartable", "overwrite", "show_stolen", "config", "dry_run"),
  *("members_per_wave", "snapshot_minutes", "strategy", "stream"),
  *("distributed", "coordinator", "processes", "process_id", "join_timeout"),
  *("data_dir", "npz", "codec_npz", "mimic_dir", "attack_file", "track", "profile"),
)


def describe(setup: Setup) -> dict[str, Any]:
  """What a run is about, as JSON: the flags, the data, and every default that was filled in.

  Attacks whose codec is not trained yet are left out of `infection`.
  """
  plan, data = setup.plan, setup.plan.data
  sizes = {layer: sum(leaf.size for leaf in plan.declared[layer].values()) for layer in plan.network.layers}
  return {
    "config": plan.flags,
    "dataset": {
      "name": data.name,
      "train": len(data.train),
      "copies": setup.copies.copies,
      "distinct": setup.copies.distinct,
      "val": len(data.val),
      "test": len(data.test),
      "image_shape": list(data.image_shape),
      "label_names": list(data.label_names),
      "multi_label": data.multi_label,
      "openly_licensed": data.openly_licensed,
      "sha256": setup.origin.digest,
      "notes": [with_flags(note) for note in data.notes],
    },
    "model": identity(plan.model, data.image_shape, data.num_outputs),
    "unused_parameters": list(plan.network.unused),
    "absent_classes": [data.label_names[i] for i in absent_classes(data.test.labels, data.num_outputs)],
    "stolen": plan.infection.stolen,
    "attacks": list(plan.infection.attacks),
    "fine_tuning": {
      "epochs": plan.grid.epochs,
      "batch_size": plan.grid.batch_size,
      "lrs": list(plan.grid.lrs),
      "granularity": plan.grid.granularity,
    },
    "execution": {"strategy": plan.execution.strategy, "stream": plan.execution.stream},
    "postprocessings": list(POSTPROCESSINGS),
    "measures": MEASURES,
    "infection": {
      attack.name: describe_attack(setup.origin, attack) for attack in setup.attacks if attack.size_is_known
    },
    "hides": {attack.name: attack.info.hides for attack in setup.attacks},
    "knows": {attack.name: attack.info.knows for attack in setup.attacks},
    "layers": list(sizes),
    "layer_parameters": list(sizes.values()),
    "members": describe_members(plan, plan.jobs),
  }


def describe_members(plan: Plan, jobs: Sequence[Job]) -> dict[str, Any]:
  """Each member's learning rates, as JSON."""

  def rates(defense: Defense) -> dict[str, Any]:
    schedule = defense.schedule
    return {
      "steps": len(schedule),
      "peak_lr": [float(f"{rate:.6g}") for rate in schedule.max(axis=0)],
      "mean_lr": [float(f"{rate:.6g}") for rate in schedule.mean(axis=0)],
    }

  return {
    name: rates(job.defense)
    for seed in range(plan.infection.seeds)
    for attack in plan.infection.attacks
    for job in jobs
    for name in job.members(attack, seed)
  }


def _meant(flags: dict[str, Any], run: dict[str, Any]) -> dict[str, Any]:
  """Flags with a network's default rates filled in, and without the folder of a network's file."""
  filled = {name: run["fine_tuning"][name] for name in ("lrs", "granularity") if flags.get(name) is None}
  own = own_model(flags["model"])
  model = {} if own is None else {"model": own.name}
  return SweepConfig().replaced({**flags, **filled, **model}).values()


def check_resumable(before: dict[str, Any], now: dict[str, Any]) -> None:
  """Refuses to resume a run with other flags, data, image codec, kind of device, or versions of libraries.

  Args:
    before: config.json as the run has it.
    now: What it would be if the run began now.

  Raises:
    UserError: It names the first difference.
  """
  # A run started by a version without a flag did what the flag's default does.
  had = {**SweepConfig().flat(), **before["config"]}
  meant_before, meant_now = _meant(had, now), _meant(now["config"], now)
  for flag, value in now["config"].items():
    if flag not in _FREE and meant_before[flag] != meant_now[flag]:
      raise UserError(f"`{flag}` {value}: the run to resume had {had[flag]}; allowed: the same flags, or another `out`")
  for name, version in now["versions"].items():
    if before["versions"].get(name, version) != version:
      raise UserError(
        f"`resume`: the run was started with {name} {before['versions'][name]}, this is {version}; "
        "allowed: the same version, or another `out`"
      )
  if before["device"]["platform"] != now["device"]["platform"]:
    raise UserError(
      f"`resume`: the run was started on {before['device']['platform']}, this is {now['device']['platform']}; "
      "allowed: the same kind of device, or another `out`"
    )
  if before["dataset"]["sha256"] != now["dataset"]["sha256"]:
    raise UserError("`resume`: the data set's images or labels are not those the run was started on")
  if before.get("model", now["model"]) != now["model"]:
    raise UserError(f"`resume`: {now['config']['model']} is not what it was when the run was started")
  if before.get("measures", 1) != now.get("measures", 1):
    raise UserError(
      "`resume`: this version of lwlrd_jax measures otherwise than the one that started the run; allowed: that one, "
      "or another `out`"
    )
  for attack, settings in json.loads(json.dumps(now["infection"])).items():
    if before["infection"].get(attack) != settings:
      raise UserError(
        f"`resume`: the {attack} attack is not as it was when the run was started (another `codec_npz`, or another "
        "version of lwlrd_jax); allowed: the same, or another `out`"
      )
