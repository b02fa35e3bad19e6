"""What a sweep would do, told without doing it: members, waves, programs, memory."""

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple, cast

import jax
import numpy as np
from rich.console import Console
from rich.table import Table

from lwlrd_jax import processes
from lwlrd_jax.attacks.base import Attack
from lwlrd_jax.config import SweepConfig
from lwlrd_jax.data import Dataset
from lwlrd_jax.data.device import to_device
from lwlrd_jax.engine.member import Member
from lwlrd_jax.engine.memory import free_on_device, taken_by
from lwlrd_jax.engine.population import compile_finetune
from lwlrd_jax.models import build_model
from lwlrd_jax.models.task import Compute
from lwlrd_jax.runs.jobs import Job, controls_of, table_order, waves_of
from lwlrd_jax.runs.resolve import Resolved, jobs_of, members_per_wave, strategy_of


class _Named(NamedTuple):
  """An attack as far as names go. It need not be made, nor its codec trained."""

  name: str


class _Program(NamedTuple):
  """What is compiled once, and runs for every wave of its kind."""

  optimizer: str
  batch_size: int
  steps: int
  members: int


def print_forecast(config: SweepConfig, data: Dataset, resolved: Resolved) -> None:
  """Prints what a sweep would do.

  Args:
    config: The flags.
    data: The data set.
    resolved: Defaults that depend on it.
  """
  network, params = build_model(config.data.model, data.image_shape, data.num_outputs, jax.random.key(0))
  strategy = strategy_of(config.run.strategy, network, params, resolved.batch_size)
  jobs = jobs_of(config, resolved, len(data.train), network)
  attacks = [cast(Attack, _Named(name)) for name in resolved.attacks]
  seeds = config.infection.seeds
  train = to_device(data.train, stream=resolved.stream)

  def needs(program: _Program) -> int:
    compiled = compile_finetune(
      params,
      np.zeros((program.members, program.steps, len(network.layers)), np.float32),
      train,
      member=Member(network, program.optimizer, 0.0, cast(Compute, config.tuning.compute)),
      batch_size=program.batch_size,
      augment=config.data.augment,
      strategy=strategy,
    )
    return taken_by(compiled)

  limit = members_per_wave(config.run.members_per_wave, network, params, resolved.batch_size, strategy)
  free = free_on_device()
  programs = _programs(jobs, seeds, limit)
  sizes = {program: needs(program) for program in programs}
  # As the run would: too large a wave is halved, and all that follow.
  while free is not None and (large := [one.members for one in programs if sizes[one] > free and one.members > 1]):
    programs = _programs(jobs, seeds, max(large) // 2)
    sizes |= {program: needs(program) for program in programs if program not in sizes}

  order = table_order(attacks, jobs, seeds)
  controls = sum(len(controls_of(attack, attacks, seed)) for attack in attacks for seed in range(seeds))
  of_model = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(params))
  out = Console(highlight=False, quiet=not processes.is_first())
  out.print(f"{data.name}, {config.data.model}: {len(attacks)} attacks ({', '.join(resolved.attacks)}), seeds: {seeds}")
  if message := network.unused_message():
    out.print(message)
  out.print(f"members: {len(order) - controls}, and {controls} controls; checkpoints: {_size(of_model * len(order))}")
  if config.searching.search is not None:
    out.print(f"beside them the search's {config.searching.search} schedules, which only the search itself will know")
  room = "memory that is free is not known" if free is None else f"of {_size(free)} that a device has free"
  table = Table(title=f"Fine-tuning, the same for every attack; {room}", title_justify="left")
  for column in ("program", "steps", "batch", "members a wave", "waves an attack", "takes"):
    table.add_column(column)
  for program, waves in programs.items():
    cells = (program.optimizer, program.steps, program.batch_size, program.members, waves)
    table.add_row(*map(str, cells), _size(sizes[program]) + (" (too much)" if free and sizes[program] > free else ""))
  out.print(table)
  devices = f"{jax.local_device_count()} {jax.local_devices()[0].device_kind}"
  where = f"{processes.count()} processes of {devices}" if processes.count() > 1 else devices
  out.print(f"on {where}; {len(programs)} programs to compile for fine-tuning; members share a device: {strategy}")


def _programs(jobs: Sequence[Job], seeds: int, limit: int) -> Counter[_Program]:
  """Waves of each program."""
  waves = waves_of(dict.fromkeys(range(seeds), jobs), limit, workers=processes.count())
  firsts: list[tuple[Any, int]] = [(wave.jobs[0].defense, len(wave.jobs)) for wave in waves]
  return Counter(_Program(one.optimizer, one.batch_size, len(one.schedule), members) for one, members in firsts)


def _size(size: int) -> str:
  return f"{size / 1e9:.2f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"
