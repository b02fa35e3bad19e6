"""What a sweep has to do: fine-tunings, and the members that each of them gives."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from lwlrd_jax.config import Start
from lwlrd_jax.defenses.member_id import SHARED_CONTROLS, UNTREATED, MemberId, Steps
from lwlrd_jax.defenses.plan import Defense


class Job(NamedTuple):
  """A start, one schedule, the finishers before it, and the alternatives after it, each of which gives a member."""

  start: Start
  defense: Defense
  prepare: Steps
  finishes: tuple[Steps, ...]

  def member(self, attack: str, finish: Steps, seed: int) -> MemberId:
    """The member that it gives with one of its alternatives."""
    return MemberId(self.defense.label, attack, self.prepare, finish, seed, str(self.start))

  def members(self, attack: str, seed: int) -> dict[str, Steps]:
    """Names of the members it gives, with the finishers after the schedule."""
    return {str(self.member(attack, finish, seed)): finish for finish in self.finishes}


def controls_of(attack: str, attacks: Sequence[str], seed: int) -> tuple[str, ...]:
  """Names of the controls that are measured with an attack: its own model, untreated, and the shared ones."""
  own = str(MemberId(UNTREATED, attack, seed=seed))
  shared = tuple(str(MemberId(name, seed=seed)) for name in SHARED_CONTROLS)
  return (own, *shared) if attack == attacks[0] else (own,)


def table_order(attacks: Sequence[str], jobs: Sequence[Job], seeds: int) -> list[str]:
  """Members of a whole sweep in the order of its table."""
  return [
    name
    for seed in range(seeds)
    for attack in attacks
    for names in (controls_of(attack, attacks, seed), *(job.members(attack, seed) for job in jobs))
    for name in names
  ]


class Wave(NamedTuple):
  """Jobs that one process trains together: one program, on the same examples."""

  seed: int
  jobs: tuple[Job, ...]

  def members(self, attack: str) -> list[str]:
    """Names of its fine-tunings: of the first member that each job gives."""
    return [next(iter(job.members(attack, self.seed))) for job in self.jobs]

  def halves(self) -> list["Wave"]:
    """Two waves of half as many jobs."""
    middle = len(self.jobs) // 2
    return [Wave(self.seed, self.jobs[:middle]), Wave(self.seed, self.jobs[middle:])]


def waves_of(
  open_jobs: Mapping[int, Sequence[Job]],
  limit: int,
  *,
  workers: int = 1,
  reached: Callable[[int, Job], int] = lambda seed, job: 0,
) -> list[Wave]:
  """Jobs in waves of one seed, optimizer, batch size, length and steps already taken, in the order of the table.

  Students learn what no others do, and are in waves of their own.

  Args:
    open_jobs: By seed, in the order of the table.
    limit: Jobs that memory holds at once.
    workers: Processes that share them; each gets a wave if there are jobs enough.
    reached: Steps that a job's fine-tuning has taken before.
  """
  total = sum(map(len, open_jobs.values()))
  waves = []
  for seed, jobs in open_jobs.items():
    groups: dict[Any, list[Job]] = {}
    for job in jobs:
      defense = job.defense
      learns = job.start.kind == "distil"
      program = (learns, defense.optimizer, defense.batch_size, len(defense.schedule), reached(seed, job))
      groups.setdefault(program, []).append(job)
    for group in groups.values():
      share = min(round(workers * len(group) / total), len(group))
      # Waves of one size, or one less: at most two programs are compiled for them all.
      parts = np.array_split(np.arange(len(group)), max(-(-len(group) // limit), share))
      waves += [Wave(seed, tuple(group[i] for i in part)) for part in parts]
  return waves
