"""A made-up copy of MIMIC-CXR-JPG, in its exact layout and with its oddities, small enough to be written by a test."""

import gzip
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from lwlrd_jax.data import Dataset, load_dataset
from lwlrd_jax.data.mimic import chunks
from lwlrd_jax.data.mimic.choices import Choices

FINDINGS = [
  *("Atelectasis", "Cardiomegaly", "Consolidation", "Edema", "Enlarged Cardiomediastinum", "Fracture", "Lung Lesion"),
  *("Lung Opacity", "No Finding", "Pleural Effusion", "Pleural Other", "Pneumonia", "Pneumothorax", "Support Devices"),
]
SPLITS = {"train": "train", "val": "validate", "test": "test"}
VIEWS = {"AP": 0.34, "PA": 0.26, "LATERAL": 0.2, "LL": 0.1, "": 0.07, "XTABLE LATERAL": 0.02, "LAO": 0.01}
SIZE = 16


class Copy:
  """A copy of the data, and what a test does with it.

  Attributes:
    folder: The copy.
    cache: Where prepared sets are kept.
  """

  def __init__(self, folder: Path, cache: Path):
    self.folder = folder
    self.cache = cache

  def file(self, name: str) -> Path:
    """A CSV, as it lies there."""
    plain = self.folder / f"mimic-cxr-2.0.0-{name}.csv"
    return plain if plain.exists() else Path(f"{plain}.gz")

  def table(self, name: str) -> pd.DataFrame:
    return pd.read_csv(self.file(name))

  def text(self, name: str) -> str:
    content = self.file(name).read_bytes()
    return (gzip.decompress(content) if self.file(name).suffix == ".gz" else content).decode()

  def write(self, name: str, text: str, *, packed: bool) -> None:
    if self.file(name).exists():
      self.file(name).unlink()
    content = text.encode()
    path = self.folder / f"mimic-cxr-2.0.0-{name}.csv{'.gz' if packed else ''}"
    path.write_bytes(gzip.compress(content) if packed else content)

  def edit(self, name: str, change: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
    """Writes a CSV anew with all its cells as text."""
    packed = self.file(name).suffix == ".gz"
    table = change(pd.read_csv(self.file(name), dtype=str, keep_default_na=False))
    self.write(name, table.to_csv(index=False), packed=packed)

  def jpeg(self, row: pd.Series) -> Path:
    subject = f"p{row.subject_id}"
    return self.folder / "files" / subject[:3] / subject / f"s{row.study_id}" / f"{row.dicom_id}.jpg"

  def load(self, *, size: int = SIZE, data_dir: Path | None = None, **choices: str) -> Dataset:
    return load_dataset(
      "mimic-cxr", image_size=size, data_dir=data_dir or self.cache, mimic=Choices(self.folder, **choices)
    )


def _table(rows: list[dict[str, object]], columns: list[str]) -> str:
  return pd.DataFrame(rows)[columns].to_csv(index=False)


def _write(folder: Path) -> None:
  """60 patients in 10 folders, one to three studies each, one to four images a study."""
  rng = np.random.default_rng(0)
  images, studies = [], []
  for patient in range(60):
    subject = 10_000_000 + 1_000_000 * (patient % 10) + int(rng.integers(1, 900_000))
    split = "validate" if patient % 6 == 4 else "test" if patient % 6 == 5 else "train"
    for _ in range(rng.integers(1, 4)):
      study = int(rng.integers(50_000_000, 60_000_000))
      studies.append({"subject_id": subject, "study_id": study})
      for _ in range(rng.integers(1, 5)):
        dicom = "-".join(f"{word:08x}" for word in rng.integers(0, 2**32, 5))
        view = rng.choice(list(VIEWS), p=list(VIEWS.values()))
        height, width = (300, 250) if rng.random() < 0.2 else rng.integers(20, 60, 2)
        images.append({
          **{"dicom_id": dicom, "subject_id": subject, "study_id": study, "split": split, "ViewPosition": view},
          **{"PerformedProcedureStepDescription": "CHEST (PA AND LAT)", "Rows": height, "Columns": width},
          **{"StudyDate": 21800506, "StudyTime": 213014.531},
        })  # fmt: skip
  for image in images:
    name = f"p{image['subject_id']}"
    path = folder / "files" / name[:3] / name / f"s{image['study_id']}" / f"{image['dicom_id']}.jpg"
    path.parent.mkdir(parents=True, exist_ok=True)
    coarse = Image.fromarray(rng.integers(0, 256, (5, 4), dtype=np.uint8))
    coarse.resize((int(image["Columns"]), int(image["Rows"])), Image.Resampling.BICUBIC).save(path, quality=90)

  copy = Copy(folder, folder)
  order = rng.permutation(len(images))
  shuffled = [images[i] for i in order]
  copy.write("split", _table(shuffled, ["dicom_id", "study_id", "subject_id", "split"]), packed=True)
  columns = [
    "dicom_id",
    "subject_id",
    "study_id",
    "PerformedProcedureStepDescription",
    "ViewPosition",
    "Rows",
    "Columns",
  ]
  copy.write("metadata", _table(images, [*columns, "StudyDate", "StudyTime"]), packed=False)
  for name, packed in (("chexpert", True), ("negbio", False)):
    rows = [
      {**study, **dict(zip(FINDINGS, rng.choice(["", "1.0", "0.0", "-1.0"], 14, p=(0.6, 0.2, 0.1, 0.1)), strict=True))}
      for study in studies
      if rng.random() > 0.05
    ]
    copy.write(name, _table(rows, ["subject_id", "study_id", *FINDINGS]), packed=packed)
  for i in order[:7]:
    copy.jpeg(pd.Series(images[i])).unlink()


@pytest.fixture(scope="session")
def _original(tmp_path_factory: pytest.TempPathFactory) -> Path:
  folder = tmp_path_factory.mktemp("mimic") / "original"
  _write(folder)
  return folder


@pytest.fixture(scope="session")
def shared(_original, tmp_path_factory) -> Copy:
  """A copy that tests only read, prepared."""
  made = Copy(_original, tmp_path_factory.mktemp("prepared"))
  made.load()
  return made


@pytest.fixture
def copy(_original, tmp_path) -> Copy:
  """A copy of a test's own."""
  shutil.copytree(_original, tmp_path / "copy")
  (tmp_path / "prepared").mkdir()
  return Copy(tmp_path / "copy", tmp_path / "prepared")


@pytest.fixture
def decoded(monkeypatch) -> list[Path]:
  """Every JPEG that is read, in order; by this process, in chunks of 20."""
  seen: list[Path] = []

  def noted(file: Path, size: int) -> np.ndarray | None:
    seen.append(file)
    return read(file, size)

  read = chunks.read_image
  monkeypatch.setattr(chunks, "read_image", noted)
  monkeypatch.setattr(chunks, "CHUNK", 20)
  monkeypatch.setattr(chunks, "_cores", lambda: 1)
  return seen


@pytest.fixture
def in_this_process(decoded) -> None:
  """Without worker processes, which take a second to start."""
