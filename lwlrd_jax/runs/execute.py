"""One sweep from the data set to the report. Everything numerical is elsewhere; this is the order of things."""

import datetime
import time
from pathlib import Path
from typing import Any

import jax

from lwlrd_jax.config import SweepConfig
from lwlrd_jax.config.parse import parse_finish
from lwlrd_jax.data import load_dataset
from lwlrd_jax.log import event, write_to
from lwlrd_jax.model_name import short_name
from lwlrd_jax.progress import console
from lwlrd_jax.report import write_report
from lwlrd_jax.runs.attacks import knows_of
from lwlrd_jax.runs.describe import check_resumable, describe, describe_members
from lwlrd_jax.runs.directory import RunDirectory
from lwlrd_jax.runs.environment import environment
from lwlrd_jax.runs.jobs import Job, table_order
from lwlrd_jax.runs.members import run_jobs
from lwlrd_jax.runs.rate_distortion import compare_codecs
from lwlrd_jax.runs.resolve import Resolved, defenses_of, resolve
from lwlrd_jax.runs.searching import run_search
from lwlrd_jax.runs.setting import Setting
from lwlrd_jax.runs.starting_points import describe_attack
from lwlrd_jax.runs.watched import WatchedStore


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
  name = f"{now:%Y%m%d-%H%M%S}-{config.data.dataset}-{short_name(config.data.model)}"
  out = config.run.out or Path("runs") / name
  RunDirectory.check(out, resume=config.run.resume, overwrite=config.run.overwrite)
  resolved, setting, jobs = _plan(config)

  description = {
    **describe(setting, resolved),
    "infection": {attack.name: describe_attack(setting.origin, attack) for attack in setting.attacks},
    "knows": {attack.name: knows_of(attack.name) for attack in setting.attacks},
    **describe_members(setting, jobs),
  }
  record = {"command": " ".join(command), "started": now.isoformat(timespec="seconds"), **environment()}
  kept: dict[str, Any] = {"stripped": {}, "elapsed_seconds": 0.0, "tracked": {}}
  if config.run.resume:
    directory = RunDirectory(out)
    before = directory.read_config()
    check_resumable(before, {**record, **description})
    # The record is that of the run's beginning, and of all that it has done so far.
    record |= {name: before[name] for name in ("command", "started", "git_commit")}
    kept |= {name: before[name] for name in (*kept, "search") if name in before}
    description["members"] = {**before["members"], **description["members"]}
  else:
    directory = RunDirectory.create(out, overwrite=config.run.overwrite)
  # Written before the work as well: a run that is killed can be told from no run, and gone on with.
  directory.write_config({**record, "run_seconds": None, **description, **kept})
  write_to(out)
  event("run_resumed" if config.run.resume else "run_begun", command=" ".join(command), **environment())
  if config.dec.rate_distortion and not directory.read_rate_distortion():
    directory.write_rate_distortion(compare_codecs(config, setting.data))
  elapsed = kept["elapsed_seconds"] - started
  store = WatchedStore(
    directory, track=config.watching.track, may_show=setting.may_show, elapsed=lambda: elapsed + time.monotonic()
  )
  run_jobs(setting, jobs, store, table_order(setting.attacks, jobs, setting.seeds))
  if config.searching.search is not None:
    run_search(setting, resolved, jobs, store)
  directory.update_config(run_seconds=round(elapsed + time.monotonic(), 1))
  report = write_report(out)
  directory.finish()
  console.print(f"report: {report}")
  event("run_done", members=len(store.rows), seconds=round(time.monotonic() - started, 1))
  return out


def check(config: SweepConfig) -> None:
  """Looks for mistakes that only the data can show, before anything is written but the cache.

  Args:
    config: As for `execute`.

  Raises:
    UserError: The first that is found.
  """
  _plan(config)


def _plan(config: SweepConfig) -> tuple[Resolved, Setting, list[Job]]:
  # Before anything is computed, or looked up in the cache by what it was computed with.
  jax.config.update("jax_default_matmul_precision", config.run.matmul_precision)
  data = load_dataset(
    config.data.dataset,
    npz=config.data.npz,
    data_dir=config.data.data_dir,
    image_size=config.data.image_size,
    mimic_dir=config.data.mimic_dir,
    mimic=config.data.mimic(),
  )
  resolved = resolve(config, data)
  setting = Setting(config, data, resolved)
  defenses = defenses_of(config, resolved, len(data.train), setting.network)
  finishes = parse_finish("--finish", config.finishing.finish)
  prepares = parse_finish("--prepare", config.finishing.prepare)
  return resolved, setting, [Job(defense, prepare, finishes) for prepare in prepares for defense in defenses]
