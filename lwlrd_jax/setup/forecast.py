"""What a sweep would do, told without doing it: members, waves, programs, memory."""

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple, cast

import jax
import numpy as np
from rich.table import Table

from lwlrd_jax.engine.member import Member
from lwlrd_jax.engine.memory import free_on_device, taken_by
from lwlrd_jax.engine.population import compile_finetune
from lwlrd_jax.models.task import Compute
from lwlrd_jax.plan.jobs import Job, controls_of, table_order, waves_of
from lwlrd_jax.plan.resolve import Resolved, members_per_wave
from lwlrd_jax.setup.setting import Setting
from lwlrd_jax.team import processes
from lwlrd_jax.watch.progress import PlainConsole


class _Program(NamedTuple):
  """What is compiled once, and runs for every wave of its kind."""

  optimizer: str
  batch_size: int
  steps: int
  members: int


def print_forecast(setting: Setting, resolved: Resolved, jobs: Sequence[Job]) -> None:
  """Prints what a sweep would do.

  Args:
    setting: What its parts share.
    resolved: Defaults that depend on the data.
    jobs: What it would do with every infected model.
  """
  config, data, network, attacks = setting.config, setting.data, setting.network, setting.attacks
  seeds, params, strategy = setting.seeds, setting.declared, setting.strategy

  def needs(program: _Program) -> int:
    compiled = compile_finetune(
      params,
      np.zeros((program.members, program.steps, len(network.layers)), np.float32),
      setting.train,
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
  out = PlainConsole(highlight=False, quiet=not processes.is_first())
  for note in filter(None, (*data.notes, setting.copies.note, network.unused_message())):
    out.print(note, soft_wrap=True)
  out.print(f"{data.name}, {config.data.model}: {len(attacks)} attacks ({', '.join(resolved.attacks)}), seeds: {seeds}")
  out.print(f"members: {len(order) - controls}, and {controls} controls; checkpoints: {_size(of_model * len(order))}")
  if unknown := [attack.name for attack in attacks if not attack.size_is_known]:
    out.print(f"payload of {', '.join(unknown)}: its size is not known before the image codec is trained")
  if config.searching.search is not None:
    out.print(f"beside them the search's {config.searching.search} schedules, which only the search itself will know")
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
  where = f"{processes.count()} processes of {devices}" if processes.count() > 1 else devices
  out.print(f"on {where}; {len(programs)} programs to compile for fine-tuning; members share a device: {strategy}")


def _programs(jobs: Sequence[Job], seeds: int, limit: int) -> Counter[_Program]:
  """Waves of each program."""
  waves = waves_of(dict.fromkeys(range(seeds), jobs), limit, workers=processes.count())
  firsts: list[tuple[Any, int]] = [(wave.jobs[0].defense, len(wave.jobs)) for wave in waves]
  return Counter(_Program(one.optimizer, one.batch_size, len(one.schedule), members) for one, members in firsts)


def _size(size: int) -> str:
  return f"{size / 1e9:.2f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"
