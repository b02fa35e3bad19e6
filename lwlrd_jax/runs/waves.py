"""Waves of members, dealt to the processes in rounds, each on disk before the next."""

import sys
from collections.abc import Iterator, Sequence

import jax

from lwlrd_jax import stopping
from lwlrd_jax.attacks.base import Infected
from lwlrd_jax.disk.model_cache import is_finite
from lwlrd_jax.disk.snapshots import SnapshotFolder
from lwlrd_jax.engine.memory import TooLargeError, in_a_line, is_out_of_memory
from lwlrd_jax.errors import UserError
from lwlrd_jax.jax_internals import forget_lowered
from lwlrd_jax.plan.jobs import Job, Wave, waves_of
from lwlrd_jax.plan.room import measured_together
from lwlrd_jax.runs.members import Limits, Workbench, measure_controls, not_started, pictures, run_wave
from lwlrd_jax.runs.store import Found, Store
from lwlrd_jax.setup.setup import Setup
from lwlrd_jax.setup.starting_points import infected_models
from lwlrd_jax.team import Team
from lwlrd_jax.watch.profile import traced_once
from lwlrd_jax.watch.progress import console


class Runner:
  """Runs jobs against every attack, and adds to the store wave by wave."""

  def __init__(self, setup: Setup, store: Store, team: Team):
    self._setup, self._store, self._team = setup, store, team
    plan = setup.plan
    self._limits = Limits(sys.maxsize, measured_together(plan.network, plan.declared, plan.infection.stolen))

  def run(self, name: str, jobs: Sequence[Job], order: Sequence[str]) -> None:
    """Runs every attack, infection and wave that the store lacks; `order` is the table's.

    Raises:
      UserError: A single member does not fit into memory, or cannot be written; finished waves are kept.
      Stopped: The user asked to stop; unfinished work is kept.
    """
    directory = self._store.directory
    snapshots = SnapshotFolder(directory.path, self._setup.plan.execution.snapshot_seconds)
    for attack in self._setup.attacks:
      team = self._team.within(f"{name} {attack.name}")
      _Rounds(Workbench(self._setup, attack, directory, snapshots, team, self._limits), jobs, self._store, order).run()


class _Rounds:
  """Those of one attack."""

  def __init__(self, bench: Workbench, jobs: Sequence[Job], store: Store, order: Sequence[str]):
    self._bench, self._store, self._order = bench, store, order
    plan, attack, done = bench.setup.plan, bench.attack.name, store.rows.keys()
    seeds = range(plan.infection.seeds)
    self._open = {seed: [job for job in jobs if not done >= job.members(attack, seed).keys()] for seed in seeds}
    self._controls = {seed for seed in seeds if not done >= set(plan.controls(attack, seed))}

  def run(self) -> None:
    bench, team, store, attack = self._bench, self._bench.team, self._store, self._bench.attack
    seeds = [seed for seed, jobs in self._open.items() if jobs or seed in self._controls]
    if not seeds:
      return
    models = dict(zip(seeds, infected_models(bench.setup.origin, attack, seeds, team), strict=True))
    if not store.rows:  # pictures of members have nothing to stand beside otherwise
      self._add("pictures", Found({}, pictures(bench.setup, models[seeds[0]]), {}, {}))
    if team.is_first:
      for seed in sorted(self._controls):
        kept = {"secret": models[seed].secret, "stolen": models[seed].stolen}
        store.directory.save(f"secret-{attack.name}-s{seed}", kept)
    for seed in [seed for seed, infected in models.items() if not is_finite(infected.params)]:
      console.print(f"infection of seed {seed} ({attack.name}): not finite, nothing is started from it")
      self._add(f"not started {seed}", not_started(bench, self._open.pop(seed), seed))
    limit = bench.setup.plan.execution.members_per_wave
    waves = waves_of(self._open, limit, workers=team.count, reached=self._reached)
    for first in range(0, len(waves), team.count):
      dealt = waves[first : first + team.count]
      self._round(first // team.count, dealt, models)
      # Controls come second: a user who waits for the first step of a sweep should not wait for their measurement.
      for seed in dict.fromkeys(wave.seed for wave in dealt):
        self._measure_controls(seed, models[seed])
      forget_lowered()
      if len(waves) > team.count:
        done = sum(len(wave.jobs) for wave in waves[: first + team.count])
        console.print(f"{attack.name}: {done} of {sum(len(wave.jobs) for wave in waves)} fine-tunings done")
    for seed in sorted(self._controls):
      self._measure_controls(seed, models[seed])

  def _round(self, number: int, dealt: Sequence[Wave], models: dict[int, Infected]) -> None:
    team = self._bench.team
    found = Found.nothing()
    if team.index < len(dealt):
      mine = dealt[team.index]
      for part in self._as_memory_allows(mine, models[mine.seed]):
        if team.count == 1:
          self._add(f"round {number}", part)
        found.update(part)
    if team.count > 1:
      self._add(f"round {number}", found)

  def _as_memory_allows(self, wave: Wave, infected: Infected) -> Iterator[Found]:
    """A wave, or its halves one after the other if memory does not hold it."""
    bench, execution = self._bench, self._bench.setup.plan.execution
    if len(wave.jobs) <= min(execution.members_per_wave, bench.limits.wave):
      stopping.check()
      try:
        with traced_once(bench.directory.path, wanted=execution.profile and bench.team.is_first):
          found = run_wave(bench, wave, infected)
      except (TooLargeError, jax.errors.JaxRuntimeError) as error:
        if not is_out_of_memory(error):
          raise
        if len(wave.jobs) == 1:
          raise UserError(
            f"out of memory: a single member does not fit ({in_a_line(error)}); allowed: a smaller `batch_size` or "
            "`model`, `strategy` loop, or a device with more memory"
          ) from error
        bench.limits.wave = len(wave.jobs) // 2
        console.print(
          f"out of memory: {len(wave.jobs)} members at once are too many ({in_a_line(error)}), on with "
          f"{bench.limits.wave}"
        )
      else:
        yield found
        return
    # Out here nothing holds on to what the failed attempt had allocated.
    for half in wave.halves():
      yield from self._as_memory_allows(half, infected)

  def _measure_controls(self, seed: int, infected: Infected) -> None:
    if seed in self._controls:
      self._controls.discard(seed)
      stopping.check()
      found = measure_controls(self._bench, seed, infected) if self._bench.team.is_first else Found.nothing()
      self._add(f"controls {seed}", found)

  def _add(self, name: str, found: Found) -> None:
    team = self._bench.team
    self._store.share(name, found, self._order, team)
    if team.is_first:
      self._bench.snapshots.drop(self._store.rows.keys())

  def _reached(self, seed: int, job: Job) -> int:
    return self._bench.snapshots.reached.get(next(iter(job.members(self._bench.attack.name, seed))), 0)
