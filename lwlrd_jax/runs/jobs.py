"""What a sweep has to do: fine-tunings, and the members that each of them gives."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from lwlrd_jax.attacks.base import Attack
from lwlrd_jax.defenses.plan import Defense

# Steps on the weights, by name; none is no step.
Steps = tuple[str, ...]
# Controls that stand once in a table, measured with the first attack.
SHARED_CONTROLS = ("clean", "mean_image", "originals", "noise_images")


class Job(NamedTuple):
  """One schedule, the steps before it, and the alternative steps after it, each of which gives a member."""

  defense: Defense
  prepare: Steps
  finishes: tuple[Steps, ...]

  def members(self, attack: Attack, seed: int) -> dict[str, Steps]:
    """Names of the members it gives, with the steps after the schedule."""
    before = f"-after-{step_names(self.prepare)}" if self.prepare else ""
    return {
      f"{attack.name}-{self.defense.label}{before}{f'-then-{step_names(steps)}' if steps else ''}-s{seed}": steps
      for steps in self.finishes
    }


def step_names(steps: Steps) -> str:
  """As in the results table.

  >>> step_names(("noise", "scrub")), step_names(())
  ('noise+scrub', 'none')
  """
  return "+".join(steps) or "none"


def controls_of(attack: Attack, attacks: Sequence[Attack], seed: int) -> tuple[str, ...]:
  """Names of the controls that are measured with an attack: its own model, untreated, and the shared ones."""
  own = f"{attack.name}-untreated-s{seed}"
  return (own, *(f"{name}-s{seed}" for name in SHARED_CONTROLS)) if attack is attacks[0] else (own,)


def table_order(attacks: Sequence[Attack], jobs: Sequence[Job], seeds: int) -> list[str]:
  """Members of a whole sweep in the order of its table."""
  return [
    name
    for seed in range(seeds)
    for attack in attacks
    for names in (controls_of(attack, attacks, seed), *(job.members(attack, seed) for job in jobs))
    for name in names
  ]


def waves_of(jobs: Iterable[Job], limit: int) -> list[list[Job]]:
  """Jobs that one program trains together: from one start, of one optimizer, batch size and length.

  Args:
    jobs: In the order of the table.
    limit: Jobs that memory holds at once.
  """
  groups: dict[Any, list[Job]] = {}
  for job in jobs:
    defense = job.defense
    groups.setdefault((job.prepare, defense.optimizer, defense.batch_size, len(defense.schedule)), []).append(job)
  waves = []
  for group in groups.values():
    # Waves of one size, or one less: at most two programs are compiled for them all.
    parts = np.array_split(np.arange(len(group)), -(-len(group) // limit))
    waves += [[group[i] for i in part] for part in parts]
  return waves
