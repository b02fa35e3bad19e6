"""A finished run as the report needs it: read once, checked once."""

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lwlrd_jax.analysis.outcomes import QUANTITIES, Outcomes
from lwlrd_jax.analysis.verdict import STEPS, Limits, Verdict, judge, with_usual
from lwlrd_jax.disk.directory import ArrayFile, RunDirectory
from lwlrd_jax.disk.results import COLUMNS
from lwlrd_jax.errors import UserError, shown
from lwlrd_jax.report.search import Search, read_search

# Columns that came later, and what they hold in an older run's table.
_LATER_FIGURES = (
  *("exact", "surviving_extra", "surviving_dead", "scrub_reinitialised", "scrub_kept", "stolen", "floor", "share"),
  *("auc_val", "downstream_auc", "host_auc", "codec_psnr", "payload_bytes", "carrier_share"),
  *("balanced_accuracy_val", "compute", "certified_bytes"),
)
_LATER: dict[str, Any] = {
  **{"prepare": "none", "scrubbed_planes": "", "granularity": "", "overlap": "", "start": ""},
  **dict.fromkeys(_LATER_FIGURES, np.nan),
}
# Bit planes of a float32.
_PLANES = 32


def _counts(value: Any) -> bool:
  return type(value) is int and value >= 1


def _lists_by_attack(value: Any) -> bool:
  return isinstance(value, dict) and all(isinstance(found, list) for found in value.values())


# Entries of config.json that the report reads: what they hold, and in words. Those with a mark may be missing or null.
_ENTRIES: dict[str, tuple[Callable[[Any], bool] | type, str]] = {
  **dict.fromkeys(("config", "versions", "device", "dataset", "infection", "members"), (dict, "an object")),
  **dict.fromkeys(("dataset.name", "command", "started"), (str, "text")),
  **dict.fromkeys(("dataset.train", "dataset.test", "stolen"), (_counts, "a whole number from 1")),
  **dict.fromkeys(("dataset.label_names", "postprocessings", "layers"), (list, "a list")),
  **dict.fromkeys(("dataset.multi_label", "dataset.openly_licensed"), (bool, "true or false")),
  "run_seconds?": (lambda value: isinstance(value, int | float), "a number"),
  **dict.fromkeys(("absent_classes?", "unused_parameters?"), (list, "a list")),
  **dict.fromkeys(("stripped?", "kept?"), (_lists_by_attack, "lists of names by attack")),
}


@dataclasses.dataclass(frozen=True, eq=False)
class Run:
  """One run directory, read."""

  path: Path
  config: dict[str, Any]
  table: pd.DataFrame  # results.parquet; text columns are plain strings, empty where the file has none
  samples: dict[str, np.ndarray]  # pictures of reconstructions by name; empty unless they may be shown
  survival: dict[str, np.ndarray]  # f[layers, 32] by member: what is left of a bit, planes from the least significant
  rate_distortion: pd.DataFrame  # codecs' `codec`, `bytes_per_image` and `psnr`; empty if they were not compared
  outcomes: Outcomes
  search: Search | None

  @functools.cached_property
  def verdict(self) -> Verdict:
    """What the table says."""
    return judge(self.table, chance=self.chance, stolen=self.stolen, outcomes=self.outcomes, limits=self.limits)

  @property
  def title(self) -> str:
    """Data set and model."""
    return f"{self.config['dataset']['name']}, {self.config['config'].get('model', 'model')}"

  @property
  def chance(self) -> float:
    """Re-identification by guessing: one of all training images, of which copies are one."""
    dataset = self.config["dataset"]
    return 1 / dataset.get("distinct", dataset["train"])  # earlier versions did not look for copies

  @property
  def limits(self) -> Limits:
    """What a recommended defence may cost and let through."""
    flags, usual = self.config["config"], Limits()
    return Limits(
      flags.get("max_auc_drop", usual.auc), flags.get("max_bacc_drop", usual.balanced_accuracy), flags.get("max_bytes")
    )

  @property
  def stolen(self) -> int:
    """Images the attacker took, where the table does not say it of the attack."""
    return self.config["stolen"]

  @property
  def may_show(self) -> bool:
    """Whether pictures of reconstructions may stand in the report."""
    return self.config["dataset"]["openly_licensed"] or bool(self.config["config"].get("show_stolen"))


def load(path: Path) -> Run:
  """Reads a run directory.

  Raises:
    UserError: It is no run, or one of its files cannot be used.
  """
  if not path.is_dir():
    raise UserError(f"{path}: no such folder; allowed: a run directory")
  directory = RunDirectory(path)
  config = directory.read_config()
  _check(path / "config.json", config)
  table, test = _read_table(directory), config["dataset"]["test"]
  outcomes = _read_arrays(directory, "outcomes", lambda name: _outcome_shape(name, test))
  run = Run(
    path,
    config,
    table,
    samples={},
    survival=_read_arrays(directory, "survival", lambda _: (len(config["layers"]), _PLANES)),
    rate_distortion=_read_codecs(directory),
    outcomes=Outcomes(outcomes, dict(zip(table.member, table.seed.astype(int), strict=True))),
    search=read_search(path / "config.json", config.get("search")),
  )
  # The setting counts, not the file: a run resumed without `show_stolen` may still have pictures from before.
  return dataclasses.replace(run, samples=_read_samples(directory)) if run.may_show else run


def _check(file: Path, config: dict[str, Any]) -> None:
  for name, (holds, allowed) in _ENTRIES.items():
    value: Any = config
    for key in name.rstrip("?").split("."):
      value = value.get(key)
    right = isinstance(value, holds) if isinstance(holds, type) else holds(value)
    if not (right or (name.endswith("?") and value is None)):
      raise UserError(f"{file}: {name.rstrip('?')} is {shown(repr(value))}; allowed: {allowed}")
  for member, entry in config["members"].items():
    rates = entry.get("peak_lr") if isinstance(entry, dict) else None
    if not isinstance(rates, list) or not all(isinstance(rate, int | float) for rate in rates):
      raise UserError(f"{file}: members.{member}.peak_lr is no list of numbers")
  distinct = config["dataset"].get("distinct", 1)
  if not _counts(distinct) or distinct > config["dataset"]["train"]:
    raise UserError(f"{file}: dataset.distinct is {distinct!r}; allowed: 1 to dataset.train")


def _read_table(directory: RunDirectory) -> pd.DataFrame:
  file = directory.path / "results.parquet"
  if not file.is_file():
    raise UserError(f"{directory.path}: no results yet (results.parquet is missing)")
  with _reading(file):
    table = directory.read_results()
  table = table.assign(**{name: value for name, value in _LATER.items() if name not in table.columns})
  missing = [name for name in COLUMNS if name not in table.columns]
  if missing:
    raise UserError(f"{file}: lacks the columns {', '.join(missing)}")
  table = table[list(COLUMNS)].reset_index(drop=True)
  texts = [name for name, column in COLUMNS.items() if column.dtype == "string"]
  table[texts] = table[texts].astype(object).fillna("")
  with _reading(file):
    table = table.astype({name: str if name in texts else column.dtype for name, column in COLUMNS.items()})
  # Controls have no steps: the word for that is one and the same.
  table[STEPS] = table[STEPS].replace("", "none")
  # An infinity is no measurement: it would pass for a number in means and draw an axis without end.
  return with_usual(table.replace([np.inf, -np.inf], np.nan))


@contextlib.contextmanager
def _reading(file: Path) -> Iterator[None]:
  """One line about the file, whatever is wrong with it: libraries raise half a dozen kinds of errors."""
  try:
    yield
  except Exception as error:
    raise UserError(f"{file}: cannot be read ({' '.join(str(error).split())})") from error


def _fits(array: np.ndarray, kind: str, shape: tuple[int | None, ...]) -> bool:
  """Whether an array is of a kind, `uint8` or `float`, and of a shape, in which None is any length from 1."""
  sizes = zip(array.shape, shape, strict=False)
  of_shape = len(array.shape) == len(shape) and all(size >= 1 and size == (wanted or size) for size, wanted in sizes)
  return array.dtype.kind == kind[0] and of_shape


def _check_array(file: Path, name: str, array: np.ndarray, kind: str, shape: tuple[int | None, ...]) -> None:
  if not _fits(array, kind, shape):
    allowed = ", ".join(str(size or "images") for size in shape)
    raise UserError(f"{file}: {name} is {array.dtype}{list(array.shape)}; allowed: {kind}[{allowed}]")


def _read_samples(directory: RunDirectory) -> dict[str, np.ndarray]:
  file = directory.path / "samples.npz"
  with _reading(file):
    samples = directory.read_arrays("samples")
  if not samples:
    return samples
  originals = samples.get("originals")
  if originals is None or not _fits(originals, "uint8", (None,) * 4) or originals.shape[-1] not in {1, 3}:
    raise UserError(f"{file}: has no pictures originals; allowed: uint8[pictures, height, width, 1 or 3]")
  for name, pictures in samples.items():
    _check_array(file, name, pictures, "uint8", originals.shape[1:] if name == "mean_image" else originals.shape)
  return samples


def _read_arrays(
  directory: RunDirectory, name: ArrayFile, shape_of: Callable[[str], tuple[int | None, ...] | None]
) -> dict[str, np.ndarray]:
  """Arrays of floats by name; `shape_of` says of which shape, None of those that are of a later version."""
  file = directory.path / f"{name}.npz"
  with _reading(file):
    arrays = directory.read_arrays(name)
  for entry, array in arrays.items():
    shape = shape_of(entry)
    if shape is not None:
      _check_array(file, entry, array, "float", shape)
  return arrays


def _outcome_shape(name: str, test: int) -> tuple[int | None, ...] | None:
  kind = QUANTITIES.get(name.split("/", maxsplit=1)[0])
  return kind and (test if kind.crossed else None,)


def _read_codecs(directory: RunDirectory) -> pd.DataFrame:
  types = {"codec": str, "bytes_per_image": float, "psnr": float}
  with _reading(directory.path / "rate_distortion.json"):
    rows = pd.DataFrame(directory.read_rate_distortion(), columns=list(types)).astype(types)
  usable = np.isfinite(rows.bytes_per_image) & (rows.bytes_per_image > 0) & np.isfinite(rows.psnr)
  return rows[usable].reset_index(drop=True)
