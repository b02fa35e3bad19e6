"""Every member of a run's table as a trial in TensorBoard, Weights & Biases or MLflow: settings and figures only."""

import os
import shutil
import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from lwlrd_jax.disk.directory import RunDirectory
from lwlrd_jax.disk.results import COLUMNS
from lwlrd_jax.errors import UserError
from lwlrd_jax.watch.progress import console

# The table's columns, up to `status`, say what a member is; numbers after it, what was measured.
_AT = list(COLUMNS).index("status")
SETTINGS = {name: column.dtype for name, column in list(COLUMNS.items())[1 : _AT + 1]}
FIGURES = tuple(name for name, column in list(COLUMNS.items())[_AT + 1 :] if column.dtype == "float64")


class Trial(NamedTuple):
  """What is recorded of a member of a run: those of its cells that are not empty."""

  run: str
  member: str
  identity: str  # the same however often it is recorded, and no other member's
  settings: dict[str, Any]
  figures: dict[str, float]


class Trackers:
  """The trackers of a run, by their names. One that fails is reported and left out; the run continues.

  What each was given is in config.json under `tracked`; a resumed run gives them what is missing there.
  """

  def __init__(self, names: tuple[str, ...], directory: RunDirectory):
    self._names = list(names)
    self._directory = directory
    self._writers: dict[str, Callable[[Trial], None]] = {}

  def record(self, rows: Mapping[str, Mapping[Any, Any]]) -> None:
    """Records those rows of the table, by member, that were not recorded yet."""
    for name in tuple(self._names):
      config = self._directory.read_config()
      tracked = config.get("tracked", {})
      done = list(tracked.get(name, ()))
      new = [member for member in rows if member not in done]
      if not new:
        continue
      try:
        if name not in self._writers:
          self._writers[name] = _OPEN[name](self._directory.path)
        for member in new:
          self._writers[name](trial(self._directory.path.name, config["started"], rows[member]))
          done.append(member)
      except Exception as error:  # whatever a library, its server or the network comes up with
        self._names.remove(name)
        reason = str(error).strip().partition("\n")[0]
        console.print(
          f"`track` {name}: {type(error).__name__}: {reason}; the run continues without it, `resume` records what is "
          "missing",
          markup=False,
        )
      self._directory.update_config(tracked={**tracked, name: done})


def trial(run: str, started: str, row: Mapping[Any, Any]) -> Trial:
  """What trackers receive of a row of a run's table, whose empty cells are None, NaN or not there."""
  filled = {name: value for name, value in row.items() if not pd.isna(value)}
  return Trial(
    run,
    filled["member"],
    uuid.uuid5(uuid.NAMESPACE_OID, f"{run}/{started}/{filled['member']}").hex,
    {name: filled[name] for name in SETTINGS if name in filled},
    {name: float(filled[name]) for name in FIGURES if name in filled},
  )


def check_ready(names: tuple[str, ...]) -> None:
  """Asks for what a tracker cannot do without, before there is anything to record.

  Raises:
    UserError: Weights & Biases has no key for its server, and there is no user to ask for one.
  """
  if "wandb" in names:
    wandb = _import_wandb()
    try:
      if wandb.setup().settings.mode not in {"offline", "disabled"}:
        wandb.login()
    except wandb.Error as error:
      reason = str(error).rstrip(".")
      raise UserError(f"`track` wandb: {reason}; allowed: after `wandb login`, or WANDB_MODE=offline") from error


def _tensorboard(directory: Path) -> Callable[[Trial], None]:
  from tensorboardX import SummaryWriter  # noqa: PLC0415
  from tensorboardX.summary import hparams  # noqa: PLC0415

  # TensorBoard takes the columns of all trials from the first that it meets, which may have empty cells.
  every_setting = {name: "" if dtype == "string" else 0.0 for name, dtype in SETTINGS.items()}
  columns, _, _ = hparams(every_setting, dict.fromkeys(FIGURES, 0.0))

  def write(trial: Trial) -> None:
    folder = directory / "tensorboard" / trial.member
    shutil.rmtree(folder, ignore_errors=True)  # of a process that was killed before it could say so
    _, begun, ended = hparams(trial.settings, trial.figures)
    with SummaryWriter(str(folder)) as writer:
      for summary in (columns, begun, ended):
        writer.file_writer.add_summary(summary)
      for name, value in trial.figures.items():
        writer.add_scalar(name, value, 0)

  return write


def _import_wandb() -> Any:
  os.environ.setdefault("WANDB_ERROR_REPORTING", "false")  # otherwise its makers receive errors, from the import on
  import wandb  # noqa: PLC0415

  return wandb


def _wandb(directory: Path) -> Callable[[Trial], None]:
  wandb = _import_wandb()
  # By default it also sends what the console shows, the code, and what machine this is.
  settings = wandb.Settings(
    console="off",
    silent=True,
    disable_code=True,
    disable_git=True,
    x_disable_meta=True,
    x_disable_stats=True,
    x_disable_machine_info=True,
    x_save_requirements=False,
  )

  def write(trial: Trial) -> None:
    with wandb.init(
      project=os.environ.get("WANDB_PROJECT", "lwlrd_jax"),
      group=trial.run,
      name=trial.member,
      id=trial.identity,
      resume="allow",
      dir=directory,
      config=trial.settings,
      settings=settings,
    ) as run:
      run.log(trial.figures)

  return write


def _mlflow(directory: Path) -> Callable[[Trial], None]:
  os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # on by default, to its makers
  os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
  from mlflow import MlflowClient  # noqa: PLC0415
  from mlflow.entities import Metric, Param  # noqa: PLC0415

  client = MlflowClient(os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{(directory / 'mlflow.db').absolute()}")
  name = os.environ.get("MLFLOW_EXPERIMENT_NAME", "lwlrd_jax")
  found = client.get_experiment_by_name(name)
  experiment = client.create_experiment(name) if found is None else found.experiment_id

  def write(trial: Trial) -> None:
    now = int(time.time() * 1000)
    tags = {"lwlrd_jax.run": trial.run, "lwlrd_jax.identity": trial.identity}
    # Begun by a process that was killed before it could say so.
    known = client.search_runs([experiment], f"tags.`lwlrd_jax.identity` = '{trial.identity}'")
    run = known[0] if known else client.create_run(experiment, run_name=trial.member, tags=tags)
    client.log_batch(
      run.info.run_id,
      [Metric(name, value, now, 0) for name, value in trial.figures.items()],
      [Param(name, str(value)) for name, value in trial.settings.items()],
    )
    client.set_terminated(run.info.run_id)

  return write


_OPEN = {"tensorboard": _tensorboard, "wandb": _wandb, "mlflow": _mlflow}
