"""Checks of flags that do not go together. What one flag may hold by itself, its type says."""

import importlib.util
import math

from lwlrd_jax.config.groups import Data, FineTuning, SweepConfig
from lwlrd_jax.config.values import MOST_MEMBERS, TRACKERS
from lwlrd_jax.errors import UserError
from lwlrd_jax.storage import is_remote, path_of


def validate(config: SweepConfig) -> None:
  """Checks everything that can be checked without the data, the attacks and the networks.

  Raises:
    UserError: The first mistake found.
  """
  _check_data(config.data)
  _check_shares(config)
  _check_size(config)
  _check_schedules(config)
  _check_codes(config)
  _check_directory(config)
  _check_processes(config)
  _check_watching(config)


def _check_data(data: Data) -> None:
  for flag, value, default, dataset in (
    ("--views", data.views, Data.views, "mimic-cxr"),
    ("--uncertain", data.uncertain, Data.uncertain, "mimic-cxr"),
    ("--labeler", data.labeler, Data.labeler, "mimic-cxr"),
    ("--labels", data.labels, Data.labels, "npz"),
  ):
    if value != default and data.dataset != dataset:
      raise UserError(f"{flag} {value}: goes with --dataset {dataset} only, not with --dataset {data.dataset}")
  views = [part.strip() for part in data.views.split(",")]
  if "" in views or ("all" in views and len(views) > 1):
    raise UserError(
      f"--views '{data.views}': allowed: all, or a comma list of ViewPosition values such as AP, PA, LATERAL, LL; "
      "frontal is AP and PA"
    )


def _check_shares(config: SweepConfig) -> None:
  if config.tuning.share == 0:
    raise UserError("--share 0.0: allowed: more than 0; there would be nothing to fine-tune on")
  if config.finishing.prune_share == 1:
    raise UserError("--prune-share 1.0: allowed: less than 1; all weights would go")


def _check_size(config: SweepConfig) -> None:
  """Refuses more members than a sweep takes, before a schedule of any is made."""
  tuning, finishing, attacks = config.tuning, config.finishing, config.infection.attacks
  lrs = 1 if tuning.lrs is None else len(tuning.lrs)
  factors = {
    "--decays": len(tuning.decays),
    "--lrs": lrs,
    "--floors": len(tuning.floors),
    "--directions": len(tuning.directions),
  }
  if config.searching.search is not None:
    factors = {"--search": config.searching.search}
  baselines = {"--high-lrs": lrs if tuning.high_lrs is None else len(tuning.high_lrs)}
  starts = {"--start": len(config.starting.start)}
  retrain = config.starting.retrain or ()
  for schedules in (factors | starts, baselines if tuning.baselines else {}, {"--retrain": len(retrain)} | starts):
    sizes = schedules | {
      "--prepare": len(finishing.prepare),
      "--finish": len(finishing.finish),
      "--attacks": sum(len(config.dec.carriers) if attack == "dec" else 1 for attack in attacks)
      + (config.infection.attack_file is not None),
      "--seeds": config.infection.seeds,
    }
    if (members := math.prod(sizes.values())) > MOST_MEMBERS:
      which = " x ".join(f"{flag} ({size:,})" for flag, size in sizes.items() if size > 1)
      raise UserError(f"{which}: {members:,} members; allowed: at most {MOST_MEMBERS:,} in a sweep")


def _check_schedules(config: SweepConfig) -> None:
  tuning, finishing = config.tuning, config.finishing
  if tuning.high_lrs is not None and not tuning.baselines:
    raise UserError(f"--high-lrs {tuning.high_lrs}: goes with baselines only, not with --no-baselines")
  if tuning.directions == ("late",) and tuning.floors != (0.0,):
    raise UserError(f"--floors {tuning.floors}: only early directions have floors; allowed: --directions with early")
  if config.searching.search is None:
    return
  if finishing.prepare != ((),):
    raise UserError(f"--prepare {finishing.prepare}: a search has no steps before the schedule; allowed: none")
  if tuning.shape != FineTuning.shape:
    raise UserError(f"--shape {tuning.shape}: a search tries every shape; allowed: none given")
  if tuning.directions != ("early",):
    raise UserError(f"--directions {tuning.directions}: a search is for LWLRD; allowed: early")


def _check_codes(config: SweepConfig) -> None:
  dec, attacks = config.dec, config.infection.attacks
  if dec.codec != "learned" and dec.scenario == "internal":
    raise UserError(f"--scenario internal --codec {dec.codec}: there is nothing to train; allowed: --codec learned")
  sends_numbers = "dec-values" in attacks or ("dec" in attacks and "values" in dec.carriers)
  if sends_numbers and (dec.codec, dec.code, dec.redundancy.kind) != ("learned", "fixed", "none"):
    raise UserError(
      "--carriers values: sends numbers, not bits; allowed: with --codec learned --code fixed --redundancy none"
    )


def _check_directory(config: SweepConfig) -> None:
  run = config.run
  if run.out == "":
    raise UserError("--out '': empty; allowed: a folder to create, or none given")
  if run.out is not None:
    try:
      path_of(run.out)
    except UserError as error:
      raise UserError(f"--out {error}; gs:// needs the package gcsfs") from error
  if run.resume + run.overwrite + run.restartable > 1:
    raise UserError("--resume, --overwrite, --restartable: one of them, not several")
  if run.out is None:
    for flag, given, where in (
      ("--resume", run.resume, "the stopped run"),
      ("--restartable", run.restartable, "the run to begin or to resume"),
      ("--distributed", config.processes.distributed, "a folder or bucket that all processes see"),
      ("--coordinator", config.processes.coordinator is not None, "a folder or bucket that all processes see"),
    ):
      if given:
        raise UserError(f"{flag}: needs --out DIR, {where}")


def _check_processes(config: SweepConfig) -> None:
  asked = config.processes
  given = [value is not None for value in (asked.coordinator, asked.processes, asked.process_id)]
  if any(given) and not all(given):
    raise UserError("--coordinator, --processes, --process-id: all three or none; --distributed asks the cluster")
  if asked.coordinator is None:
    return
  host, colon, port = asked.coordinator.rpartition(":")
  if not (host and colon and port.isdigit() and int(port) < 2**16):
    raise UserError(f"--coordinator {asked.coordinator}: allowed: HOST:PORT of process 0")
  assert asked.processes is not None
  assert asked.process_id is not None
  if not 0 <= asked.process_id < asked.processes:
    raise UserError(f"--process-id {asked.process_id}: allowed: 0 to {asked.processes - 1}, --processes less one")


def _check_watching(config: SweepConfig) -> None:
  if config.watching.profile and is_remote(config.run.out or ""):
    raise UserError(f"--profile: writes to a disk, not to {config.run.out}; allowed: another --out")
  for name in config.watching.track:
    if importlib.util.find_spec(TRACKERS[name]) is None:
      raise UserError(f"--track {name}: {TRACKERS[name]} is not installed; its extra is: pip install -e '.[{name}]'")
