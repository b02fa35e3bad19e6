"""The CSVs of MIMIC-CXR-JPG: which images there are, in which split, from which view, and what is known of them."""

import dataclasses
import gzip
import hashlib
import io
import re
import zlib
from pathlib import Path

import numpy as np
import pandas as pd

from lwlrd_jax.data.mimic.choices import CODES, LABELERS, NO_LABELS
from lwlrd_jax.errors import UserError

FINDINGS = (
  *("Atelectasis", "Cardiomegaly", "Consolidation", "Edema", "Enlarged Cardiomediastinum", "Fracture", "Lung Lesion"),
  *("Lung Opacity", "No Finding", "Pleural Effusion", "Pleural Other", "Pneumonia", "Pneumothorax", "Support Devices"),
)
# By the names of `Dataset`, what the column `split` says.
SPLITS = {"train": "train", "val": "validate", "test": "test"}
# In a prepared set: a line for each image whose file was not there.
MISSING = "missing_files.txt"
WHERE = "credentialed users get it from https://physionet.org/content/mimic-cxr-jpg"

_PREFIX = "mimic-cxr-2.0.0-"
_COLUMNS: dict[str, tuple[str, ...]] = {
  "split": ("dicom_id", "study_id", "subject_id", "split"),
  "metadata": ("dicom_id", "subject_id", "study_id", "ViewPosition"),
  **{labeler: ("subject_id", "study_id", *FINDINGS) for labeler in LABELERS},
}
# Paths are made of these, and the prepared set holds patients and studies as numbers.
_PATTERNS = {"subject_id": "[0-9]{8}", "study_id": "[0-9]{8}", "dicom_id": "[0-9a-f]{8}(-[0-9a-f]{8}){4}"}


@dataclasses.dataclass(frozen=True, eq=False)
class Tables:
  """What the CSVs say, in the order of the split file."""

  folder: Path  # the user's copy
  # A row an image: dicom_id, study_id, subject_id, split (as published), view ("" where it is missing) and path, where
  # its JPEG lies in the copy.
  images: pd.DataFrame
  # Of each labeler, i8[N, 14], `choices.CODES`; `NO_LABELS` for images of studies that it has no row for.
  findings: dict[str, np.ndarray]
  digest: str  # SHA-256 of what all CSVs hold, compressed or not: changed CSVs are another data set

  def of_split(self, split: str) -> np.ndarray:
    """Rows of a split, one of train, val and test: i64[n], in order."""
    return np.flatnonzero((self.images["split"] == SPLITS[split]).to_numpy())


def read_tables(folder: Path | None, labeler: str) -> Tables:
  """Reads and checks the CSVs of a user's copy, each of them .csv or .csv.gz. The other labeler's may be missing.

  Raises:
    UserError: No folder; a file that is missing or cannot be read; a column that is missing; an identifier, a split or
      a label of another form than published; an image, or a study's labels, twice; a patient in two splits; an image
      that metadata does not have or has otherwise.
  """
  if folder is None:
    raise UserError(
      f"`dataset` mimic-cxr: needs `mimic_dir` DIR, your own copy of MIMIC-CXR-JPG, with files/ and the CSVs; {WHERE}"
    )
  allowed = f"allowed: a copy of MIMIC-CXR-JPG; {WHERE}"
  if not folder.is_dir():
    raise UserError(f"`mimic_dir` {folder}: there is no such folder; {allowed}")
  contents = {name: _content(folder, name) for name in _COLUMNS}
  for name in ("split", "metadata", labeler):
    if contents[name] is None:
      raise UserError(f"`mimic_dir` {folder}: has no {_PREFIX}{name}.csv or .csv.gz; {allowed}")
  digest = hashlib.sha256()
  for name, content in contents.items():
    digest.update(f"{name} {'none' if content is None else hashlib.sha256(content).hexdigest()}\n".encode())
  tables = {name: _parse(folder, name, content) for name, content in contents.items() if content is not None}
  images = _images(folder, tables["split"], tables["metadata"])
  findings = {name: _findings(folder, name, tables.get(name), images) for name in LABELERS}
  return Tables(folder, images, findings, digest.hexdigest())


def _refusal(folder: Path, name: str, found: str, allowed: str) -> UserError:
  return UserError(f"`mimic_dir` {folder}: {_PREFIX}{name}.csv {found}; allowed: {allowed}")


def _content(folder: Path, name: str) -> bytes | None:
  """What a CSV holds, uncompressed; None if it is not there."""
  plain, packed = folder / f"{_PREFIX}{name}.csv", folder / f"{_PREFIX}{name}.csv.gz"
  found = []
  for file in (plain, packed):
    try:
      found.append(file.read_bytes() if file is plain else gzip.decompress(file.read_bytes()))
    except FileNotFoundError:
      continue
    except (OSError, EOFError, zlib.error) as error:
      why = getattr(error, "strerror", None) or str(error).splitlines()[0]
      raise UserError(f"`mimic_dir` {folder}: cannot read {file.name} ({why}); fetch it again: {WHERE}") from error
  if len(found) == 2 and found[0] != found[1]:
    raise UserError(f"`mimic_dir` {folder}: {plain.name} and {packed.name} differ; allowed: one of them, or both alike")
  return found[0] if found else None


def _parse(folder: Path, name: str, content: bytes) -> pd.DataFrame:
  """A CSV's columns that are of use, as text."""
  published = f"the published file, with the columns {', '.join(_COLUMNS[name])}"
  try:
    header = pd.read_csv(io.BytesIO(content), dtype=str, nrows=0).columns
    if missing := [column for column in _COLUMNS[name] if column not in header]:
      found = f"has no column {', '.join(missing)} (found: {', '.join(header)})"
      raise _refusal(folder, name, found, published)
    table = pd.read_csv(io.BytesIO(content), dtype=str, keep_default_na=False, usecols=list(_COLUMNS[name]))
  except (ValueError, pd.errors.ParserError) as error:  # also what is not text, and an empty file
    why = str(error).splitlines()[0]
    raise _refusal(folder, name, f"cannot be read ({why})", published) from error
  for column, pattern in _PATTERNS.items():
    if column in table:
      wrong = ~table[column].str.fullmatch(pattern)
      if wrong.any():
        line = int(np.flatnonzero(wrong.to_numpy())[0]) + 2
        form = "five groups of eight hex digits" if column == "dicom_id" else "8 digits"
        raise _refusal(folder, name, f"line {line}: {column} is '{table[column].iloc[line - 2]}'", form)
  return table


def _images(folder: Path, split: pd.DataFrame, metadata: pd.DataFrame) -> pd.DataFrame:
  """`Tables.images`, of the two checked against each other."""
  for name, table in (("split", split), ("metadata", metadata)):
    _check_once(folder, name, table, ["dicom_id"])
  strange = ~split["split"].isin(SPLITS.values())
  if strange.any():
    value = split["split"][strange].iloc[0]
    raise _refusal(folder, "split", f"has the split '{value}'", ", ".join(SPLITS.values()))
  for value in SPLITS.values():
    if not (split["split"] == value).any():
      raise _refusal(folder, "split", f"has no image in {value}", "at least one in every split")
  of_patient = split.drop_duplicates(["subject_id", "split"])
  twice = of_patient["subject_id"][of_patient["subject_id"].duplicated()]
  if len(twice):
    found = f"has {len(twice)} patients in more than one split (first: subject_id {twice.iloc[0]})"
    raise _refusal(folder, "split", found, "splits by patient, as published")
  both = split.merge(metadata, on="dicom_id", how="left", suffixes=("", "_there"), indicator=True)
  for wrong, found in (
    (both["_merge"] == "left_only", "does not have"),
    ((both["study_id"] != both["study_id_there"]) | (both["subject_id"] != both["subject_id_there"]), "has otherwise"),
  ):
    if wrong.any():
      example = both["dicom_id"][wrong].iloc[0]
      text = f"{found} {int(wrong.sum())} images of the split file (first: {example})"
      raise _refusal(folder, "metadata", text, "files of one version")
  subject, study = "p" + both["subject_id"], "s" + both["study_id"]
  path = "files/" + subject.str[:3] + "/" + subject + "/" + study + "/" + both["dicom_id"] + ".jpg"
  both = both.rename(columns={"ViewPosition": "view"}).assign(path=path)
  return both[["dicom_id", "study_id", "subject_id", "split", "view", "path"]]


def _findings(folder: Path, name: str, table: pd.DataFrame | None, images: pd.DataFrame) -> np.ndarray:
  """A labeler's codes of every image, i8[N, 14]: each has those of its study."""
  if table is None:
    return np.full((len(images), len(FINDINGS)), NO_LABELS, np.int8)
  _check_once(folder, name, table, ["subject_id", "study_id"])
  codes = {"subject_id": table["subject_id"], "study_id": table["study_id"]}
  for column in FINDINGS:
    meant = {cell: re.sub(r"\.0*$", "", cell.strip()) for cell in table[column].unique()}
    for cell, text in meant.items():
      if text not in CODES:
        raise _refusal(folder, name, f"has '{cell}' in {column}", "1.0, 0.0, -1.0 or nothing")
    codes[column] = table[column].map({cell: CODES[text] for cell, text in meant.items()})
  joined = images[["subject_id", "study_id"]].merge(pd.DataFrame(codes), on=["subject_id", "study_id"], how="left")
  return joined[list(FINDINGS)].fillna(NO_LABELS).to_numpy(np.int8)


def _check_once(folder: Path, name: str, table: pd.DataFrame, key: list[str]) -> None:
  twice = table.duplicated(key)
  if twice.any():
    values = ", ".join(f"{column} {table[column][twice].iloc[0]}" for column in key)
    raise _refusal(folder, name, f"has {int(twice.sum())} rows twice (first: {values})", "each once, as published")
