"""Members of a sweep: fine-tuned, finished, measured, and saved; and the controls beside them."""

import dataclasses
import time
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lwlrd_jax.attacks.base import Attack, Infected
from lwlrd_jax.config import Start
from lwlrd_jax.data.device import DeviceSplit
from lwlrd_jax.defenses.member_id import UNTREATED, MemberId, Steps, step_names
from lwlrd_jax.defenses.start import checkpoint_bytes
from lwlrd_jax.defenses.tuning_data import choose_share
from lwlrd_jax.disk.directory import RunDirectory
from lwlrd_jax.disk.snapshots import SnapshotFolder
from lwlrd_jax.engine.member import Member
from lwlrd_jax.engine.memory import is_out_of_memory
from lwlrd_jax.engine.population import Finetuning, finetune, kept_at_the_end
from lwlrd_jax.metrics.measure import sample_positions
from lwlrd_jax.models.liveness import Liveness
from lwlrd_jax.models.network import Params
from lwlrd_jax.plan.jobs import Job, Wave
from lwlrd_jax.runs.controls import image_controls
from lwlrd_jax.runs.measuring import Treated, hiding_figures, measure_all, status
from lwlrd_jax.runs.store import Found
from lwlrd_jax.setup.finish import Finished, Scrubbed
from lwlrd_jax.setup.setup import Setup
from lwlrd_jax.setup.start import Started
from lwlrd_jax.setup.starting_points import clean_model, key_of
from lwlrd_jax.team import Team
from lwlrd_jax.user.model_name import short_name
from lwlrd_jax.watch.log import event
from lwlrd_jax.watch.progress import console, phase


@dataclasses.dataclass
class Limits:
  """Members that are fine-tuned and that are measured at once; lowered where there is no memory for so many."""

  wave: int
  measured: int


class Workbench(NamedTuple):
  """What members of one attack are worked on with."""

  setup: Setup
  attack: Attack
  directory: RunDirectory
  snapshots: SnapshotFolder
  team: Team
  limits: Limits

  def common(self, member: MemberId, defense: str) -> dict[str, Any]:
    """Cells that every row has."""
    plan = self.setup.plan
    return {
      "member": str(member),
      "attack": member.attack or "none",
      "model": short_name(plan.model),
      "dataset": plan.data.name,
      "seed": member.seed,
      "stolen": self.attack.stolen,
      "defense": defense,
      "prepare": step_names(member.prepare),
      "finish": step_names(member.finish),
    }

  def scheduled(self, job: Job, finish: Steps, seed: int) -> dict[str, Any]:
    """Cells of a member that has a schedule."""
    defense, plan = job.defense, self.setup.plan
    names = ("decay", "lr_max", "floor", "epochs", "shape", "optimizer", "batch_size", "granularity")
    return {
      **self.common(job.member(self.attack.name, finish, seed), defense.name),
      "start": str(job.start),
      **{name: getattr(defense, name) for name in names},
      "share": plan.share,
      "overlap": plan.overlap,
    }

  def compute(self, job: Job, passes: int) -> float:
    """Operations of a schedule, and of so many images that a model was run on, over those of the original training."""
    original, train = self.setup.plan.infection.training, len(self.setup.plan.data.train)
    # A step runs forwards once, and backwards at twice the cost.
    taken = len(job.defense.schedule) * min(job.defense.batch_size, train)
    return (taken + passes / 3) / (original.steps * min(original.batch_size, train))


def run_wave(bench: Workbench, wave: Wave, infected: Infected) -> Found:
  """Prepares, fine-tunes, finishes, measures and saves the members of a wave.

  Raises:
    Stopped: The user asked to stop; a snapshot of the fine-tuning is kept.
    TooLargeError: There is no memory for so many members.
  """
  setup, attack, seed, jobs = bench.setup, bench.attack, wave.seed, wave.jobs
  plan, first, started = setup.plan, jobs[0], time.monotonic()
  begun = _begin(bench, wave, infected)
  data = next(iter(begun.values())).started.data
  of_wave = bench.snapshots.of(wave.members(attack.name))
  with phase(_title(bench, wave), len(first.defense.schedule), members=len(jobs)) as on_steps:
    population = finetune(
      [begun[job.start, job.prepare].declared for job in jobs],
      np.stack([job.defense.schedule for job in jobs]),
      data,
      key_of(seed, "finetune"),
      Finetuning(
        Member(plan.network, first.defense.optimizer, 0.0, plan.compute),
        first.defense.batch_size,
        plan.infection.training.augment,
        plan.execution.strategy,
      ),
      snapshots=of_wave,
      on_steps=on_steps,
    )
  seconds = (time.monotonic() - started) / len(jobs)

  found = Found.nothing()

  def treated() -> Iterator[Treated]:
    for i, job in enumerate(jobs):
      started, before, _ = begun[job.start, job.prepare]
      # What belongs to no layer comes along as it is.
      tuned = {**before.params, **jax.tree.map(lambda leaf, i=i: leaf[i], population.params)}
      live = setup.finisher.live(tuned)
      for name, finish in job.members(attack.name, seed).items():
        if name in found.rows:
          continue
        after = _apply(bench, finish, tuned, jax.random.fold_in(key_of(seed, "finish"), 1), live)
        cells = _scrub_cells(after.scrubbed or before.scrubbed)
        cells["compute"] = bench.compute(job, started.passes + before.passes + after.passes)
        cells["certified_bytes"] = min(started.certified, before.size, after.size)
        row = {**bench.scheduled(job, finish, seed), **cells, "seconds": seconds}
        yield Treated(name, row, after.params, live.live, bool(np.isfinite(population.losses[i]).all()))

  count = sum(len(job.finishes) for job in jobs)
  with phase("finishing, measuring and saving", count, unit="members") as on_members:
    while len(found.rows) < count:
      try:
        for member, measured in measure_all(setup.bench, attack, treated(), infected, bench.limits.measured):
          found.add(member.name, {**member.row, "status": status(member, measured), **measured.figures()}, measured)
          bench.directory.save(member.name, {"params": member.params})
          with kept_at_the_end(of_wave, population.reached):
            on_members(1)
      except jax.errors.JaxRuntimeError as error:
        if not is_out_of_memory(error) or bench.limits.measured == 1:
          raise
        bench.limits.measured //= 2
        console.print(f"out of memory while measuring: on with {bench.limits.measured} members side by side")
  rate, took = len(first.defense.schedule) / seconds, round(time.monotonic() - started, 3)
  event("wave_done", attack=attack.name, seed=seed, members=len(jobs), seconds=took, member_steps_per_s=round(rate, 1))
  return found


def not_started(bench: Workbench, jobs: Sequence[Job], seed: int) -> Found:
  """Rows of members whose infected model holds NaN or infinity."""
  found = Found.nothing()
  for job in jobs:
    for name, finish in job.members(bench.attack.name, seed).items():
      found.rows[name] = {**bench.scheduled(job, finish, seed), "status": "failed: the infected model is not finite"}
  return found


def measure_controls(bench: Workbench, seed: int, infected: Infected) -> Found:
  """Measures an attack's model as it is; with the first attack also one never infected, and image controls."""
  setup, attack = bench.setup, bench.attack
  models = [(MemberId(UNTREATED, attack.name, seed=seed), infected.params)]
  shares = len(setup.plan.controls(attack.name, seed)) > 1
  if shares:
    models.append((MemberId("clean", seed=seed), clean_model(setup.origin, seed)))
  controls = []
  for member_id, params in models:
    row = bench.common(member_id, member_id.schedule)
    if member_id.schedule == UNTREATED:
      row |= {"compute": 0.0, "certified_bytes": checkpoint_bytes(params)}
    controls.append(Treated(str(member_id), row, params, setup.finisher.live(params).live, True))
  found = Found.nothing()
  for member, measured in measure_all(setup.bench, attack, controls, infected, bench.limits.measured):
    row = {**member.row, "status": status(member, measured), **measured.figures()}
    if row["defense"] == UNTREATED:
      row |= hiding_figures(setup, attack, seed, infected)
    found.add(member.name, row, measured)
    bench.directory.save(member.name, {"params": member.params})
  if shares:
    for defense, control in image_controls(setup, infected, key_of(seed, "noise")).items():
      member_id = MemberId(defense, seed=seed)
      found.rows[str(member_id)] = {**bench.common(member_id, defense), **control.figures, "status": "ok"}
      found.outcomes.update({f"{column}/{member_id}": values for column, values in control.outcomes.items()})
  return found


def pictures(setup: Setup, infected: Infected) -> dict[str, np.ndarray]:
  """Some stolen images of an infection, and the mean training image."""
  shown = np.asarray(infected.stolen)[sample_positions(len(infected.stolen))]
  mean = np.asarray(jnp.round(setup.bench.public.mean * 255).astype(jnp.uint8))
  return {"originals": setup.plan.data.train.images[shown], "mean_image": mean}


class _Begun(NamedTuple):
  """What jobs of one start and one preparation begin from."""

  started: Started
  before: Finished
  declared: Params  # of the network alone


def _begin(bench: Workbench, wave: Wave, infected: Infected) -> dict[tuple[Start, Steps], _Begun]:
  """By start and preparation."""
  setup, seed, found = bench.setup, wave.seed, {}
  data = _tuning_split(setup, infected, seed)
  for job in wave.jobs:
    if (job.start, job.prepare) not in found:
      started = setup.starter.begin(job.start, infected.params, data, key_of(seed, "owner"))
      before = _apply(bench, job.prepare, started.params, jax.random.fold_in(key_of(seed, "finish"), 0))
      found[job.start, job.prepare] = _Begun(started, before, setup.plan.network.declared(before.params))
  return found


def _apply(bench: Workbench, steps: Steps, params: Params, key: jax.Array, live: Liveness | None = None) -> Finished:
  """Applies finishers; what they strip or keep is reported and recorded once for each attack."""
  attack, directory = bench.attack.name, bench.directory
  finished = bench.setup.finisher.apply(steps, params, key, live=live)
  kept = finished.scrubbed.kept if finished.scrubbed else ()
  for name, found, text in (
    ("stripped", finished.stripped, f"structural check ({attack}): stripped"),
    ("kept", kept, f"scrub ({attack}): kept, for the sake of utility,"),
  ):
    recorded = directory.read_config().get(name) or {}
    # Every process finds the same in a model; the first has a part in all of them.
    if found and attack not in recorded and bench.team.is_first:
      directory.update_config(**{name: {**recorded, attack: list(found)}})
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


def _tuning_split(setup: Setup, infected: Infected, seed: int) -> DeviceSplit:
  """The share of the training split that the defence sees."""
  plan, train = setup.plan, setup.bench.train
  if plan.share == 1 and plan.overlap == "any":
    return train
  stolen = np.asarray(infected.stolen)
  return train.subset(choose_share(len(train), plan.share, plan.overlap, stolen, key_of(seed, "share")))


def _title(bench: Workbench, wave: Wave) -> str:
  names = sorted({job.defense.name for job in wave.jobs})
  what = names[0] if len(names) == 1 else "a mix of schedules"
  several = bench.setup.plan.infection.seeds > 1
  return f"fine-tuning ({bench.attack.name}: {what})" + (f", seed {wave.seed}" if several else "")
