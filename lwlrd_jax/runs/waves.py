"""Who does what, and when: waves of members, dealt to the processes in rounds, each on disk before the next."""

from collections.abc import Iterator, Sequence

import jax

from lwlrd_jax import stopping
from lwlrd_jax.attacks.base import Attack, Infected
from lwlrd_jax.disk.model_cache import is_finite
from lwlrd_jax.disk.snapshots import SnapshotFolder
from lwlrd_jax.engine.memory import TooLargeError, in_a_line, is_out_of_memory
from lwlrd_jax.errors import UserError
from lwlrd_jax.jax_internals import forget_lowered
from lwlrd_jax.plan.jobs import Job, Wave, controls_of, waves_of
from lwlrd_jax.plan.resolve import members_per_wave
from lwlrd_jax.runs import gathering as parts
from lwlrd_jax.runs.members import measure_controls, not_started, pictures, run_wave
from lwlrd_jax.runs.store import Found, Store
from lwlrd_jax.setup.setting import Setting
from lwlrd_jax.setup.starting_points import infected_models
from lwlrd_jax.team import processes
from lwlrd_jax.watch.profile import traced_once
from lwlrd_jax.watch.progress import console


def run_jobs(setting: Setting, jobs: Sequence[Job], store: Store, order: Sequence[str]) -> None:
  """Every attack, every infection, every wave, but for what is done already.

  Args:
    setting: What they share.
    jobs: What to do with every infected model.
    store: What is done; it is added to wave by wave.
    order: Members in the order of the table.

  Raises:
    UserError: A single member does not fit into memory, or cannot be written; what was done before is kept.
    Stopped: Somebody asked to stop; what was under way is kept.
  """
  for attack in setting.attacks:
    _Rounds(setting, attack, jobs, store, order).run()


class _Rounds:
  """Those of one attack."""

  def __init__(self, setting: Setting, attack: Attack, jobs: Sequence[Job], store: Store, order: Sequence[str]):
    self._setting = setting
    self._attack = attack
    self._store = store
    self._order = order
    self._snapshots = SnapshotFolder(store.directory.path, 60 * setting.config.run.snapshot_minutes)
    done = store.rows.keys()
    self._open = {
      seed: [job for job in jobs if not done >= job.members(attack, seed).keys()] for seed in range(setting.seeds)
    }
    self._controls = {seed for seed in self._open if not done >= set(controls_of(attack, setting.attacks, seed))}
    batch_size = max((job.defense.batch_size for job in jobs), default=setting.config.tuning.batch_size)
    self._limit = self._members_per_wave(batch_size)

  def _members_per_wave(self, batch_size: int) -> int:
    """As the first process has it: all of them have to deal the same waves. Who has less room halves their own."""
    setting = self._setting

    def limit() -> int:
      asked = setting.config.run.members_per_wave
      return members_per_wave(asked, setting.network, setting.declared, batch_size, setting.strategy)

    return int(processes.say(lambda: str(limit())))

  def run(self) -> None:
    setting, attack, store = self._setting, self._attack, self._store
    seeds = [seed for seed, jobs in self._open.items() if jobs or seed in self._controls]
    if not seeds:
      return
    models = dict(zip(seeds, infected_models(setting.origin, attack, seeds, setting.strategy), strict=True))
    if not store.rows:  # pictures of members have nothing to stand beside otherwise
      store.add(Found({}, pictures(setting, models[seeds[0]]), {}, {}), self._order)
    if processes.is_first():
      for seed in sorted(self._controls):
        kept = {"secret": models[seed].secret, "stolen": models[seed].stolen}
        store.directory.save(f"secret-{attack.name}-s{seed}", kept)
    for seed in [seed for seed, infected in models.items() if not is_finite(infected.params)]:
      console.print(f"infection of seed {seed} ({attack.name}): not finite, nothing is started from it")
      self._add(not_started(setting, attack, self._open.pop(seed), seed))
    waves = waves_of(self._open, self._limit, workers=processes.count(), reached=self._reached)
    for first in range(0, len(waves), processes.count()):
      dealt = waves[first : first + processes.count()]
      self._round(dealt, models)
      # Controls come second: whoever waits for the first step of a sweep should not wait for what is measured of them.
      for seed in dict.fromkeys(wave.seed for wave in dealt):
        self._measure_controls(seed, models[seed])
      forget_lowered()
      if len(waves) > processes.count():
        done = sum(len(wave.jobs) for wave in waves[: first + processes.count()])
        console.print(f"{attack.name}: {done} of {sum(len(wave.jobs) for wave in waves)} fine-tunings done")
    for seed in sorted(self._controls):
      self._measure_controls(seed, models[seed])

  def _round(self, dealt: Sequence[Wave], models: dict[int, Infected]) -> None:
    mine = dealt[processes.index()] if processes.index() < len(dealt) else None
    found = Found.nothing()
    if mine is not None:
      for part in self._as_memory_allows(mine, models[mine.seed]):
        if processes.count() == 1:
          self._add(part)
        found.update(part)
    if processes.count() > 1:
      self._add(found)

  def _as_memory_allows(self, wave: Wave, infected: Infected) -> Iterator[Found]:
    """A wave; or its halves one after the other, if there is no room for it at once."""
    directory = self._store.directory
    if len(wave.jobs) <= min(self._limit, self._setting.most_members):
      stopping.check()
      try:
        with traced_once(directory.path, wanted=self._setting.config.watching.profile and processes.is_first()):
          found = run_wave(self._setting, self._attack, wave, infected, directory, self._snapshots)
      except (TooLargeError, jax.errors.JaxRuntimeError) as error:
        if not is_out_of_memory(error):
          raise
        if len(wave.jobs) == 1:
          raise UserError(
            f"out of memory: a single member does not fit ({in_a_line(error)}); allowed: a smaller --batch-size or "
            "--model, --strategy loop, or a device with more memory"
          ) from error
        self._setting.most_members = len(wave.jobs) // 2
        console.print(
          f"out of memory: {len(wave.jobs)} members at once are too many ({in_a_line(error)}), on with "
          f"{self._setting.most_members}"
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
      found = Found.nothing()
      if processes.is_first():
        found = measure_controls(self._setting, self._attack, seed, infected, self._store.directory)
      self._add(found)

  def _add(self, found: Found) -> None:
    self._store.add(parts.gather(found, self._store.directory), self._order)
    if processes.count() > 1:
      parts.forget(self._store.directory)
    if processes.is_first():
      self._snapshots.drop(self._store.rows.keys())

  def _reached(self, seed: int, job: Job) -> int:
    return self._snapshots.reached.get(next(iter(job.members(self._attack, seed))), 0)
