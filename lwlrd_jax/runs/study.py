"""Several sweeps under one command: a study, and what they say together."""

import dataclasses
import datetime
import errno
from pathlib import Path
from typing import Any

import jax

from lwlrd_jax import stopping
from lwlrd_jax.config import Run, SweepConfig
from lwlrd_jax.config.parse import parse_track
from lwlrd_jax.disk.compiled import keep_compiled
from lwlrd_jax.disk.directory import RunDirectory
from lwlrd_jax.engine.memory import TooLargeError, in_a_line, is_out_of_memory
from lwlrd_jax.errors import UserError
from lwlrd_jax.jax_settings import find_devices
from lwlrd_jax.runs.execute import check, execute, forecast
from lwlrd_jax.runs.track import check_ready
from lwlrd_jax.storage import check_writable, make_folder, path_of, printable
from lwlrd_jax.team import process_beside as aside
from lwlrd_jax.team import processes
from lwlrd_jax.watch.log import event, recording, write_to
from lwlrd_jax.watch.progress import console

# Errors that are no fault of ours.
_OF_THE_DISK = {
  *(errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO, errno.EFBIG),
  *(errno.EBUSY, errno.ENOTEMPTY, errno.ESTALE, errno.ENAMETOOLONG, errno.ENOTDIR, errno.ELOOP),
}


@recording()
def execute_all(configs: dict[str, SweepConfig], command: list[str]) -> Path | None:
  """Runs a sweep, or each sweep of a study in a folder of its own.

  Args:
    configs: Validated; a lone one under the name "".
    command: The command line, for the record.

  Returns:
    The run directory; of a study the folder that holds its runs, and comparison.html; None if nothing was
    to be done but told.

  Raises:
    UserError: See `execute`; or JAX finds no device; or a study's folder is there already and is to be neither gone on
      with nor replaced.
    Stopped: Somebody asked to stop; what was under way is saved.
  """
  processes.join(next(iter(configs.values())).processes)
  find_devices()
  keep_compiled()
  aside.begin()
  with stopping.signals():  # JAX listens to SIGTERM too, from when processes have joined
    try:
      return _execute_all(configs, command)
    except (TooLargeError, jax.errors.JaxRuntimeError) as error:
      if not is_out_of_memory(error):
        raise
      raise UserError(
        f"out of memory ({in_a_line(error)}); allowed: a smaller --model or --infect-batch-size"
      ) from error
    except OSError as error:
      if error.errno not in _OF_THE_DISK:
        raise
      raise UserError(f"{error.filename or 'disk'}: {error.strerror}") from error
    except UnicodeEncodeError as error:  # a library that wants a path as text
      raise UserError(
        f"{printable(error.object)}: cannot be used as a path, it is no text in {error.encoding}; allowed: another name"
      ) from error


def _execute_all(configs: dict[str, SweepConfig], command: list[str]) -> Path | None:
  first = next(iter(configs.values()))
  for config in configs.values():
    check_ready(parse_track(config.watching.track))
  if list(configs) == [""]:
    if not first.run.dry_run:
      return execute(configs[""], command)
    forecast(configs[""])
    return None
  there = {config.data.dataset for config in configs.values()}
  configs = {name: _with_own_flags(config, there) for name, config in configs.items()}
  now = datetime.datetime.now(datetime.UTC)
  file = "study" if first.run.config is None else first.run.config.stem
  out = path_of(first.run.out or Path("runs") / f"{now:%Y%m%d-%H%M%S}-{file}")
  goes_on = first.run.resume or first.run.restartable
  if processes.is_first():
    _check_folder(out, first.run)
  if first.run.dry_run:
    for name, config in configs.items():
      forecast(_in_folder(config, out / name, goes_on=goes_on))
      jax.clear_caches()
    return None
  for config in configs.values():
    check(config)  # a mistake in the last would show after hours
    jax.clear_caches()  # programs that read images on the host hold on to them
  old = [RunDirectory(out / name) for name in configs if first.run.overwrite]
  if processes.is_first():
    try:
      make_folder(out, exist_ok=True)
    except OSError as error:
      raise UserError(f"--out {out}: cannot be created ({error.strerror}); allowed: a folder you can write") from error
    for run in old:
      RunDirectory.check(run.path, resume=False, overwrite=True)
    # All of them at once: one left in place would be taken for done when a study that was killed is gone on with.
    for run in old:
      run.set_aside()
    # A log of what belongs to no run; each run has one of its own.
    write_to(out)
  event("study_resumed" if goes_on else "study_begun", command=" ".join(command), runs=list(configs))
  processes.wait("the study's folder is there")
  try:
    _run_each(configs, out, command, goes_on=goes_on)
  except UserError as error:
    if not processes.is_first():
      raise
    # Beside a new run an old one would be taken for done again: then they stay set aside.
    if any(run.path.exists() for run in old):
      where = ", ".join(str(run.replaced) for run in old if run.replaced.exists())
      raise UserError(f"{error} (the old runs: {where})" if where else str(error)) from error
    for run in old:
      run.take_back()
    raise
  if processes.is_first():
    _tell_of_all([out / name for name in configs], out)
  processes.wait("the study is told of")
  return out


def _check_folder(out: Path, run: Run) -> None:
  if run.resume and not out.is_dir():
    raise UserError(f"--resume: there is no study in {out}; allowed: --out with the folder of one that was stopped")
  new = not (run.resume or run.restartable or run.overwrite)
  if out.exists() and (not out.is_dir() or (new and any(out.iterdir()))):
    raise UserError(f"--out {out}: is there already; allowed: another folder, --resume or --overwrite")
  try:
    check_writable(out)
  except OSError as error:
    raise UserError(f"--out {out}: cannot be written ({error.strerror}); allowed: a folder you can write") from error


def _tell_of_all(runs: list[Path], out: Path) -> None:
  # Only now wait for what draws.
  from lwlrd_jax.report.compare import write_comparison  # noqa: PLC0415

  console.print(f"comparison: {write_comparison(runs, out / 'comparison.html')}")
  event("study_done", runs=len(runs))


def _run_each(configs: dict[str, SweepConfig], out: Path, command: list[str], *, goes_on: bool) -> None:
  for number, (name, config) in enumerate(configs.items(), 1):
    folder = out / name
    console.print(f"{name}, run {number} of {len(configs)}")
    if processes.is_first() and goes_on and folder.is_dir() and not any(folder.iterdir()):
      folder.rmdir()  # killed before its first file
    execute(_in_folder(config, folder, goes_on=goes_on), command)
    if processes.is_first():
      write_to(out)
    # Every run compiles programs of its own: kept, those of a long study exhaust the process's memory mappings.
    jax.clear_caches()


def _in_folder(config: SweepConfig, folder: Path, *, goes_on: bool) -> SweepConfig:
  run = dataclasses.replace(config.run, out=str(folder), resume=False, restartable=goes_on)
  return dataclasses.replace(config, run=run)


def _with_own_flags(config: SweepConfig, there: set[str]) -> SweepConfig:
  """Flags are given to all runs of a study, but `--npz` and `--mimic-dir` are of use to one data set each.

  Args:
    config: Of one run.
    there: Data sets of all runs: a flag that none of them has a use for stays, and is refused.
  """
  free: dict[str, Any] = {
    flag: None
    for flag, dataset in (("npz", "npz"), ("mimic_dir", "mimic-cxr"))
    if dataset in there and config.data.dataset != dataset
  }
  return dataclasses.replace(config, data=dataclasses.replace(config.data, **free))
