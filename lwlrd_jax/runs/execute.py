"""One sweep from the data set to the report. Everything numerical is elsewhere; this is the order of things."""

import contextlib
import dataclasses
import datetime
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax

from lwlrd_jax.config import SweepConfig
from lwlrd_jax.data import Dataset, load_dataset
from lwlrd_jax.disk.checkpoints import clear_unfinished
from lwlrd_jax.disk.directory import RunDirectory
from lwlrd_jax.disk.environment import environment
from lwlrd_jax.disk.snapshots import remove_snapshots
from lwlrd_jax.errors import UserError
from lwlrd_jax.models.identity import identity
from lwlrd_jax.plan.jobs import Job, table_order
from lwlrd_jax.plan.resolve import Resolved, jobs_of, resolve
from lwlrd_jax.report import write_report
from lwlrd_jax.runs import gathering as parts
from lwlrd_jax.runs.observed_store import WatchedStore
from lwlrd_jax.runs.searching import run_search
from lwlrd_jax.runs.store import Store
from lwlrd_jax.runs.waves import run_jobs
from lwlrd_jax.setup.describe import check_resumable, describe, describe_members
from lwlrd_jax.setup.forecast import print_forecast
from lwlrd_jax.setup.rate_distortion import compare_codecs
from lwlrd_jax.setup.setting import Setting
from lwlrd_jax.setup.starting_points import describe_attack
from lwlrd_jax.storage import path_of
from lwlrd_jax.team import processes
from lwlrd_jax.user.model_name import short_name
from lwlrd_jax.watch.log import event, write_to
from lwlrd_jax.watch.progress import console

# Flags that processes of one run may differ in: who they are, and where their files lie.
_OF_A_PROCESS = {"process_id", "model", "npz", "data_dir", "mimic_dir", "codec_npz", "config"}


def execute(config: SweepConfig, command: list[str]) -> Path:
  """Runs a sweep.

  Args:
    config: What the user asked for, validated.
    command: The command line, for the record.

  Returns:
    The run directory.

  Raises:
    UserError: A mistake that only the data or the disk could show, before anything was written; or a model that an
      attack's carrier cannot hide codes in, which shows once the waves before it are done.
  """
  started = time.monotonic()
  now = datetime.datetime.now(datetime.UTC)
  out, resume = _directory(config, now)
  resolved, setting, jobs = _plan(config)
  _check_same(config, setting)
  if processes.is_first():
    for note in filter(None, (*setting.data.notes, setting.copies.note, setting.network.unused_message())):
      console.print(note, soft_wrap=True)
  description = _description(setting, resolved, jobs)
  record = {"command": " ".join(command), "started": now.isoformat(timespec="milliseconds"), **environment()}
  order = table_order(setting.attacks, jobs, setting.seeds)
  with contextlib.ExitStack() as stack:

    def begin() -> str:
      directory = RunDirectory(out) if resume else RunDirectory.create(out, overwrite=config.run.overwrite)
      stack.enter_context(directory.lock())
      clear_unfinished(directory.path / "checkpoints")
      return _begin(directory, {**record, **description}, resume=resume)

    _check_same_directory(out, processes.say(begin))
    if processes.is_first():
      write_to(out)
    event("run_resumed" if resume else "run_begun", command=record["command"], **environment())
    directory = RunDirectory(out)
    elapsed = directory.read_config()["elapsed_seconds"] - started
    store = _store(config, setting, directory, lambda: elapsed + time.monotonic())
    left_over = parts.left_over(directory)
    processes.wait("what was left over is read")
    if left_over.rows:
      store.add(left_over, order)
    if processes.is_first():
      parts.clear(directory)
      if config.dec.rate_distortion and not directory.read_rate_distortion():
        directory.write_rate_distortion(compare_codecs(config, setting.data))
    run_jobs(setting, jobs, store, order)
    if config.searching.search is not None:
      run_search(setting, resolved, jobs, store)
    if missing := set(order) - store.rows.keys():
      raise RuntimeError(f"{len(missing)} members were never run, {min(missing)} among them")
    processes.wait("everything is run")
    store.record(run_seconds=round(elapsed + time.monotonic(), 1))
    if processes.is_first():
      parts.clear(directory)
      remove_snapshots(out)
      console.print(f"report: {write_report(out)}")
      directory.finish()
    event("run_done", members=len(store.rows), seconds=round(time.monotonic() - started, 1))
    processes.wait("the report is written")
  return out


def _directory(config: SweepConfig, now: datetime.datetime) -> tuple[Path, bool]:
  """Where the run is or will be, checked, and whether it is one to go on with."""
  name = f"{now:%Y%m%d-%H%M%S}-{config.data.dataset}-{short_name(config.data.model)}"
  out = path_of(config.run.out or Path("runs") / name)
  resume = config.run.resume
  if config.run.restartable:
    # The first process may have begun it by the time that another one looks.
    resume = processes.say(lambda: str((out / "config.json").is_file())) == "True"
  if processes.is_first():
    RunDirectory.check(out, resume=resume, overwrite=config.run.overwrite)
  return out, resume


def _description(setting: Setting, resolved: Resolved, jobs: list[Job]) -> dict[str, Any]:
  """What config.json says of the run; of attacks whose codec is not trained yet, nothing."""
  known = [attack for attack in setting.attacks if attack.size_is_known]
  return {
    **describe(setting, resolved),
    "infection": {attack.name: describe_attack(setting.origin, attack) for attack in known},
    "knows": {attack.name: attack.info.knows for attack in setting.attacks},
    **describe_members(setting, jobs),
  }


def _store(config: SweepConfig, setting: Setting, directory: RunDirectory, elapsed: Callable[[], float]) -> Store:
  """Of several processes the first tells of what it is given."""
  if not processes.is_first():
    return Store(directory, may_show=setting.may_show, elapsed=elapsed)
  return WatchedStore(directory, track=config.watching.track, may_show=setting.may_show, elapsed=elapsed)


def _begin(directory: RunDirectory, description: dict[str, Any], *, resume: bool) -> str:
  """Writes config.json before the work: a run that is killed can be told from no run, and gone on with.

  Returns:
    When the run began, by which other processes know that they see the same directory.
  """
  kept: dict[str, Any] = {"stripped": {}, "kept": {}, "elapsed_seconds": 0.0, "tracked": {}}
  if resume:
    before = directory.read_config()
    check_resumable(before, description)
    # The record is that of the run's beginning, and of all that it has done so far.
    description |= {name: before[name] for name in ("command", "started", "git_commit")}
    kept |= {name: before[name] for name in (*kept, "search") if name in before}
    description["members"] = {**before["members"], **description["members"]}
  directory.write_config({**description, "run_seconds": None, **kept})
  return description["started"]


def _check_same(config: SweepConfig, setting: Setting) -> None:
  """Refuses processes that were started otherwise, or have other images."""
  own = {name: str(value) for name, value in config.flat().items() if name not in _OF_A_PROCESS}
  own["model"] = identity(config.data.model, setting.data.image_shape, setting.data.num_outputs)
  own["images and labels"] = setting.origin.digest
  for name, value in json.loads(processes.say(lambda: json.dumps(own))).items():
    if own[name] != value:
      raise UserError(f"process {processes.index()} has other {name} than process 0: {own[name]}, not {value}")


def _check_same_directory(out: Path, started: str) -> None:
  """Refuses processes that do not see what the first one writes."""
  if processes.is_first():
    return
  try:
    found = RunDirectory(out).read_config()["started"]
  except (UserError, KeyError):
    found = None
  if found != started:
    raise UserError(
      f"--out {out}: process {processes.index()} does not see there what process 0 has written; allowed: a folder on a "
      "disk that all of them share, or a bucket"
    )


def check(config: SweepConfig) -> None:
  """Looks for mistakes that only the data can show, before anything is trained or written.

  Args:
    config: As for `execute`.

  Raises:
    UserError: The first that is found, as far as it can be known without a trained image codec.
  """
  _plan(config, dry=True)


def _plan(config: SweepConfig, *, dry: bool = False) -> tuple[Resolved, Setting, list[Job]]:
  data, resolved = _data(config)
  setting = Setting(config, data, resolved, dry=dry)
  return resolved, setting, jobs_of(config, resolved, len(data.train), setting.network)


def forecast(config: SweepConfig) -> None:
  """Prints what a sweep would do; as `execute`, but nothing is trained and nothing written.

  Raises:
    UserError: As `execute`, as far as it can be known without a trained image codec.
  """
  out, resume = _directory(config, datetime.datetime.now(datetime.UTC))
  resolved, setting, jobs = _plan(config, dry=True)
  if resume:
    check_resumable(RunDirectory(out).read_config(), {**environment(), **_description(setting, resolved, jobs)})
  print_forecast(setting, resolved, jobs)


def _data(config: SweepConfig) -> tuple[Dataset, Resolved]:
  # Before anything is computed, or looked up in the cache by what it was computed with.
  jax.config.update("jax_default_matmul_precision", config.run.matmul_precision)
  # Preparing a data set writes to a disk that processes may share.
  with processes.first_goes_first("the data set is ready"):
    data = load_dataset(
      config.data.dataset,
      npz=config.data.npz,
      data_dir=config.data.data_dir,
      image_size=config.data.image_size,
      labels=config.data.labels,
      mimic_dir=config.data.mimic_dir,
      mimic=config.data.mimic(),
    )
  resolved = resolve(config, data)
  # By the first one's memory: other programs round otherwise.
  stream = processes.say(lambda: str(resolved.stream)) == "True"
  return data, dataclasses.replace(resolved, stream=stream)
