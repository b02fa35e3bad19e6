"""One sweep from the data set to the report. Everything numerical is elsewhere; this is the order of things."""

import dataclasses
import datetime
import time
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lwlrd_jax.attacks.base import Attack, Infected
from lwlrd_jax.attacks.dec.attack import DEC
from lwlrd_jax.config import SweepConfig, parse_finish
from lwlrd_jax.data import Dataset, load_dataset
from lwlrd_jax.data.device import DeviceSplit, to_device
from lwlrd_jax.defenses.plan import Defense
from lwlrd_jax.engine.member import Member
from lwlrd_jax.engine.population import finetune
from lwlrd_jax.metrics.measure import Measured, auc_of, measure, sample_positions
from lwlrd_jax.metrics.postprocess import PublicStatistics, public_statistics
from lwlrd_jax.models import build_model
from lwlrd_jax.models.network import Params
from lwlrd_jax.report import write_report
from lwlrd_jax.runs.attacks import make_attacks
from lwlrd_jax.runs.codec import make_coding
from lwlrd_jax.runs.controls import image_controls
from lwlrd_jax.runs.describe import check_resumable, describe, describe_members, environment
from lwlrd_jax.runs.directory import RunDirectory
from lwlrd_jax.runs.finish import Finished, Finisher
from lwlrd_jax.runs.hiding import hiding_figures
from lwlrd_jax.runs.progress import console, phase
from lwlrd_jax.runs.rate_distortion import compare_codecs
from lwlrd_jax.runs.resolve import Resolved, defenses_of, members_per_wave, resolve
from lwlrd_jax.runs.rows import figures, outcomes
from lwlrd_jax.runs.starting_points import (
  Origin,
  check_capacity,
  clean_model,
  data_digest,
  describe_attack,
  finetune_key,
  finish_key,
  infected_model,
  noise_key,
  share_key,
)
from lwlrd_jax.runs.tuning_data import choose_share


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
  name = f"{now:%Y%m%d-%H%M%S}-{config.data.dataset}-{config.data.model}"
  out = config.run.out or Path("runs") / name
  RunDirectory.check(out, resume=config.run.resume, overwrite=config.run.overwrite)
  jax.config.update("jax_default_matmul_precision", config.run.matmul_precision)

  data = load_dataset(
    config.data.dataset, npz=config.data.npz, data_dir=config.data.data_dir, image_size=config.data.image_size
  )
  resolved = resolve(config, data)
  sweep = _Sweep(config, data, resolved)

  description = {
    **describe(config, data, sweep.origin.digest, resolved),
    "infection": {attack.name: describe_attack(sweep.origin, attack) for attack in sweep.attacks},
    **describe_members(sweep.parameters, sweep.members()),
  }
  record = {"command": " ".join(command), "started": now.isoformat(timespec="seconds"), **environment()}
  stripped: dict[str, list[str]] = {}
  if config.run.resume:
    directory = RunDirectory(out)
    before = directory.read_config()
    check_resumable(before, description)
    stripped = before.get("stripped", stripped)
  else:
    directory = RunDirectory.create(out, overwrite=config.run.overwrite)
  # Written before the work as well: a run that is killed can be told from no run, and gone on with.
  directory.write_config({**record, "run_seconds": None, **description, "stripped": stripped})
  sweep.run(directory)
  directory.update_config(run_seconds=round(time.monotonic() - started, 1))
  report = write_report(out)
  directory.finish()
  console.print(f"report: {report}")
  return out


class _Sweep:
  """A sweep in progress: what all its parts share."""

  def __init__(self, config: SweepConfig, data: Dataset, resolved: Resolved):
    self.config = config
    self.data = data
    self.train = to_device(data.train)
    self.val = to_device(data.val)
    self.test = to_device(data.test)
    self.public: PublicStatistics = public_statistics(self.train)
    self.network, params = build_model(config.data.model, data.image_shape, data.num_outputs, jax.random.key(0))
    self.parameters = {layer: sum(leaf.size for leaf in params[layer].values()) for layer in self.network.layers}
    self.defenses = defenses_of(config, resolved, len(data.train), len(self.network.layers))
    self.origin = Origin(config.data.model, data, self.train, data_digest(data), resolved.transpose, None)
    if "transpose" in resolved.attacks:
      self._check_capacity(resolved.transpose)  # before anybody waits for a codec to be trained
    hides_codes = any(name.startswith("dec") for name in resolved.attacks)
    coding = make_coding(config, data) if hides_codes else None
    self.origin = dataclasses.replace(self.origin, coding=coding)
    self.attacks: list[Attack] = make_attacks(config, resolved, coding)
    for attack in self.attacks:
      self._check_capacity(attack)
    self.finisher = Finisher(self.network, params, self.train, self.val, config.finishing)
    self.prepares = parse_finish("--prepare", config.finishing.prepare)
    self.finishes = parse_finish("--finish", config.finishing.finish)
    self.may_show = data.openly_licensed or config.run.show_stolen

  def _check_capacity(self, attack: Attack) -> None:
    for seed in range(self.config.infection.seeds):
      check_capacity(self.origin, attack, seed)

  def members(self) -> dict[str, Defense]:
    """Every fine-tuned member's schedule, by name."""
    return {
      self._member(attack, defense, prepare, finish, seed): defense
      for seed in range(self.config.infection.seeds)
      for attack in self.attacks
      for prepare in self.prepares
      for defense in self.defenses
      for finish in self.finishes
    }

  def run(self, directory: RunDirectory) -> None:
    """Every seed, every wave; what a finished wave found is on disk before the next begins."""
    if self.config.dec.rate_distortion and not directory.read_rate_distortion():
      directory.write_rate_distortion(compare_codecs(self.config, self.data))
    finished = directory.read_results()
    rows = {str(row["member"]): row for row in finished.to_dict("records")}
    samples, survival = directory.read_samples(), directory.read_survival()
    by_image = directory.read_outcomes()
    for seed in range(self.config.infection.seeds):
      for attack in self.attacks:
        for found in self._of_attack(attack, seed, done=set(rows), directory=directory):
          rows.update(found.rows)
          if self.may_show:
            samples.update(found.samples)
            directory.write_samples(samples)
          survival.update(found.survival)
          directory.write_survival(survival)
          by_image.update(found.outcomes)
          directory.write_outcomes(by_image)
          directory.write_results([rows[member] for member in self._order() if member in rows])

  def _of_attack(self, attack: Attack, seed: int, done: set[str], directory: RunDirectory):
    """Yields what the controls and each wave found, their checkpoints being saved."""
    controls = self._controls(attack, seed)
    waves = [
      (prepare, wave)
      for prepare in self.prepares
      for wave in self._waves(
        [d for d in self.defenses if not done.issuperset(self._finished(attack, d, prepare, seed))]
      )
    ]
    if done.issuperset(controls) and not waves:
      return
    infected = infected_model(self.origin, attack, seed)
    if not done.issuperset(controls):
      directory.save(f"secret-{attack.name}-s{seed}", {"secret": infected.secret, "stolen": infected.stolen})
      yield self._measure_controls(attack, seed, infected, directory)
    for prepare, wave in waves:
      yield self._run_wave(attack, wave, prepare, seed, infected, directory)

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

  def _run_wave(
    self,
    attack: Attack,
    wave: list[Defense],
    prepare: tuple[str, ...],
    seed: int,
    infected: Infected,
    directory: RunDirectory,
  ) -> "_Found":
    """Prepares, fine-tunes, finishes, measures and saves some members."""
    first = wave[0]
    started = time.monotonic()
    before = self._apply(attack, prepare, infected.params, jax.random.fold_in(finish_key(seed), 0), directory)
    prepared = before.params
    title = _title(attack, wave, seed, self.config.infection.seeds)
    with phase(title, len(first.schedule), members=len(wave)) as on_steps:
      population = finetune(
        self.network.declared(prepared),
        np.stack([defense.schedule for defense in wave]),
        self._tuning_split(infected, seed),
        finetune_key(seed),
        member=Member(self.network, first.optimizer, 0.0),
        batch_size=first.batch_size,
        on_steps=on_steps,
      )
    seconds = (time.monotonic() - started) / len(wave)
    found = _Found({}, {}, {}, {})
    with phase("finishing, measuring and saving", len(wave) * len(self.finishes), unit="members") as on_members:
      for i, defense in enumerate(wave):
        # What belongs to no layer comes along as it is.
        tuned = {**prepared, **jax.tree.map(lambda leaf, i=i: leaf[i], population.params)}
        live = self.finisher.live(tuned)
        for finish in self.finishes:
          after = self._apply(attack, finish, tuned, jax.random.fold_in(finish_key(seed), 1), directory)
          params, planes = after.params, after.planes or before.planes
          measured = self._measure(attack, params, live, infected)
          name = self._member(attack, defense, prepare, finish, seed)
          row = {
            **self._common(name, attack.name, seed, defense.name, attack.stolen),
            "auc_val": self._auc_val(params),
            "decay": defense.decay,
            "lr_max": defense.lr_max,
            "epochs": defense.epochs,
            "shape": defense.shape,
            "optimizer": defense.optimizer,
            "batch_size": defense.batch_size,
            "share": self.config.tuning.share,
            "overlap": self.config.tuning.overlap,
            "prepare": _step_names(prepare),
            "finish": _step_names(finish),
            "scrubbed_planes": None if planes is None else " ".join(map(str, planes)),
            "status": _status(params, population.losses[i], measured),
            **figures(measured),
            "seconds": seconds,
          }
          found.add(name, row, measured)
          directory.save(name, {"params": params})
          on_members(1)
    return found

  def _measure_controls(self, attack: Attack, seed: int, infected: Infected, directory: RunDirectory) -> "_Found":
    """An attack's model as it is; with the first attack also one never infected, and the mean training image."""
    untreated, *others = self._controls(attack, seed)
    found = _Found({}, {}, {}, {})
    models = [(untreated, attack.name, "untreated", infected.params)]
    if others:
      models.append((others[0], "none", "clean", clean_model(self.origin, seed)))
    for name, of_attack, defense, params in models:
      measured = self._measure(attack, params, self.finisher.live(params), infected)
      common = self._common(name, of_attack, seed, defense, attack.stolen)
      row = {**common, "auc_val": self._auc_val(params), **figures(measured), "status": "ok"}
      if defense == "untreated" and isinstance(attack, DEC):
        row |= hiding_figures(self.origin, attack, seed, infected, self.test, self.public)
      found.add(name, row, measured)
      directory.save(name, {"params": params})
    if others:
      controls = image_controls(infected, self.train, self.test, self.public, self.network.num_outputs, noise_key(seed))
      for defense, control in controls.items():
        name = f"{defense}-s{seed}"
        common = self._common(name, "none", seed, defense, attack.stolen)
        found.rows[name] = {**common, **control.figures, "status": "ok"}
        found.outcomes.update({f"{column}/{name}": values for column, values in control.outcomes.items()})
      if seed == 0:
        shown = np.asarray(infected.stolen)[sample_positions(len(infected.stolen))]
        found.samples["originals"] = self.data.train.images[shown]
        found.samples["mean_image"] = np.asarray(jnp.round(self.public.mean * 255).astype(jnp.uint8))
    return found

  def _tuning_split(self, infected: Infected, seed: int) -> DeviceSplit:
    """What the defence may look at."""
    tuning = self.config.tuning
    if tuning.share == 1:
      return self.train
    stolen = np.asarray(infected.stolen)
    return self.train[choose_share(len(self.train), tuning.share, tuning.overlap, stolen, share_key(seed))]

  def _auc_val(self, params: Params) -> float:
    return float(auc_of(self.network, self.network.declared(params), self.val))

  def _apply(
    self, attack: Attack, steps: tuple[str, ...], params: Params, key: jax.Array, directory: RunDirectory
  ) -> Finished:
    """Steps on the weights; what they strip is told once, and goes into the record."""
    finished = self.finisher.apply(steps, params, key)
    told = directory.read_config()["stripped"]
    if finished.stripped and attack.name not in told:
      directory.update_config(stripped={**told, attack.name: list(finished.stripped)})
      console.print(f"structural check ({attack.name}): stripped {', '.join(finished.stripped)}")
    return finished

  def _measure(self, attack: Attack, params: Params, live: Params, infected: Infected) -> Measured:
    """One member's figures, behind a leading axis of 1: one compiled program for controls and members alike."""
    params, live = (jax.tree.map(lambda leaf: jnp.asarray(leaf)[None], tree) for tree in (params, live))
    return measure(self.network, attack, params, live, infected, self.train, self.test, self.public)

  def _common(self, name: str, attack: str, seed: int, defense: str, stolen: int) -> dict[str, Any]:
    return {
      "member": name,
      "attack": attack,
      "model": self.config.data.model,
      "dataset": self.data.name,
      "seed": seed,
      "stolen": stolen,
      "defense": defense,
      "prepare": "none",
      "finish": "none",
    }

  def _member(
    self, attack: Attack, defense: Defense, prepare: tuple[str, ...], finish: tuple[str, ...], seed: int
  ) -> str:
    before = f"-after-{_step_names(prepare)}" if prepare else ""
    after = f"-then-{_step_names(finish)}" if finish else ""
    return f"{attack.name}-{defense.label}{before}{after}-s{seed}"

  def _finished(self, attack: Attack, defense: Defense, prepare: tuple[str, ...], seed: int) -> set[str]:
    """Members that one fine-tuning gives."""
    return {self._member(attack, defense, prepare, finish, seed) for finish in self.finishes}

  def _controls(self, attack: Attack, seed: int) -> tuple[str, ...]:
    """Names of the controls that are measured with an attack; those without an attack go with the first one."""
    own = f"{attack.name}-untreated-s{seed}"
    if attack is not self.attacks[0]:
      return (own,)
    return (own, *(f"{control}-s{seed}" for control in ("clean", "mean_image", "originals", "noise_images")))

  def _order(self) -> list[str]:
    """All rows of the sweep, in the order of the table."""
    names: list[str] = []
    for seed in range(self.config.infection.seeds):
      for attack in self.attacks:
        names += self._controls(attack, seed)
        for prepare in self.prepares:
          for defense in self.defenses:
            names += [self._member(attack, defense, prepare, finish, seed) for finish in self.finishes]
    return names


class _Found(NamedTuple):
  """What was found of some members, by name: rows of the table, pictures, what is left of a bit, figures by image."""

  rows: dict[str, dict[str, Any]]
  samples: dict[str, np.ndarray]
  survival: dict[str, np.ndarray]
  outcomes: dict[str, np.ndarray]

  def add(self, name: str, row: dict[str, Any], measured: Measured) -> None:
    """Adds a member."""
    self.rows[name] = row
    self.samples[f"member/{name}"] = np.asarray(measured.samples[0])
    self.survival[name] = np.asarray(measured.survival.planes[0])
    self.outcomes.update({f"{column}/{name}": values for column, values in outcomes(measured).items()})


def _step_names(steps: tuple[str, ...]) -> str:
  return "+".join(steps) or "none"


def _title(attack: Attack, wave: list[Defense], seed: int, seeds: int) -> str:
  names = sorted({defense.name for defense in wave})
  what = names[0] if len(names) == 1 else "a mix of schedules"
  return f"fine-tuning ({attack.name}: {what})" + (f", seed {seed}" if seeds > 1 else "")


def _status(params: Params, losses: np.ndarray, measured: Measured) -> str:
  finite = all(bool(jnp.isfinite(leaf).all()) for leaf in jax.tree.leaves(params)) and np.isfinite(losses).all()
  if not finite:
    return "diverged"
  return "ok" if bool(jnp.isfinite(measured.leakage.reid[0]).all()) else "failed: the extracted images are not finite"
