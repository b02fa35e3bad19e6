"""A finished run as the report needs it: read once, checked once."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lwlrd_jax.analysis.outcomes import QUANTITIES, Outcomes
from lwlrd_jax.analysis.verdict import STEPS, with_usual
from lwlrd_jax.disk.directory import ArrayFile, RunDirectory
from lwlrd_jax.disk.results import COLUMNS
from lwlrd_jax.errors import UserError, shown
from lwlrd_jax.report.search import Search, read_search

# Columns that came later, and what they hold in an older run's table.
_ADDED: dict[str, Any] = {
  "prepare": "none",
  "scrubbed_planes": "",
  **dict.fromkeys(("exact", "surviving_extra", "surviving_dead"), np.nan),
  **dict.fromkeys(("scrub_reinitialised", "scrub_kept"), np.nan),
  **dict.fromkeys(("granularity", "overlap"), ""),
  **dict.fromkeys(("stolen", "floor", "share", "auc_val", "downstream_auc"), np.nan),
  **dict.fromkeys(("host_auc", "codec_psnr", "payload_bytes", "carrier_share"), np.nan),
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
  """One run directory, read.

  Attributes:
    path: The folder.
    config: config.json.
    table: results.parquet; text columns are plain strings, empty where the file has none.
    samples: Pictures of reconstructions by name; empty unless they may be shown.
    survival: What is left of a bit, in [0, 1], by layer and plane from the least significant: f[layers, 32] by member.
    rate_distortion: Codecs' `codec`, `bytes_per_image` and `psnr`; empty if they were not compared.
    outcomes: Figures by image; empty in a run without them.
    search: What a search found; None if there was none.
  """

  path: Path
  config: dict[str, Any]
  table: pd.DataFrame
  samples: dict[str, np.ndarray]
  survival: dict[str, np.ndarray]
  rate_distortion: pd.DataFrame
  outcomes: Outcomes
  search: Search | None

  @property
  def chance(self) -> float:
    """Re-identification by guessing: one of all training images, of which copies are one."""
    dataset = self.config["dataset"]
    return 1 / dataset.get("distinct", dataset["train"])  # earlier versions did not look for copies

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

  Args:
    path: The folder.

  Raises:
    UserError: It is no run, or one of its files cannot be used.
  """
  if not path.is_dir():
    raise UserError(f"{path}: no such folder; allowed: a run directory")
  directory = RunDirectory(path)
  config = directory.read_config()
  _check(path / "config.json", config)
  table = _read_table(directory)
  run = Run(
    path,
    config,
    table,
    samples={},
    survival=_read_survival(directory, len(config["layers"])),
    rate_distortion=_read_codecs(directory),
    outcomes=_read_outcomes(directory, table, test=config["dataset"]["test"]),
    search=read_search(path / "config.json", config.get("search")),
  )
  # The flag counts, not the file: a run that was resumed without --show-stolen may still have pictures from before.
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
  try:
    table = directory.read_results()
  except (OSError, ValueError) as error:  # pyarrow's errors are ValueErrors
    raise UserError(f"{file}: cannot be read ({_one_line(error)})") from error
  table = table.assign(**{name: value for name, value in _ADDED.items() if name not in table.columns})
  missing = [name for name in COLUMNS if name not in table.columns]
  if missing:
    raise UserError(f"{file}: lacks the columns {', '.join(missing)}")
  table = table[list(COLUMNS)].reset_index(drop=True)
  for name, column in COLUMNS.items():
    cells = table[name].astype(object).fillna("") if column.dtype == "string" else table[name]
    try:
      table[name] = cells.astype(str) if column.dtype == "string" else cells.astype(np.dtype(column.dtype))
    except (TypeError, ValueError) as error:
      raise UserError(f"{file}: column {name} is not {column.dtype} ({_one_line(error)})") from error
  # Controls have no steps: the word for that is one and the same.
  table[STEPS] = table[STEPS].replace("", "none")
  # An infinity is no measurement: it would pass for a number in means and draw an axis without end.
  return with_usual(table.replace([np.inf, -np.inf], np.nan))


def _read_arrays(directory: RunDirectory, file: ArrayFile) -> dict[str, np.ndarray]:
  try:
    return directory.read_arrays(file)
  except Exception as error:  # NumPy raises half a dozen kinds on a broken archive
    raise UserError(f"{directory.path / file}.npz: cannot be read ({_one_line(error)})") from error


def _is(array: np.ndarray, kind: str, *shape: int | None) -> bool:
  """Whether an array is of this kind and shape; None is any length from 1."""
  fits = len(array.shape) == len(shape) and all(
    size >= 1 and size == (wanted or size) for size, wanted in zip(array.shape, shape, strict=True)
  )
  return array.dtype.kind == kind and fits


def _refused(file: Path, name: str, array: np.ndarray, allowed: str) -> UserError:
  return UserError(f"{file}: {name} is {array.dtype}{list(array.shape)}; allowed: {allowed}")


def _read_samples(directory: RunDirectory) -> dict[str, np.ndarray]:
  file = directory.path / "samples.npz"
  samples = _read_arrays(directory, "samples")
  if not samples:
    return samples
  originals = samples.get("originals")
  if originals is None or not _is(originals, "u", None, None, None, None) or originals.shape[-1] not in {1, 3}:
    raise UserError(f"{file}: has no pictures originals; allowed: uint8[pictures, height, width, 1 or 3]")
  for name, pictures in samples.items():
    shape = originals.shape[1:] if name == "mean_image" else originals.shape
    if not _is(pictures, "u", *shape):
      raise _refused(file, name, pictures, f"uint8{list(shape)}")
  return samples


def _read_survival(directory: RunDirectory, layers: int) -> dict[str, np.ndarray]:
  file = directory.path / "survival.npz"
  survival = _read_arrays(directory, "survival")
  for name, planes in survival.items():
    if not _is(planes, "f", layers, _PLANES):
      raise _refused(file, name, planes, f"float{[layers, _PLANES]}")
  return survival


def _read_outcomes(directory: RunDirectory, table: pd.DataFrame, *, test: int) -> Outcomes:
  file = directory.path / "outcomes.npz"
  arrays = _read_arrays(directory, "outcomes")
  for name, array in arrays.items():
    kind = QUANTITIES.get(name.split("/", maxsplit=1)[0])  # None: of a later version
    if kind is not None and not _is(array, "f", test if kind.crossed else None):
      raise _refused(file, name, array, f"float[{test if kind.crossed else 'images'}]")
  return Outcomes(arrays, dict(zip(table.member, table.seed.astype(int), strict=True)))


def _read_codecs(directory: RunDirectory) -> pd.DataFrame:
  file = directory.path / "rate_distortion.json"
  names = ["codec", "bytes_per_image", "psnr"]
  try:
    rows = pd.DataFrame(directory.read_rate_distortion(), columns=names)
    rows = rows.astype({"codec": str, "bytes_per_image": float, "psnr": float})
  except (OSError, ValueError, TypeError, KeyError) as error:
    raise UserError(f"{file}: cannot be read ({_one_line(error)})") from error
  usable = np.isfinite(rows.bytes_per_image) & (rows.bytes_per_image > 0) & np.isfinite(rows.psnr)
  return rows[usable].reset_index(drop=True)


def _one_line(error: Exception) -> str:
  return " ".join(str(error).split())
