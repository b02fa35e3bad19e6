"""What the TFDS builders share. Like them, import it inside functions: TFDS takes half a second."""

import contextlib
import sys
from collections.abc import Iterator

import tensorflow_datasets as tfds
from tensorflow_datasets.core import shuffle


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
