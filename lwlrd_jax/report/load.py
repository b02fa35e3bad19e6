"""A finished run as the report needs it: read once, checked once."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lwlrd_jax.analysis.outcomes import QUANTITIES, Outcomes
from lwlrd_jax.analysis.verdict import STEPS, with_usual
from lwlrd_jax.disk.directory import RunDirectory
from lwlrd_jax.disk.results import COLUMNS
from lwlrd_jax.errors import UserError
from lwlrd_jax.report.sections.search import Search, read_search

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

# Entries of config.json that the report cannot do without, and their types.
_NEEDED: dict[tuple[str, ...], type | tuple[type, ...]] = {
  ("config",): dict,
  ("versions",): dict,
  ("device",): dict,
  ("dataset",): dict,
  ("dataset", "name"): str,
  ("dataset", "train"): int,
  ("dataset", "test"): int,
  ("dataset", "label_names"): list,
  ("dataset", "multi_label"): bool,
  ("dataset", "openly_licensed"): bool,
  ("infection",): dict,
  ("postprocessings",): list,
  ("stolen",): int,
  ("layers",): list,
  ("members",): dict,
  ("command",): str,
  ("started",): str,
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
  for keys, kind in _NEEDED.items():
    value: Any = config
    for key in keys:
      value = value.get(key)
    if not isinstance(value, kind):
      raise UserError(f"{file}: {'.'.join(keys)} is missing or of a wrong type")
  if not isinstance(config.get("run_seconds"), int | float | None):
    raise UserError(f"{file}: run_seconds is {config['run_seconds']!r}; allowed: a number, or null before the end")
  distinct = config["dataset"].get("distinct", 1)
  if type(distinct) is not int or not 1 <= distinct <= max(config["dataset"]["train"], 1):
    raise UserError(f"{file}: dataset.distinct is {distinct!r}; allowed: 1 to dataset.train")
  if not isinstance(config.get("absent_classes"), list | None):
    raise UserError(f"{file}: absent_classes is {config['absent_classes']!r}; allowed: a list")
  if not isinstance(config.get("unused_parameters"), list | None):
    raise UserError(f"{file}: unused_parameters is {config['unused_parameters']!r}; allowed: a list")
  for name in ("stripped", "kept"):
    recorded = config.get(name)
    if recorded is not None and not (
      isinstance(recorded, dict) and all(isinstance(found, list) for found in recorded.values())
    ):
      raise UserError(f"{file}: {name} is {recorded!r}; allowed: lists of names by attack")
  for member, entry in config["members"].items():
    rates = entry.get("peak_lr") if isinstance(entry, dict) else None
    if not isinstance(rates, list) or not all(isinstance(rate, int | float) for rate in rates):
      raise UserError(f"{file}: members.{member}.peak_lr is no list of numbers")
  for keys, value in ((("dataset", "train"), config["dataset"]["train"]), (("stolen",), config["stolen"])):
    if value < 1:
      raise UserError(f"{file}: {'.'.join(keys)} is {value}; allowed: whole numbers from 1")


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
  for name, (kind, _) in COLUMNS.items():
    try:
      table[name] = (
        table[name].astype(object).fillna("").astype(str) if kind == "string" else table[name].astype(np.dtype(kind))
      )
    except (TypeError, ValueError) as error:
      raise UserError(f"{file}: column {name} is not {kind} ({_one_line(error)})") from error
  # Controls have no steps: the word for that is one and the same.
  table[STEPS] = table[STEPS].replace("", "none")
  # An infinity is no measurement: it would pass for a number in means and draw an axis without end.
  return with_usual(table.replace([np.inf, -np.inf], np.nan))


def _read_samples(directory: RunDirectory) -> dict[str, np.ndarray]:
  file = directory.path / "samples.npz"
  try:
    samples = directory.read_samples()
  except Exception as error:  # NumPy raises half a dozen kinds on a broken archive
    raise UserError(f"{file}: cannot be read ({_one_line(error)})") from error
  if not samples:
    return samples
  if "originals" not in samples:
    raise UserError(f"{file}: has no array originals")
  shape = samples["originals"].shape
  if len(shape) != 4 or shape[0] < 1 or shape[-1] not in {1, 3}:
    raise UserError(f"{file}: originals has the shape {shape}; allowed: pictures, height, width, and 1 or 3 channels")
  for name, pictures in samples.items():
    wanted = shape[1:] if name == "mean_image" else shape
    if pictures.dtype != np.uint8 or pictures.shape != wanted:
      raise UserError(f"{file}: {name} is {pictures.dtype}{list(pictures.shape)}; allowed: uint8{list(wanted)}")
  return samples


def _read_survival(directory: RunDirectory, layers: int) -> dict[str, np.ndarray]:
  file = directory.path / "survival.npz"
  try:
    survival = directory.read_survival()
  except Exception as error:  # as above
    raise UserError(f"{file}: cannot be read ({_one_line(error)})") from error
  for name, planes in survival.items():
    if planes.dtype.kind != "f" or planes.shape != (layers, _PLANES):
      raise UserError(f"{file}: {name} is {planes.dtype}{list(planes.shape)}; allowed: float{[layers, _PLANES]}")
  return survival


def _read_outcomes(directory: RunDirectory, table: pd.DataFrame, *, test: int) -> Outcomes:
  file = directory.path / "outcomes.npz"
  try:
    arrays = directory.read_outcomes()
  except Exception as error:  # as above
    raise UserError(f"{file}: cannot be read ({_one_line(error)})") from error
  for name, array in arrays.items():
    kind = QUANTITIES.get(name.split("/", maxsplit=1)[0])
    if kind is None:
      continue  # of a later version
    wanted = f"float[{test if kind.crossed else 'images'}]"
    if array.dtype.kind != "f" or array.ndim != 1 or len(array) < 1 or (kind.crossed and len(array) != test):
      raise UserError(f"{file}: {name} is {array.dtype}{list(array.shape)}; allowed: {wanted}")
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
