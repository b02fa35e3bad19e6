"""Members of a sweep: fine-tuned, finished, measured, and saved; and the controls beside them."""

import time
from collections.abc import Iterator, Sequence
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np

from lwlrd_jax.attacks.base import Attack, Infected
from lwlrd_jax.data.device import DeviceSplit
from lwlrd_jax.defenses.tuning_data import choose_share
from lwlrd_jax.disk.directory import RunDirectory
from lwlrd_jax.disk.snapshots import SnapshotFolder
from lwlrd_jax.engine.member import Member
from lwlrd_jax.engine.memory import is_out_of_memory
from lwlrd_jax.engine.population import finetune, kept_at_the_end
from lwlrd_jax.metrics.measure import sample_positions
from lwlrd_jax.models.liveness import Liveness
from lwlrd_jax.models.network import Params
from lwlrd_jax.models.task import Compute
from lwlrd_jax.plan.jobs import Job, Steps, Wave, controls_of, step_names
from lwlrd_jax.runs.controls import image_controls
from lwlrd_jax.runs.measuring import Treated, hiding_figures, measure_all, status
from lwlrd_jax.runs.store import Found
from lwlrd_jax.setup.finish import Finished, Scrubbed
from lwlrd_jax.setup.setting import Setting
from lwlrd_jax.setup.starting_points import (
  clean_model,
  finetune_key,
  finish_key,
  noise_key,
  share_key,
)
from lwlrd_jax.team import processes
from lwlrd_jax.user.model_name import short_name
from lwlrd_jax.watch.log import event
from lwlrd_jax.watch.progress import console, phase


def run_wave(
  setting: Setting,
  attack: Attack,
  wave: Wave,
  infected: Infected,
  directory: RunDirectory,
  snapshots: SnapshotFolder,
) -> Found:
  """Prepares, fine-tunes, finishes, measures and saves the members of a wave.

  Args:
    setting: What they share.
    attack: What the model was infected by.
    wave: What to do with it.
    infected: The model.
    directory: Where checkpoints go.
    snapshots: Where members are kept that are under way.

  Raises:
    Stopped: Somebody asked to stop; how far the fine-tuning has come is kept.
    TooLargeError: There is no room for so many members.
  """
  seed, jobs = wave.seed, wave.jobs
  first = jobs[0]
  started = time.monotonic()
  before = _apply(setting, attack, first.prepare, infected.params, jax.random.fold_in(finish_key(seed), 0), directory)
  of_wave = snapshots.of(wave.members(attack))
  with phase(_title(setting, attack, wave), len(first.defense.schedule), members=len(jobs)) as on_steps:
    population = finetune(
      setting.network.declared(before.params),
      np.stack([job.defense.schedule for job in jobs]),
      _tuning_split(setting, infected, seed),
      finetune_key(seed),
      member=Member(setting.network, first.defense.optimizer, 0.0, cast(Compute, setting.config.tuning.compute)),
      batch_size=first.defense.batch_size,
      augment=setting.config.data.augment,
      strategy=setting.strategy,
      snapshots=of_wave,
      on_steps=on_steps,
    )
  seconds = (time.monotonic() - started) / len(jobs)

  found = Found.nothing()

  def treated() -> Iterator[Treated]:
    for i, job in enumerate(jobs):
      # What belongs to no layer comes along as it is.
      tuned = {**before.params, **jax.tree.map(lambda leaf, i=i: leaf[i], population.params)}
      live = setting.finisher.live(tuned)
      for name, finish in job.members(attack, seed).items():
        if name in found.rows:
          continue
        after = _apply(setting, attack, finish, tuned, jax.random.fold_in(finish_key(seed), 1), directory, live)
        row = {
          **_common(setting, name, attack.name, seed, job.defense.name, attack.stolen),
          **_schedule_cells(setting, job, finish),
          **_scrub_cells(after.scrubbed or before.scrubbed),
          "seconds": seconds,
        }
        yield Treated(name, row, after.params, live.live, bool(np.isfinite(population.losses[i]).all()))

  count = sum(len(job.finishes) for job in jobs)
  with phase("finishing, measuring and saving", count, unit="members") as on_members:
    while len(found.rows) < count:
      try:
        for member, measured in measure_all(setting, attack, treated(), infected):
          found.add(member.name, {**member.row, "status": status(member, measured), **measured.figures()}, measured)
          directory.save(member.name, {"params": member.params})
          with kept_at_the_end(of_wave, population.reached):
            on_members(1)
      except jax.errors.JaxRuntimeError as error:
        if not is_out_of_memory(error) or setting.measured_together == 1:
          raise
        setting.measured_together //= 2
        console.print(f"out of memory while measuring: on with {setting.measured_together} members side by side")
  rate, took = len(first.defense.schedule) / seconds, round(time.monotonic() - started, 3)
  event("wave_done", attack=attack.name, seed=seed, members=len(jobs), seconds=took, member_steps_per_s=round(rate, 1))
  return found


def not_started(setting: Setting, attack: Attack, jobs: Sequence[Job], seed: int) -> Found:
  """Rows of members whose infected model has numbers that are none."""
  found = Found.nothing()
  for job in jobs:
    for name, finish in job.members(attack, seed).items():
      common = _common(setting, name, attack.name, seed, job.defense.name, attack.stolen)
      cells = _schedule_cells(setting, job, finish)
      found.rows[name] = {**common, **cells, "status": "failed: the infected model is not finite"}
  return found


def measure_controls(setting: Setting, attack: Attack, seed: int, infected: Infected, directory: RunDirectory) -> Found:
  """An attack's model as it is; with the first attack also one never infected, and sets of images that are controls."""
  untreated, *shared = controls_of(attack, setting.attacks, seed)
  models = [(untreated, attack.name, "untreated", infected.params)]
  if shared:
    models.append((shared[0], "none", "clean", clean_model(setting.origin, seed)))
  controls = []
  for name, of_attack, defense, params in models:
    row = _common(setting, name, of_attack, seed, defense, attack.stolen)
    controls.append(Treated(name, row, params, setting.finisher.live(params).live, True))
  found = Found.nothing()
  for member, measured in measure_all(setting, attack, controls, infected):
    row = {**member.row, "status": status(member, measured), **measured.figures()}
    if row["defense"] == "untreated":
      row |= hiding_figures(setting, attack, seed, infected)
    found.add(member.name, row, measured)
    directory.save(member.name, {"params": member.params})
  if shared:
    _add_image_controls(setting, attack, seed, infected, found)
  return found


def _add_image_controls(setting: Setting, attack: Attack, seed: int, infected: Infected, found: Found) -> None:
  splits = (setting.train, setting.val, setting.test)
  controls = image_controls(infected, *splits, setting.public, setting.network.num_outputs, noise_key(seed))
  for defense, control in controls.items():
    name = f"{defense}-s{seed}"
    common = _common(setting, name, "none", seed, defense, attack.stolen)
    found.rows[name] = {**common, **control.figures, "status": "ok"}
    found.outcomes.update({f"{column}/{name}": values for column, values in control.outcomes.items()})


def pictures(setting: Setting, infected: Infected) -> dict[str, np.ndarray]:
  """What reconstructions are to look like, of the first infection, and the mean training image."""
  shown = np.asarray(infected.stolen)[sample_positions(len(infected.stolen))]
  mean = np.asarray(jnp.round(setting.public.mean * 255).astype(jnp.uint8))
  return {"originals": setting.data.train.images[shown], "mean_image": mean}


def _apply(
  setting: Setting,
  attack: Attack,
  steps: Steps,
  params: Params,
  key: jax.Array,
  directory: RunDirectory,
  live: Liveness | None = None,
) -> Finished:
  """Steps on the weights; what they strip or keep is reported once for each attack, and recorded."""
  finished = setting.finisher.apply(steps, params, key, live=live)
  kept = finished.scrubbed.kept if finished.scrubbed else ()
  for name, found, text in (
    ("stripped", finished.stripped, f"structural check ({attack.name}): stripped"),
    ("kept", kept, f"scrub ({attack.name}): kept, for the sake of utility,"),
  ):
    recorded = directory.read_config().get(name) or {}
    # Every process finds the same in a model; the first has a part in all of them.
    if found and attack.name not in recorded and processes.is_first():
      directory.update_config(**{name: {**recorded, attack.name: list(found)}})
      console.print(f"{text} {', '.join(found)}")
  return finished


def _scrub_cells(scrubbed: Scrubbed | None) -> dict[str, Any]:
  if scrubbed is None:
    return {"scrubbed_planes": None}
  return {
    "scrubbed_planes": " ".join(map(str, scrubbed.planes)),
    "scrub_reinitialised": scrubbed.reinitialised,
    "scrub_kept": scrubbed.kept_weights,
  }


def _tuning_split(setting: Setting, infected: Infected, seed: int) -> DeviceSplit:
  """What the defence may look at."""
  tuning = setting.config.tuning
  if tuning.share == 1 and tuning.overlap == "any":
    return setting.train
  stolen = np.asarray(infected.stolen)
  return setting.train.subset(choose_share(len(setting.train), tuning.share, tuning.overlap, stolen, share_key(seed)))


def _common(setting: Setting, name: str, attack: str, seed: int, defense: str, stolen: int) -> dict[str, Any]:
  return {
    "member": name,
    "attack": attack,
    "model": short_name(setting.config.data.model),
    "dataset": setting.data.name,
    "seed": seed,
    "stolen": stolen,
    "defense": defense,
    "prepare": "none",
    "finish": "none",
  }


def _schedule_cells(setting: Setting, job: Job, finish: Steps) -> dict[str, Any]:
  defense, tuning = job.defense, setting.config.tuning
  names = ("decay", "lr_max", "floor", "epochs", "shape", "optimizer", "batch_size", "granularity")
  return {
    **{name: getattr(defense, name) for name in names},
    "share": tuning.share,
    "overlap": tuning.overlap,
    "prepare": step_names(job.prepare),
    "finish": step_names(finish),
  }


def _title(setting: Setting, attack: Attack, wave: Wave) -> str:
  names = sorted({job.defense.name for job in wave.jobs})
  what = names[0] if len(names) == 1 else "a mix of schedules"
  return f"fine-tuning ({attack.name}: {what})" + (f", seed {wave.seed}" if setting.seeds > 1 else "")
