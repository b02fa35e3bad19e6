"""One sweep from the data set to the report. Everything numerical is elsewhere; this is the order of things."""

import datetime
import time
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lwlrd_jax.attacks.base import Infected
from lwlrd_jax.attacks.transpose import Transpose
from lwlrd_jax.config import SweepConfig
from lwlrd_jax.data import Dataset, load_dataset
from lwlrd_jax.data.device import to_device
from lwlrd_jax.defenses.plan import Defense
from lwlrd_jax.engine.member import Member
from lwlrd_jax.engine.population import finetune
from lwlrd_jax.errors import UserError
from lwlrd_jax.metrics.measure import Measured, measure, measure_constant, sample_positions
from lwlrd_jax.metrics.postprocess import PublicStatistics, public_statistics
from lwlrd_jax.models import build_model
from lwlrd_jax.models.network import Params
from lwlrd_jax.report import write_report
from lwlrd_jax.runs.describe import check_resumable, describe, describe_members, environment
from lwlrd_jax.runs.directory import RunDirectory
from lwlrd_jax.runs.progress import console, phase
from lwlrd_jax.runs.resolve import Resolved, defenses_of, members_per_wave, resolve
from lwlrd_jax.runs.rows import figures, leakage_figures
from lwlrd_jax.runs.starting_points import check_capacity, clean_model, data_digest, finetune_key, infected_model


def execute(config: SweepConfig, command: list[str]) -> Path:
  """Runs a sweep.

  Args:
    config: What the user asked for, validated.
    command: The command line, for the record.

  Returns:
    The run directory.

  Raises:
    UserError: A mistake that only the data or the disk could show. Nothing was written then.
  """
  started = time.monotonic()
  now = datetime.datetime.now(datetime.UTC)
  name = f"{now:%Y%m%d-%H%M%S}-{config.data.dataset}-{config.data.model}"
  out = config.run.out or Path("runs") / name
  RunDirectory.check(out, resume=config.run.resume, overwrite=config.run.overwrite)
  jax.config.update("jax_default_matmul_precision", config.run.matmul_precision)

  data = load_dataset(
    config.data.dataset, npz=config.data.npz, data_dir=config.data.data_dir, image_size=config.data.image_size
  )
  resolved = resolve(config, data)
  sweep = _Sweep(config, data, resolved)
  for seed in range(config.infection.seeds):
    try:
      check_capacity(resolved.attack, config.data.model, data, sweep.train, seed)
    except ValueError as error:
      raise UserError(f"--stolen {resolved.attack.stolen}: {error}") from error

  description = {
    **describe(config, data, sweep.digest, resolved),
    **describe_members(sweep.parameters, sweep.members()),
  }
  record = {"command": " ".join(command), "started": now.isoformat(timespec="seconds"), **environment()}
  if config.run.resume:
    directory = RunDirectory(out)
    check_resumable(directory.read_config(), description)
  else:
    directory = RunDirectory.create(out, overwrite=config.run.overwrite)
  # Written before the work as well: a run that is killed can be told from no run, and gone on with.
  directory.write_config({**record, "run_seconds": None, **description})
  sweep.run(directory)
  directory.write_config({**record, "run_seconds": round(time.monotonic() - started, 1), **description})
  report = write_report(out)
  directory.finish()
  console.print(f"report: {report}")
  return out


class _Sweep:
  """A sweep in progress: what all its parts share."""

  def __init__(self, config: SweepConfig, data: Dataset, resolved: Resolved):
    self.config = config
    self.data = data
    self.attack: Transpose = resolved.attack
    self.train = to_device(data.train)
    self.test = to_device(data.test)
    self.public: PublicStatistics = public_statistics(self.train)
    self.network, params = build_model(config.data.model, data.image_shape, data.num_outputs, jax.random.key(0))
    self.parameters = {layer: sum(leaf.size for leaf in params[layer].values()) for layer in self.network.layers}
    self.defenses = defenses_of(config, resolved, len(data.train), len(self.network.layers))
    self.digest = data_digest(data)
    self.may_show = data.openly_licensed or config.run.show_stolen

  def members(self) -> dict[str, Defense]:
    """Every fine-tuned member's schedule, by name."""
    seeds = range(self.config.infection.seeds)
    return {self._member(defense, seed): defense for seed in seeds for defense in self.defenses}

  def run(self, directory: RunDirectory) -> None:
    """Every seed, every wave; what a finished wave found is on disk before the next begins."""
    finished = directory.read_results()
    rows = {str(row["member"]): row for row in finished.to_dict("records")}
    samples = directory.read_samples()
    for seed in range(self.config.infection.seeds):
      for found in self._of_seed(seed, done=set(rows), directory=directory):
        rows.update(found.rows)
        if self.may_show:
          samples.update(found.samples)
          directory.write_samples(samples)
        directory.write_results([rows[member] for member in self._order() if member in rows])

  def _of_seed(self, seed: int, done: set[str], directory: RunDirectory):
    """Yields what the controls and each wave found, their checkpoints being saved."""
    model, attack = self.config.data.model, self.attack
    infected = infected_model(attack, model, self.data, self.train, seed, self.digest)
    clean = clean_model(attack, model, self.data, self.train, seed, self.digest)
    if not done.issuperset(self._controls(seed)):
      directory.save(f"secret-{attack.name}-s{seed}", {"secret": infected.secret, "stolen": infected.stolen})
      yield self._measure_controls(seed, infected, clean, directory)
    for wave in self._waves([d for d in self.defenses if self._member(d, seed) not in done]):
      yield self._run_wave(wave, seed, infected, directory)

  def _waves(self, defenses: list[Defense]) -> list[list[Defense]]:
    """Defences that one program trains together: of one optimizer, batch size and length, as many as memory holds."""
    limit = members_per_wave(self.config.run.members_per_wave, sum(self.parameters.values()))
    groups: dict[Any, list[Defense]] = {}
    for defense in defenses:
      groups.setdefault((defense.optimizer, defense.batch_size, len(defense.schedule)), []).append(defense)
    waves = []
    for group in groups.values():
      # Waves of one size, or one less: at most two programs are compiled for them all.
      count = -(-len(group) // limit)
      waves += [list(part) for part in np.array_split(np.array(group, dtype=object), count)]
    return waves

  def _run_wave(self, wave: list[Defense], seed: int, infected: Infected, directory: RunDirectory) -> "_Found":
    """Fine-tunes, measures and saves some members."""
    first = wave[0]
    steps = len(first.schedule)
    started = time.monotonic()
    with phase(_title(wave, seed, self.config.infection.seeds), steps, members=len(wave)) as on_steps:
      population = finetune(
        infected.params,
        np.stack([defense.schedule for defense in wave]),
        self.train,
        finetune_key(seed),
        member=Member(self.network, first.optimizer, 0.0),
        batch_size=first.batch_size,
        on_steps=on_steps,
      )
    seconds = (time.monotonic() - started) / len(wave)
    found = _Found({}, {})
    with phase("measuring and saving", len(wave), unit="members") as on_members:
      for i, defense in enumerate(wave):
        params = jax.tree.map(lambda leaf, i=i: leaf[i], population.params)
        measured = self._measure(params, infected)
        name = self._member(defense, seed)
        found.rows[name] = {
          **self._common(name, self.attack.name, seed, defense.name),
          "decay": defense.decay,
          "lr_max": defense.lr_max,
          "epochs": defense.epochs,
          "shape": defense.shape,
          "optimizer": defense.optimizer,
          "batch_size": defense.batch_size,
          "status": _status(params, population.losses[i], measured),
          **figures(measured),
          "seconds": seconds,
        }
        found.samples[f"member/{name}"] = np.asarray(measured.samples[0])
        directory.save(name, {"params": params})
        on_members(1)
    return found

  def _measure_controls(self, seed: int, infected: Infected, clean: Params, directory: RunDirectory) -> "_Found":
    """The three controls: the infected model as it is, one that never was infected, and the mean training image."""
    untreated, never, mean = self._controls(seed)
    found = _Found({}, {})
    for name, attack, defense, params in (
      (untreated, self.attack.name, "untreated", infected.params),
      (never, "none", "clean", clean),
    ):
      measured = self._measure(params, infected)
      found.rows[name] = {**self._common(name, attack, seed, defense), **figures(measured), "status": "ok"}
      found.samples[f"member/{name}"] = np.asarray(measured.samples[0])
      directory.save(name, {"params": params})
    floor = measure_constant(len(infected.stolen), infected.stolen, self.train, self.public)
    found.rows[mean] = {**self._common(mean, "none", seed, "mean_image"), **leakage_figures(floor), "status": "ok"}
    if seed == 0:
      shown = np.asarray(infected.stolen)[sample_positions(len(infected.stolen))]
      found.samples["originals"] = self.data.train.images[shown]
      found.samples["mean_image"] = np.asarray(jnp.round(self.public.mean * 255).astype(jnp.uint8))
    return found

  def _measure(self, params: Params, infected: Infected) -> Measured:
    """One member's figures, behind a leading axis of 1: one compiled program for controls and members alike."""
    stacked = jax.tree.map(lambda leaf: leaf[None], params)
    return measure(
      self.network,
      self.attack,
      stacked,
      infected.params,
      infected.secret,
      infected.stolen,
      self.train,
      self.test,
      self.public,
    )

  def _common(self, name: str, attack: str, seed: int, defense: str) -> dict[str, Any]:
    return {
      "member": name,
      "attack": attack,
      "model": self.config.data.model,
      "dataset": self.data.name,
      "seed": seed,
      "defense": defense,
      "finish": "none",
    }

  def _member(self, defense: Defense, seed: int) -> str:
    return f"{self.attack.name}-{defense.label}-s{seed}"

  def _controls(self, seed: int) -> tuple[str, str, str]:
    return f"{self.attack.name}-untreated-s{seed}", f"clean-s{seed}", f"mean_image-s{seed}"

  def _order(self) -> list[str]:
    """All rows of the sweep, in the order of the table."""
    names = []
    for seed in range(self.config.infection.seeds):
      names += [*self._controls(seed), *(self._member(defense, seed) for defense in self.defenses)]
    return names


class _Found(NamedTuple):
  """What was found of some members: rows of the table, and pictures, by name."""

  rows: dict[str, dict[str, Any]]
  samples: dict[str, np.ndarray]


def _title(wave: list[Defense], seed: int, seeds: int) -> str:
  names = sorted({defense.name for defense in wave})
  what = names[0] if len(names) == 1 else "a mix of schedules"
  return f"fine-tuning ({what})" + (f", seed {seed}" if seeds > 1 else "")


def _status(params: Params, losses: np.ndarray, measured: Measured) -> str:
  finite = all(bool(jnp.isfinite(leaf).all()) for leaf in jax.tree.leaves(params)) and np.isfinite(losses).all()
  if not finite:
    return "diverged"
  return "ok" if bool(jnp.isfinite(measured.leakage.reid[0])) else "failed: the extracted images are not finite"
