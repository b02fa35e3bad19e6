"""One sweep from the data set to the report: the order of things."""

import contextlib
import datetime
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lwlrd_jax.config import SweepConfig
from lwlrd_jax.disk.checkpoints import clear_unfinished
from lwlrd_jax.disk.directory import RunDirectory
from lwlrd_jax.disk.environment import environment
from lwlrd_jax.disk.snapshots import remove_snapshots
from lwlrd_jax.errors import UserError
from lwlrd_jax.plan.plan import Place, make_plan, place_of
from lwlrd_jax.report import write_report
from lwlrd_jax.runs.searching import run_search
from lwlrd_jax.runs.store import Observer, Rows, Store
from lwlrd_jax.runs.track import Trackers
from lwlrd_jax.runs.waves import Runner
from lwlrd_jax.setup.describe import check_resumable, describe
from lwlrd_jax.setup.forecast import print_forecast
from lwlrd_jax.setup.rate_distortion import compare_codecs
from lwlrd_jax.setup.setup import Setup, prepare
from lwlrd_jax.team import Team
from lwlrd_jax.watch.log import event, write_to
from lwlrd_jax.watch.progress import console

# Flags that processes of one run may differ in: who they are, and where their files lie.
_OF_A_PROCESS = {"process_id", "model", "npz", "data_dir", "mimic_dir", "codec_npz", "config"}
# What the log says of a member; the table has the rest.
_LOGGED = (
  *("member", "attack", "defense", "start", "decay", "lr_max", "finish", "seed", "status"),
  *("accuracy", "auc", "auc_val", "reid", "ssim", "ber", "downstream_auc", "surviving_bytes", "seconds"),
  *("balanced_accuracy", "compute", "certified_bytes"),
)


def run_sweep(config: SweepConfig, command: list[str], team: Team) -> Path:
  """Runs a validated config; `command` is the command line, for the record.

  Returns:
    The run directory.

  Raises:
    UserError: A mistake that only the data or the disk could show, before anything was written; or a model that an
      attack's carrier cannot hide codes in, which shows once the waves before it are done.
  """
  started, now = time.monotonic(), datetime.datetime.now(datetime.UTC)
  plan = make_plan(config, _checked(place_of(config, now, team), team), team)
  setup = prepare(plan, team)
  description = describe(setup)
  _check_same(description, team)
  if team.is_first:
    for note in setup.notes:
      console.print(note, soft_wrap=True)
  record = {"command": " ".join(command), "started": now.isoformat(timespec="milliseconds"), **environment()}
  order = plan.order()
  with contextlib.ExitStack() as stack:
    directory = _begin(plan.place, {**record, **description}, stack, team)
    event("run_resumed" if plan.place.resume else "run_begun", command=record["command"], **environment())
    before = directory.read_config()["elapsed_seconds"] - started
    store = _open_store(setup, directory, lambda: before + time.monotonic(), team)
    store.recover(order)
    if team.is_first and plan.codes.rate_distortion and not directory.read_rate_distortion():
      directory.write_rate_distortion(compare_codecs(plan.codes, plan.data))
    runner = Runner(setup, store, team)
    runner.run("grid", plan.jobs, order)
    if plan.search is not None:
      run_search(setup, runner, store)
    if missing := set(order) - store.rows.keys():
      raise RuntimeError(f"{len(missing)} members were never run, {min(missing)} among them")
    team.wait("everything is run")
    store.record(run_seconds=round(before + time.monotonic(), 1))
    store.clear()
    if team.is_first:
      remove_snapshots(directory.path)
      console.print(f"report: {write_report(plan.place.out)}")
      directory.finish()
    event("run_done", members=len(store.rows), seconds=round(time.monotonic() - started, 1))
    team.wait("the report is written")
  return plan.place.out


def check_sweep(config: SweepConfig, team: Team) -> None:
  """Raises UserError for a mistake that the data show, as far as it can be known without a trained image codec."""
  prepare(make_plan(config, place_of(config, datetime.datetime.now(datetime.UTC), team), team), team, dry=True)


def forecast_sweep(config: SweepConfig, team: Team) -> None:
  """Prints what a sweep would do. Nothing is trained or written; errors are those of `check_sweep`."""
  place = _checked(place_of(config, datetime.datetime.now(datetime.UTC), team), team)
  setup = prepare(make_plan(config, place, team), team, dry=True)
  if place.resume:
    check_resumable(RunDirectory(place.out).read_config(), {**environment(), **describe(setup)})
  print_forecast(setup, team)


def _checked(place: Place, team: Team) -> Place:
  if team.is_first:
    RunDirectory.check(place.out, resume=place.resume, overwrite=place.overwrite)
  return place


def _begin(place: Place, description: dict[str, Any], stack: contextlib.ExitStack, team: Team) -> RunDirectory:
  """Writes config.json before the work: a killed run can be resumed. The stack gets the directory's lock."""

  def begin() -> str:
    directory = RunDirectory(place.out) if place.resume else RunDirectory.create(place.out, overwrite=place.overwrite)
    stack.enter_context(directory.lock())
    clear_unfinished(directory.path / "checkpoints")
    kept: dict[str, Any] = {"stripped": {}, "kept": {}, "elapsed_seconds": 0.0, "tracked": {}}
    now = dict(description)
    if place.resume:
      before = directory.read_config()
      check_resumable(before, now)
      # The record is that of the run's beginning, and of all that it has done so far.
      now |= {name: before[name] for name in ("command", "started", "git_commit")}
      kept |= {name: before[name] for name in (*kept, "search") if name in before}
      now["members"] = {**before["members"], **now["members"]}
    directory.write_config({**now, "run_seconds": None, **kept})
    return now["started"]

  started = team.say("the run is begun", begin)
  directory = RunDirectory(place.out)
  if team.is_first:
    write_to(place.out)
    return directory
  try:
    found = directory.read_config()["started"]
  except (UserError, KeyError):
    found = None
  if found != started:
    raise UserError(
      f"`out` {place.out}: process {team.index} does not see there what process 0 has written; allowed: a folder on a "
      "disk that all of them share, or a bucket"
    )
  return directory


def _open_store(setup: Setup, directory: RunDirectory, elapsed: Callable[[], float], team: Team) -> Store:
  """With a log and trackers, which receive at once the rows that they miss of a resumed run."""
  observers: list[Observer] = [_log]
  if setup.plan.execution.track and team.is_first:
    trackers = Trackers(setup.plan.execution.track, directory)
    observers.append(lambda new, rows: trackers.record(rows))
  return Store(directory, team, may_show=setup.plan.may_show, elapsed=elapsed, observers=observers)


def _log(new: Rows, rows: Rows) -> None:
  del rows
  for row in new.values():
    event("member_done", **{column: row[column] for column in _LOGGED if row.get(column) is not None})


def _check_same(description: dict[str, Any], team: Team) -> None:
  """Refuses processes that were started otherwise, or have other images."""
  own = {name: str(value) for name, value in description["config"].items() if name not in _OF_A_PROCESS}
  own["model"] = description["model"]
  own["images and labels"] = description["dataset"]["sha256"]
  for name, value in json.loads(team.say("what is run", lambda: json.dumps(own))).items():
    if own[name] != value:
      raise UserError(f"process {team.index} has other {name} than process 0: {own[name]}, not {value}")
