"""All JPEGs of MIMIC-CXR-JPG in parallel, into files of some images each, so that a stopped preparation can go on."""

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

from lwlrd_jax.data.mimic.images import read_image
from lwlrd_jax.errors import UserError
from lwlrd_jax.watch.progress import phase

# Images a file. What is under way when a preparation is stopped is done again: a few seconds' work.
CHUNK = 128


@dataclasses.dataclass(frozen=True)
class Chunk:
  """Some images, and the file that will hold them.

  Attributes:
    file: An .npz: images u8[n, size, size], and found bool[n], false where there was no JPEG.
    jpegs: Where they come from, n of them.
    size: Side in pixels.
  """

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
  """Chunks of `CHUNK` images and fewer, in order; their files are called by the name and a number."""
  starts = range(0, len(jpegs), CHUNK)
  return [Chunk(folder / f"{name}-{start:07d}.npz", tuple(jpegs[start : start + CHUNK]), size) for start in starts]


def make_chunks(chunks: Sequence[Chunk], *, workers: int | None = None) -> None:
  """Writes the chunks that are not done yet, and shows how far it is.

  Args:
    chunks: What there is to do.
    workers: Processes. Default: one for each core. With one, or for one chunk, the work is done in this process.

  Raises:
    UserError: An image cannot be read, or a worker was killed.
    OSError: A file cannot be written.
  """
  to_do = [chunk for chunk in chunks if not chunk.is_done()]
  if not to_do:
    return
  workers = min(workers or _cores(), len(to_do))
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
            "`dataset` mimic-cxr: a process that prepares images was killed, for want of memory perhaps; the same "
            "command goes on where it stopped"
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
  """Processes, given work by the function that this yields. What has not begun when something fails never does."""
  # Spawned: JAX has threads, of which a forked process would have the locks and not the threads.
  pool = concurrent.futures.ProcessPoolExecutor(
    workers, mp_context=multiprocessing.get_context("spawn"), initializer=_start_worker
  )
  try:
    yield pool.submit
  finally:
    pool.shutdown(cancel_futures=True)


def _start_worker() -> None:
  """An interrupt is the main process's to handle; if that is killed, nobody else would end this one."""
  signal.signal(signal.SIGINT, signal.SIG_IGN)
  threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
  parent = multiprocessing.parent_process()
  assert parent is not None  # this is a worker
  parent.join()
  os._exit(1)
