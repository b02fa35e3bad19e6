"""A preparation that is stopped goes on where it was, and half a set is never taken for a whole one."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from lwlrd_jax.data.mimic import builder, chunks
from lwlrd_jax.data.mimic.tables import read_tables
from lwlrd_jax.errors import UserError

# What a process does that kills itself at some point: as by a power cut, nothing is tidied up.
_KILLED = """
import os, signal, sys
from pathlib import Path
from lwlrd_jax.data import load_dataset
from lwlrd_jax.data.mimic import builder, chunks
from lwlrd_jax.data.mimic.choices import Choices

def killing(function, name, at):
  calls = []
  def wrapped(*args, **kwargs):
    calls.append(args)
    if len(calls) == at:
      os.kill(os.getpid(), signal.SIGKILL)
    return function(*args, **kwargs)
  return wrapped

chunks.CHUNK, chunks._cores = 20, lambda: 1
module, name, at, folder, data_dir = sys.argv[1:]
module = {"builder": builder, "chunks": chunks}[module]
setattr(module, name, killing(getattr(module, name), name, int(at)))
load_dataset("mimic-cxr", mimic=Choices(Path(folder)), data_dir=Path(data_dir), image_size=16)
"""


def killed(copy, module, name, at):
  command = [sys.executable, "-c", _KILLED, module, name, str(at), str(copy.folder), str(copy.cache)]
  done = subprocess.run(command, capture_output=True, text=True, check=False)
  assert done.returncode == -signal.SIGKILL, done.stderr


def same(copy, shared):
  """The same as a set that was prepared in one go."""
  found, whole = copy.load(views="all"), shared.load(views="all")
  for split in ("train", "val", "test"):
    np.testing.assert_array_equal(getattr(found, split).images, getattr(whole, split).images)
    np.testing.assert_array_equal(getattr(found, split).labels, getattr(whole, split).labels)


def tidy(copy):
  (folder,) = (copy.cache / "mimic_cxr").iterdir()
  assert [path.name for path in folder.iterdir()] == ["1.0.0"]


def test_killed_while_decoding(copy, shared, decoded):
  killed(copy, "chunks", "read_image", 110)
  assert len(list(copy.cache.rglob("unfinished*/*.npz"))) == 5
  assert not list(copy.cache.rglob("*array_record*"))
  same(copy, shared)
  total = len(copy.table("split"))
  assert len(decoded) == total - 100  # the five chunks that were done
  tidy(copy)


def test_killed_while_writing(copy, shared, decoded):
  """Between the splits: the first is written, in a folder of another name."""
  killed(copy, "builder", "phase", 2)
  assert list(copy.cache.rglob("incomplete*"))
  same(copy, shared)
  assert decoded == []
  tidy(copy)


def test_killed_while_tidying_up(copy, shared, decoded):
  """The set is whole; what is left of its making goes when it is read."""
  killed(copy, "builder", "tidy_up", 1)
  assert list(copy.cache.rglob("unfinished*/*.npz"))
  same(copy, shared)
  assert decoded == []
  tidy(copy)


def test_interrupted(copy, shared, decoded, monkeypatch):
  def stopping(file: Path, size: int):
    if len(decoded) == 50:
      raise KeyboardInterrupt
    return read(file, size)

  read = chunks.read_image
  with monkeypatch.context() as patch:
    patch.setattr(chunks, "read_image", stopping)
    with pytest.raises(KeyboardInterrupt):
      copy.load()
  assert not list(copy.cache.rglob("*.part"))
  decoded.clear()
  same(copy, shared)
  assert len(decoded) == len(copy.table("split")) - 40
  tidy(copy)


def test_what_was_missing_is_looked_for_again(copy, decoded):
  """Only the chunk with that image."""
  jpegs = [copy.jpeg(row) for row in copy.table("split").query("split == 'train'").itertuples()]
  late, damaged = jpegs[3], next(jpeg for jpeg in reversed(jpegs) if jpeg.exists())
  content, whole = (late if late.exists() else damaged).read_bytes(), damaged.read_bytes()
  late.unlink(missing_ok=True)
  damaged.write_bytes(b"")
  with pytest.raises(UserError):
    copy.load()
  late.parent.mkdir(parents=True, exist_ok=True)
  late.write_bytes(content)
  damaged.write_bytes(whole)
  decoded.clear()
  copy.load()
  assert decoded.count(late) == 1
  assert jpegs[:20] == decoded[:20]
  assert not set(jpegs[20:40]) & set(decoded)


def test_a_chunk_of_the_wrong_form_is_made_again(copy, shared, decoded):
  killed(copy, "chunks", "read_image", 60)
  first, second = sorted(copy.cache.rglob("unfinished*/*.npz"))
  first.write_bytes(first.read_bytes()[:-100])
  decoded.clear()
  same(copy, shared)
  assert len(decoded) == len(copy.table("split")) - 20
  assert second.name.startswith("train-")


def test_other_tables_start_anew(copy, decoded):
  killed(copy, "chunks", "read_image", 60)
  copy.edit("chexpert", lambda table: table.assign(Edema="1.0"))
  copy.load()
  assert len(decoded) == len(copy.table("split"))


def test_two_processes_do_not_prepare_twice(copy, decoded):
  """Who had to wait for the lock finds the set there."""
  copy.load()
  count = len(decoded)
  late = builder.open_builder(copy.cache, read_tables(copy.folder, "chexpert"), 16)
  builder.prepare(late, copy.cache)
  assert len(decoded) == count


def test_a_worker_is_killed(copy, shared, monkeypatch):
  """As for want of memory; here while it waits for an image that nobody sends."""
  monkeypatch.setattr(chunks, "CHUNK", 20)
  monkeypatch.setattr(chunks, "_cores", lambda: 2)
  jpeg = next(copy.jpeg(row) for row in copy.table("split").itertuples() if copy.jpeg(row).exists())
  content = jpeg.read_bytes()
  jpeg.unlink()
  os.mkfifo(jpeg)
  killer = threading.Thread(target=_kill_who_reads, args=(jpeg,))
  killer.start()
  with pytest.raises(UserError, match=r"^`dataset` mimic-cxr: a process that prepares images was killed, .* resume"):
    copy.load()
  killer.join()
  jpeg.unlink()
  jpeg.write_bytes(content)
  same(copy, shared)
  tidy(copy)


def _kill_who_reads(fifo: Path) -> None:
  """Waits for a process of this one's to open a pipe, and kills all that could be it."""
  with fifo.open("wb"):  # waits for a reader
    for child in psutil.Process().children():
      if "spawn_main" in " ".join(child.cmdline()):
        child.kill()


def test_workers_end_with_their_parent(tmp_path):
  code = (
    "import os, sys, time\n"
    "from lwlrd_jax.data.mimic.chunks import _pool\n"
    "if __name__ == '__main__':\n"
    "  with _pool(1) as submit:\n"
    "    print(submit(os.getpid).result(), flush=True)\n"
    "    submit(time.sleep, 600).result()\n"
  )
  (tmp_path / "parent.py").write_text(code)
  parent = subprocess.Popen([sys.executable, str(tmp_path / "parent.py")], stdout=subprocess.PIPE, text=True)
  assert parent.stdout is not None
  worker = int(parent.stdout.readline())
  parent.kill()
  parent.wait()
  parent.stdout.close()
  until = time.monotonic() + 60
  while time.monotonic() < until and _runs(worker):
    time.sleep(0.05)
  assert not _runs(worker)


def _runs(process: int) -> bool:
  try:
    os.kill(process, 0)
  except ProcessLookupError:
    return False
  # One that has ended and that nobody has asked after is there by name only.
  status = Path(f"/proc/{process}/stat")
  return not (status.exists() and status.read_text().rsplit(")", 1)[1].split()[0] == "Z")
