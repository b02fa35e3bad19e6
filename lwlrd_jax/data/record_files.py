"""What the TFDS builders share. Like them, import it inside functions: TFDS takes half a second.

Sets are array_record files, which need no TensorFlow and keep checksums of their own.
"""

import contextlib
import io
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from tensorflow_datasets.core import shuffle

from lwlrd_jax.errors import UserError
from lwlrd_jax.storage import is_text, printable

_READ_AT_ONCE = 1024  # records


def array_feature(shape: Sequence[int], dtype: type[np.integer]) -> tfds.features.Tensor:
  """An array that is stored as its bytes: tenfold faster and smaller than number by number."""
  return tfds.features.Tensor(shape=tuple(shape), dtype=dtype, encoding=tfds.features.Encoding.BYTES)


def is_prepared(builder: tfds.core.DatasetBuilder) -> bool:
  """Whether the set is there to be read."""
  return builder.data_path.exists() and builder.is_prepared()  # asked first, or TFDS warns of what is no fault


def check_place(folder: Path, named_by: str) -> None:
  """Refuses, by a UserError, a folder that array_record cannot write below; a flag or a variable names it."""
  if not is_text(folder):
    raise UserError(f"{named_by}: {printable(folder)}: is not UTF-8; allowed: a folder with another name")


def write_set(builder: tfds.core.DatasetBuilder, downloads: str) -> None:
  """Writes a set that is not prepared yet; TFDS has a folder for its downloads.

  TFDS writes into a folder of another name, renamed when all is there, so that a stopped preparation leaves no set.

  Raises:
    OSError: No room on the disk, or another process was faster and its folder is in the way.
  """
  limit = shuffle.MAX_MEM_BUFFER_SIZE
  # A split is kept in memory, where it has to fit anyway: what exceeds a gigabyte TFDS sorts with TensorFlow.
  shuffle.MAX_MEM_BUFFER_SIZE = sys.maxsize
  try:
    with contextlib.redirect_stdout(io.StringIO()):
      config = tfds.download.DownloadConfig(try_download_gcs=False)
      builder.download_and_prepare(download_dir=downloads, download_config=config)
  except RuntimeError as error:
    reason = re.search(r"\(\) failed: ([^;]+);", str(error))  # how array_record reports a disk's error
    if reason is None:
      raise
    raise OSError(reason[1]) from error
  finally:
    shuffle.MAX_MEM_BUFFER_SIZE = limit


@contextlib.contextmanager
def preparing(builder: tfds.core.DatasetBuilder, dataset: str, root: Path) -> Iterator[None]:
  """Raises a UserError where a set cannot be written below `root`, unless another process has written it meanwhile."""
  try:
    yield
  except OSError as error:
    if not is_prepared(builder):
      raise UserError(f"`dataset` {dataset}: cannot prepare it in {root} ({error}); make room there") from error


@contextlib.contextmanager
def reading(builder: tfds.core.DatasetBuilder, dataset: str) -> Iterator[None]:
  """Raises a UserError where a prepared set is not whole or cannot be read, a RuntimeError or an OSError."""
  try:
    if not is_prepared(builder):
      raise RuntimeError("not prepared")
    yield
  except (RuntimeError, OSError) as error:
    raise UserError(
      f"`dataset` {dataset}: the prepared copy is damaged; remove {builder.data_path} and start again"
    ) from error


def read_records(
  builder: tfds.core.DatasetBuilder, split: str, places: Sequence[int] | np.ndarray
) -> Iterator[list[dict[str, Any]]]:
  """Records of a prepared split at some places, ascending, many at a time.

  Raises:
    RuntimeError: A record file is missing or damaged.
  """
  source = builder.as_data_source(split)
  if len(places) and places[-1] >= len(source):
    raise RuntimeError(f"{len(source)} records")
  for start in range(0, len(places), _READ_AT_ONCE):
    yield source.__getitems__(list(places[start : start + _READ_AT_ONCE]))
