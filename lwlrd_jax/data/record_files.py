"""What the TFDS builders share. Like them, import it inside functions: TFDS takes half a second."""

import contextlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import tensorflow_datasets as tfds
from tensorflow_datasets.core import shuffle

from lwlrd_jax.errors import UserError
from lwlrd_jax.storage import is_text, printable


def is_prepared(builder: tfds.core.DatasetBuilder) -> bool:
  """Whether the set is there to be read."""
  return builder.data_path.exists() and builder.is_prepared()  # asked first, or TFDS warns of what is no fault


@contextlib.contextmanager
def sorting_in_memory() -> Iterator[None]:
  """Has TFDS keep a split in memory, where it has to fit anyway: what exceeds a gigabyte it sorts with TensorFlow."""
  limit = shuffle.MAX_MEM_BUFFER_SIZE
  shuffle.MAX_MEM_BUFFER_SIZE = sys.maxsize
  try:
    yield
  finally:
    shuffle.MAX_MEM_BUFFER_SIZE = limit


def check_place(folder: Path, named_by: str) -> None:
  """Refuses a folder that array_record cannot write below.

  Args:
    folder: Where sets are prepared.
    named_by: What names it, a flag or a variable.

  Raises:
    UserError: Its name has bytes that are not UTF-8.
  """
  if not is_text(folder):
    raise UserError(f"{named_by}: {printable(folder)}: is not UTF-8; allowed: a folder with another name")


@contextlib.contextmanager
def writing() -> Iterator[None]:
  """Raises what array_record has to tell of a disk, a RuntimeError, as an OSError."""
  try:
    yield
  except RuntimeError as error:
    said = re.search(r"\(\) failed: ([^;]+);", str(error))
    if said is None:
      raise
    raise OSError(said[1]) from error
