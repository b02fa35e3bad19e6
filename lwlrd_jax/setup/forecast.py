"""What a sweep would do: members, waves, programs, memory."""

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from rich.table import Table

from lwlrd_jax.engine.member import Member
from lwlrd_jax.engine.memory import free_on_device, taken_by
from lwlrd_jax.engine.population import Finetuning, compile_finetune
from lwlrd_jax.plan.jobs import Job, waves_of
from lwlrd_jax.setup.setup import Setup
from lwlrd_jax.team import Team
from lwlrd_jax.watch.progress import PlainConsole


class _Program(NamedTuple):
  """What is compiled once, and runs for every wave of its kind."""

  optimizer: str
  batch_size: int
  steps: int
  members: int


def print_forecast(setup: Setup, team: Team) -> None:
  """Prints what a sweep would do."""
  plan, data, network = setup.plan, setup.plan.data, setup.plan.network
  params, strategy, jobs, seeds = plan.declared, plan.execution.strategy, plan.jobs, plan.infection.seeds

  def needs(program: _Program) -> int:
    compiled = compile_finetune(
      params,
      np.zeros((program.members, program.steps, len(network.layers)), np.float32),
      setup.bench.train,
      Finetuning(
        Member(network, program.optimizer, 0.0, plan.compute),
        program.batch_size,
        plan.infection.training.augment,
        strategy,
      ),
    )
    return taken_by(compiled)

  free = free_on_device()
  programs = _programs(jobs, seeds, plan.execution.members_per_wave, team)
  sizes = {program: needs(program) for program in programs}
  # As the run would: too large a wave is halved, and all that follow.
  while free is not None and (large := [one.members for one in programs if sizes[one] > free and one.members > 1]):
    programs = _programs(jobs, seeds, max(large) // 2, team)
    sizes |= {program: needs(program) for program in programs if program not in sizes}

  order, attacks = plan.order(), plan.infection.attacks
  controls = sum(len(plan.controls(attack, seed)) for attack in attacks for seed in range(seeds))
  of_model = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(params))
  out = PlainConsole(highlight=False, quiet=not team.is_first)
  for note in setup.notes:
    out.print(note, soft_wrap=True)
  out.print(f"{data.name}, {plan.model}: {len(attacks)} attacks ({', '.join(attacks)}), seeds: {seeds}")
  out.print(f"members: {len(order) - controls}, and {controls} controls; checkpoints: {_size(of_model * len(order))}")
  if unknown := [attack.name for attack in setup.attacks if not attack.size_is_known]:
    out.print(f"payload of {', '.join(unknown)}: its size is not known before the image codec is trained")
  if plan.search is not None:
    out.print(f"beside them the search's {plan.search.budget} schedules, which only the search itself will know")
  room = "memory that is free is not known" if free is None else f"of {_size(free)} that a device has free"
  rows = []
  title = f"Fine-tuning, the same for every attack; {room}"
  table = Table(title=title, title_justify="left")
  columns = ("program", "steps", "batch", "members a wave", "waves an attack", "takes")
  for column in columns:
    table.add_column(column)
  for program, waves in programs.items():
    takes = _size(sizes[program]) + (" (too much)" if free and sizes[program] > free else "")
    cells = (program.optimizer, program.steps, program.batch_size, program.members, waves, takes)
    table.add_row(*map(str, cells))
    rows.append("; ".join(f"{column}: {cell}" for column, cell in zip(columns, cells, strict=True)))
  if out.measure(table, options=out.options.update(width=1000)).minimum <= out.width:
    out.print(table)
  else:
    out.print(title, *rows, sep="\n")
  devices = f"{jax.local_device_count()} {jax.local_devices()[0].device_kind}"
  where = f"{team.count} processes of {devices}" if team.count > 1 else devices
  out.print(f"on {where}; {len(programs)} programs to compile for fine-tuning; members share a device: {strategy}")


def _programs(jobs: Sequence[Job], seeds: int, limit: int, team: Team) -> Counter[_Program]:
  """Waves of each program."""
  waves = waves_of(dict.fromkeys(range(seeds), jobs), limit, workers=team.count)
  firsts: list[tuple[Any, int]] = [(wave.jobs[0].defense, len(wave.jobs)) for wave in waves]
  return Counter(_Program(one.optimizer, one.batch_size, len(one.schedule), members) for one, members in firsts)


def _size(size: int) -> str:
  return f"{size / 1e9:.2f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"
