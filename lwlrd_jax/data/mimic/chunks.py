"""JPEGs of MIMIC-CXR-JPG, decoded in parallel into files of some images each: a stopped preparation is resumed."""

import concurrent.futures
import contextlib
import dataclasses
import multiprocessing
import os
import signal
import tempfile
import threading
import zipfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import numpy as np
from PIL import Image

from lwlrd_jax.data.mimic.tables import WHERE
from lwlrd_jax.errors import UserError
from lwlrd_jax.watch.progress import phase

# Images a file. What is unfinished when a preparation is stopped is done again: a few seconds' work.
CHUNK = 128
# A JPEG decoder can average blocks of pixels as it decodes, in half the time. What it leaves is still so many
# times larger than what is asked for; the antialiased resize does the rest.
_REDUCED = 4


def read_image(file: Path, size: int) -> np.ndarray | None:
  """Reads one image whole, and resizes it to a square, antialiased (Pillow's bicubic filter).

  Radiographs are not square (3056 x 2544). They are squeezed, neither cropped nor padded: cropping loses the corners of
  the lungs, and constant borders would make every reconstruction look more like its original than it is.

  Returns:
    u8[size, size], or None where there is no such file.

  Raises:
    UserError: It cannot be read, or is cut off: a copy that is damaged should be mended, not used in part.
  """
  try:
    with Image.open(file) as image:
      image.draft("L", (_REDUCED * size, _REDUCED * size))
      return np.asarray(image.convert("L").resize((size, size), Image.Resampling.BICUBIC))
  except FileNotFoundError:
    return None
  # What Pillow raises, by where the damage is.
  except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
    why = (getattr(error, "strerror", None) or str(error)).splitlines()[0].replace(str(file), file.name)
    raise UserError(
      f"`mimic_dir`: cannot read {file} ({why}); fetch it again ({WHERE}), and start the same command again to resume"
    ) from error


@dataclasses.dataclass(frozen=True)
class Chunk:
  """Some JPEGs, and the .npz that will hold their images u8[n, size, size], and found bool[n], false without a JPEG."""

  file: Path
  jpegs: tuple[Path, ...]
  size: int

  def load(self) -> tuple[np.ndarray, np.ndarray]:
    """The file's two arrays."""
    with np.load(self.file, allow_pickle=False) as file:
      return file["images"], file["found"]

  def is_done(self) -> bool:
    """Whether the file is there, whole, and no image that was missing then is there now."""
    try:
      with np.load(self.file, allow_pickle=False) as file:
        found = file["found"]
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile):
      return False
    return not any(os.path.exists(jpeg) for jpeg, there in zip(self.jpegs, found, strict=True) if not there)


def split_into_chunks(jpegs: Sequence[Path], folder: Path, name: str, size: int) -> list[Chunk]:
  """Chunks of at most `CHUNK` images, in order; their files have the name and a number."""
  starts = range(0, len(jpegs), CHUNK)
  return [Chunk(folder / f"{name}-{start:07d}.npz", tuple(jpegs[start : start + CHUNK]), size) for start in starts]


def make_chunks(chunks: Sequence[Chunk]) -> None:
  """Writes the chunks that are not done yet, and shows the progress.

  A process for each core does it; with one core, or for one chunk, this process.

  Raises:
    UserError: An image cannot be read, or a worker was killed.
    OSError: A file cannot be written.
  """
  to_do = [chunk for chunk in chunks if not chunk.is_done()]
  if not to_do:
    return
  workers = min(_cores(), len(to_do))
  with phase("preparing mimic-cxr", sum(len(chunk.jpegs) for chunk in to_do), unit="images") as advance:
    if workers == 1:
      for chunk in to_do:
        advance(_make(chunk))
      return
    with _pool(workers) as submit:
      for done in concurrent.futures.as_completed([submit(_make, chunk) for chunk in to_do]):
        try:
          advance(done.result())
        except BrokenProcessPool as error:
          raise UserError(
            "`dataset` mimic-cxr: a process that prepares images was killed, for want of memory perhaps; start "
            "the same command again to resume"
          ) from error


def _make(chunk: Chunk) -> int:
  """Writes one chunk, under another name until it is whole. Returns how many images it stands for."""
  images = np.zeros((len(chunk.jpegs), chunk.size, chunk.size), np.uint8)
  found = np.zeros(len(chunk.jpegs), bool)
  for i, jpeg in enumerate(chunk.jpegs):
    image = read_image(jpeg, chunk.size)
    if image is not None:
      images[i], found[i] = image, True
  with tempfile.NamedTemporaryFile(dir=chunk.file.parent, suffix=".part", delete=False) as part:
    try:
      np.savez(part, images=images, found=found)
      part.flush()
      os.fsync(part.fileno())  # a name must not outlive its content when the power fails
      os.replace(part.name, chunk.file)
    except BaseException:
      os.unlink(part.name)
      raise
  return len(chunk.jpegs)


def _cores() -> int:
  """Cores that this process may use."""
  return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextlib.contextmanager
def _pool(workers: int) -> Iterator[Callable[..., concurrent.futures.Future[int]]]:
  """Yields a function that submits work to processes. What has not begun when something fails never does."""
  # Spawned: JAX has threads, of which a forked process would have the locks and not the threads.
  pool = concurrent.futures.ProcessPoolExecutor(
    workers, mp_context=multiprocessing.get_context("spawn"), initializer=_start_worker
  )
  try:
    yield pool.submit
  finally:
    pool.shutdown(cancel_futures=True)


def _start_worker() -> None:
  """Leaves interrupts to the main process, and ends this one when that is killed."""
  signal.signal(signal.SIGINT, signal.SIG_IGN)
  threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
  parent = multiprocessing.parent_process()
  assert parent is not None  # this is a worker
  parent.join()
  os._exit(1)
