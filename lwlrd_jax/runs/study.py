"""Several sweeps under one command: a study, and what they say together."""

import contextlib
import dataclasses
import datetime
import errno
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax

from lwlrd_jax import stopping
from lwlrd_jax.config import Run, SweepConfig
from lwlrd_jax.disk import orbax_process
from lwlrd_jax.disk.compiled import keep_compiled
from lwlrd_jax.disk.directory import RunDirectory, out_errors
from lwlrd_jax.engine.memory import TooLargeError, in_a_line, is_out_of_memory
from lwlrd_jax.errors import UserError
from lwlrd_jax.jax_settings import find_devices
from lwlrd_jax.runs.sweep import check_sweep, forecast_sweep, run_sweep
from lwlrd_jax.runs.track import check_ready
from lwlrd_jax.storage import check_writable, make_folder, path_of, printable
from lwlrd_jax.team import Team, join
from lwlrd_jax.watch.log import event, recording, write_to
from lwlrd_jax.watch.progress import console

_OF_THE_DISK = {  # errors that are no fault of ours
  *(errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO, errno.EFBIG),
  *(errno.EBUSY, errno.ENOTEMPTY, errno.ESTALE, errno.ENAMETOOLONG, errno.ENOTDIR, errno.ELOOP),
}


@recording()
def run_all(configs: dict[str, SweepConfig], command: list[str]) -> Path | None:
  """Runs a sweep (a validated config under the name ""), or each sweep of a study in a folder of its own.

  Returns:
    The run directory; of a study the folder that holds its runs, and comparison.html; None after a dry run.

  Raises:
    UserError: See `run_sweep`; or JAX finds no device; or a study's folder exists and is neither resumed nor replaced.
    Stopped: The user asked to stop; unfinished work is saved.
  """
  first = next(iter(configs.values()))
  team = join(**dataclasses.asdict(first.processes))
  # JAX listens to SIGTERM too, from when processes have joined.
  with team.reporting(), _in_one_line(), stopping.signals():
    find_devices()
    keep_compiled()
    orbax_process.begin()
    for config in configs.values():
      check_ready(config.watching.track)
    if list(configs) != [""]:
      return _run_study(configs, command, team)
    if not first.run.dry_run:
      return run_sweep(first, command, team)
    forecast_sweep(first, team)
    return None


@contextlib.contextmanager
def _in_one_line() -> Iterator[None]:
  """Errors that are no fault of ours, in a line that a user understands."""
  try:
    yield
  except (TooLargeError, jax.errors.JaxRuntimeError) as error:
    if not is_out_of_memory(error):
      raise
    raise UserError(f"out of memory ({in_a_line(error)}); allowed: a smaller `model` or `infect_batch_size`") from error
  except OSError as error:
    if error.errno not in _OF_THE_DISK:
      raise
    raise UserError(f"{error.filename or 'disk'}: {error.strerror}") from error
  except UnicodeEncodeError as error:  # a library that wants a path as text
    raise UserError(
      f"{printable(error.object)}: cannot be used as a path, it is no text in {error.encoding}; allowed: another name"
    ) from error


def _run_study(configs: dict[str, SweepConfig], command: list[str], team: Team) -> Path | None:
  first = next(iter(configs.values()))
  there = {config.data.dataset for config in configs.values()}
  configs = {name: _with_own_flags(config, there) for name, config in configs.items()}
  now = datetime.datetime.now(datetime.UTC)
  file = "study" if first.run.config is None else first.run.config.stem
  out = path_of(first.run.out or Path("runs") / f"{now:%Y%m%d-%H%M%S}-{file}")
  resumes = first.run.resume or first.run.restartable
  if team.is_first:
    _check_folder(out, first.run)
  if first.run.dry_run:
    for name, config in configs.items():
      forecast_sweep(_in_folder(config, out / name, resumes=resumes), team.within(f"dry {name}"))
      jax.clear_caches()
    return None
  for name, config in configs.items():
    check_sweep(config, team.within(f"check {name}"))  # a mistake in the last would show after hours
    jax.clear_caches()  # programs that read images on the host hold on to them
  old = [RunDirectory(out / name) for name in configs if first.run.overwrite]
  if team.is_first:
    with out_errors(out, "created"):
      make_folder(out, exist_ok=True)
    for run in old:
      RunDirectory.check(run.path, resume=False, overwrite=True)
    # All of them at once: one left in place would be taken for done when a killed study is resumed.
    for run in old:
      run.set_aside()
    # A log of what belongs to no run; each run has one of its own.
    write_to(out)
  event("study_resumed" if resumes else "study_begun", command=" ".join(command), runs=list(configs))
  team.wait("the study's folder is there")
  try:
    _run_each(configs, out, command, team, resumes=resumes)
  except UserError as error:
    if not team.is_first:
      raise
    # Beside a new run an old one would be taken for done again: then they stay set aside.
    if any(run.path.exists() for run in old):
      where = ", ".join(str(run.replaced) for run in old if run.replaced.exists())
      raise UserError(f"{error} (the old runs: {where})" if where else str(error)) from error
    for run in old:
      run.take_back()
    raise
  if team.is_first:
    _compare([out / name for name in configs], out)
  team.wait("the runs are compared")
  return out


def _check_folder(out: Path, run: Run) -> None:
  if run.resume and not out.is_dir():
    raise UserError(f"`resume`: there is no study in {out}; allowed: `out` with the folder of one that was stopped")
  new = not (run.resume or run.restartable or run.overwrite)
  if out.exists() and (not out.is_dir() or (new and any(out.iterdir()))):
    raise UserError(f"`out` {out}: is there already; allowed: another folder, `resume` or `overwrite`")
  with out_errors(out, "written" if out.exists() else "created"):
    check_writable(out)


def _compare(runs: list[Path], out: Path) -> None:
  # Only now wait for what draws.
  from lwlrd_jax.report.compare import write_comparison  # noqa: PLC0415

  console.print(f"comparison: {write_comparison(runs, out / 'comparison.html')}")
  event("study_done", runs=len(runs))


def _run_each(configs: dict[str, SweepConfig], out: Path, command: list[str], team: Team, *, resumes: bool) -> None:
  for number, (name, config) in enumerate(configs.items(), 1):
    folder = out / name
    console.print(f"{name}, run {number} of {len(configs)}")
    if team.is_first and resumes and folder.is_dir() and not any(folder.iterdir()):
      folder.rmdir()  # killed before its first file
    run_sweep(_in_folder(config, folder, resumes=resumes), command, team.within(name))
    if team.is_first:
      write_to(out)
    # Every run compiles programs of its own: kept, those of a long study exhaust the process's memory mappings.
    jax.clear_caches()


def _in_folder(config: SweepConfig, folder: Path, *, resumes: bool) -> SweepConfig:
  run = dataclasses.replace(config.run, out=str(folder), resume=False, restartable=resumes)
  return dataclasses.replace(config, run=run)


def _with_own_flags(config: SweepConfig, there: set[str]) -> SweepConfig:
  """Drops `npz` and `mimic_dir` from runs of other data sets, if any run of the study is of the flag's own."""
  free: dict[str, Any] = {
    flag: None
    for flag, dataset in (("npz", "npz"), ("mimic_dir", "mimic-cxr"))
    if dataset in there and config.data.dataset != dataset
  }
  return dataclasses.replace(config, data=dataclasses.replace(config.data, **free))
