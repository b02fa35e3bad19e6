"""Checks of flags: each by itself, then those that do not go together."""

import importlib.util
import math

from lwlrd_jax.attacks.dec.redundancy import parse_redundancy
from lwlrd_jax.config.groups import Data, FineTuning, SweepConfig
from lwlrd_jax.config.names import (
  AUGMENT_NAMES,
  CODE_NAMES,
  CODEC_NAMES,
  COMPUTE_NAMES,
  DIRECTION_NAMES,
  GRANULARITY_NAMES,
  LABELS_NAMES,
  OPTIMIZER_NAMES,
  OVERLAP_NAMES,
  PRECISION_NAMES,
  SCENARIO_NAMES,
  STREAM_NAMES,
  TRACKERS,
)
from lwlrd_jax.config.parse import (
  MOST_MEMBERS,
  parse_attacks,
  parse_decays,
  parse_finish,
  parse_floors,
  parse_lrs,
  parse_names,
  parse_planes,
  parse_strategy,
  parse_track,
)
from lwlrd_jax.defenses.schedules import SHAPES
from lwlrd_jax.errors import UserError, not_known
from lwlrd_jax.storage import is_remote, path_of
from lwlrd_jax.user.model_name import check_model

_LARGEST_COUNT = 2**31 - 1


def validate(config: SweepConfig) -> None:
  """Checks everything that can be checked without the data.

  Raises:
    UserError: The first mistake found.
  """
  _check_lists(config)
  _check_names(config)
  _check_data(config.data)
  _check_counts(config)
  _check_ranges(config)
  _check_size(config)
  _check_schedules(config)
  _check_codes(config)
  _check_directory(config)
  _check_processes(config)
  _check_watching(config)


def _check_lists(config: SweepConfig) -> None:
  tuning, finishing, dec = config.tuning, config.finishing, config.dec
  parse_decays(tuning.decays)
  if tuning.lrs is not None:
    parse_lrs(tuning.lrs)
  if tuning.high_lrs is not None:
    parse_lrs(tuning.high_lrs, flag="--high-lrs")
  parse_finish("--finish", finishing.finish)
  parse_finish("--prepare", finishing.prepare)
  parse_floors(tuning.floors)
  parse_names("--directions", tuning.directions, DIRECTION_NAMES)
  parse_attacks(config.infection.attacks, dec.carriers)
  parse_planes(dec.planes)
  parse_redundancy(dec.redundancy)
  parse_strategy(config.run.strategy)


def _check_names(config: SweepConfig) -> None:
  tuning, dec = config.tuning, config.dec
  for flag, name, allowed in (
    ("--optimizer", tuning.optimizer, OPTIMIZER_NAMES),
    ("--compute", tuning.compute, COMPUTE_NAMES),
    ("--shape", tuning.shape, SHAPES),
    ("--overlap", tuning.overlap, OVERLAP_NAMES),
    ("--granularity", tuning.granularity, GRANULARITY_NAMES),
    ("--labels", config.data.labels, LABELS_NAMES),
    ("--augment", config.data.augment, AUGMENT_NAMES),
    ("--stream", config.run.stream, STREAM_NAMES),
    ("--matmul-precision", config.run.matmul_precision, PRECISION_NAMES),
    ("--codec", dec.codec, CODEC_NAMES),
    ("--code", dec.code, CODE_NAMES),
    ("--scenario", dec.scenario, SCENARIO_NAMES),
  ):
    if name is not None and name not in allowed:
      raise not_known(flag, name, allowed)


def _check_data(data: Data) -> None:
  data.mimic()
  if data.dataset != "mimic-cxr":
    for flag, choice, default in (
      ("--views", data.views, Data.views),
      ("--uncertain", data.uncertain, Data.uncertain),
      ("--labeler", data.labeler, Data.labeler),
    ):
      if choice != default:
        raise UserError(f"{flag} {choice}: goes with --dataset mimic-cxr only, not with --dataset {data.dataset}")
  if data.dataset != "npz" and data.labels != Data.labels:
    raise UserError(f"--labels {data.labels}: goes with --dataset npz only, not with --dataset {data.dataset}")
  check_model(data.model)


def _check_counts(config: SweepConfig) -> None:
  tuning, infection, searching = config.tuning, config.infection, config.searching
  for flag, number in (
    ("--epochs", tuning.epochs),
    ("--batch-size", tuning.batch_size),
    ("--stolen", infection.stolen),
    ("--infect-steps", infection.infect_steps),
    ("--infect-batch-size", infection.infect_batch_size),
    ("--seeds", infection.seeds),
    ("--members-per-wave", config.run.members_per_wave),
    ("--processes", config.processes.processes),
    ("--codec-steps", config.dec.codec_steps),
    ("--search", searching.search),
    ("--population", searching.population),
  ):
    if number is not None and not 1 <= number <= _LARGEST_COUNT:
      raise UserError(f"{flag} {number}: allowed: whole numbers from 1 to {_LARGEST_COUNT:,}")


def _check_ranges(config: SweepConfig) -> None:
  tuning, finishing, dec = config.tuning, config.finishing, config.dec
  for flag, value, low, high in (
    ("--scrub-loss", finishing.scrub_loss, 0.0, 1.0),
    ("--noise-scale", finishing.noise_scale, 0.0, math.inf),
    ("--prune-share", finishing.prune_share, 0.0, 1.0),
    ("--share", tuning.share, 0.0, 1.0),
    ("--max-auc-drop", config.searching.max_auc_drop, 0.0, 1.0),
    ("--quality", dec.quality, 0, 100),
    ("--codec-lambda", dec.codec_lambda, 0.0, math.inf),
    ("--snapshot-minutes", config.run.snapshot_minutes, 0.0, math.inf),
    ("--join-timeout", config.processes.join_timeout, 1.0, math.inf),
  ):
    if value is not None and not (low <= value <= high and math.isfinite(value)):
      raise UserError(f"{flag} {value}: allowed: " + (f"{low} to {high}" if high < math.inf else f"{low} and more"))
  if tuning.share == 0:
    raise UserError("--share 0.0: allowed: more than 0; there would be nothing to fine-tune on")
  if finishing.prune_share == 1:
    raise UserError("--prune-share 1.0: allowed: less than 1; all weights would go")


def _check_size(config: SweepConfig) -> None:
  """Refuses more members than a sweep takes, before a schedule of any is made."""
  tuning, finishing = config.tuning, config.finishing
  lrs = 1 if tuning.lrs is None else len(parse_lrs(tuning.lrs))
  factors = {
    "--decays": len(parse_decays(tuning.decays)),
    "--lrs": lrs,
    "--floors": len(parse_floors(tuning.floors)),
    "--directions": len(parse_names("--directions", tuning.directions, DIRECTION_NAMES)),
  }
  if config.searching.search is not None:
    factors = {"--search": config.searching.search}
  baselines = {"--high-lrs": lrs if tuning.high_lrs is None else len(parse_lrs(tuning.high_lrs))}
  for schedules in (factors, baselines if tuning.baselines else {}):
    sizes = schedules | {
      "--prepare": len(parse_finish("--prepare", finishing.prepare)),
      "--finish": len(parse_finish("--finish", finishing.finish)),
      "--attacks": len(parse_attacks(config.infection.attacks, config.dec.carriers)),
      "--seeds": config.infection.seeds,
    }
    if (members := math.prod(sizes.values())) > MOST_MEMBERS:
      which = " x ".join(f"{flag} ({size:,})" for flag, size in sizes.items() if size > 1)
      raise UserError(f"{which}: {members:,} members; allowed: at most {MOST_MEMBERS:,} in a sweep")


def _check_schedules(config: SweepConfig) -> None:
  tuning, finishing = config.tuning, config.finishing
  if tuning.high_lrs is not None and not tuning.baselines:
    raise UserError(f"--high-lrs {tuning.high_lrs}: goes with baselines only, not with --no-baselines")
  if tuning.directions == "late" and parse_floors(tuning.floors) != (0.0,):
    raise UserError(f"--floors {tuning.floors}: only early directions have floors; allowed: --directions with early")
  if config.searching.search is None:
    return
  if finishing.prepare != "none":
    raise UserError(f"--prepare {finishing.prepare}: a search has no steps before the schedule; allowed: none")
  if tuning.shape != FineTuning.shape:
    raise UserError(f"--shape {tuning.shape}: a search tries every shape; allowed: none given")
  if tuning.directions != "early":
    raise UserError(f"--directions {tuning.directions}: a search is for LWLRD; allowed: early")


def _check_codes(config: SweepConfig) -> None:
  dec = config.dec
  if dec.codec != "learned" and dec.scenario == "internal":
    raise UserError(f"--scenario internal --codec {dec.codec}: there is nothing to train; allowed: --codec learned")
  sends_numbers = "dec-values" in parse_attacks(config.infection.attacks, dec.carriers)
  if sends_numbers and (dec.codec, dec.code, dec.redundancy) != ("learned", "fixed", "none"):
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
      ("--restartable", run.restartable, "the run to begin or to go on with"),
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
  for name in parse_track(config.watching.track):
    if importlib.util.find_spec(TRACKERS[name]) is None:
      raise UserError(f"--track {name}: {TRACKERS[name]} is not installed; its extra is: pip install -e '.[{name}]'")
