import contextlib
import functools
import http.server
import os
import resource
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow_datasets as tfds
from tensorflow_datasets.core import shuffle

from lwlrd_jax.data.medmnist import builder as medmnist_builder
from lwlrd_jax.data.medmnist import info as medmnist_info
from lwlrd_jax.data.medmnist import load as medmnist
from lwlrd_jax.data.medmnist.builder import MedMNIST, config_of
from lwlrd_jax.data.medmnist.info import MedMNISTInfo, md5_of
from lwlrd_jax.data.medmnist.load import load_medmnist
from lwlrd_jax.errors import UserError

SAMPLES = (300, 7, 11)
SPLITS = ("train", "val", "test")


class World:
  """A made-up data set, its file, and folders for the user's files and for the cache."""

  def __init__(self, folder: Path, *, channels: int = 1, findings: int = 0, size: int = 28):
    rng = np.random.default_rng(0)
    self.arrays: dict[str, Any] = {}
    for split, count in zip(SPLITS, SAMPLES, strict=True):
      shape = (count, size, size) if channels == 1 else (count, size, size, channels)
      self.arrays[f"{split}_images"] = rng.integers(0, 256, shape, dtype=np.uint8)
      self.arrays[f"{split}_labels"] = rng.integers(0, 2 if findings else 3, (count, findings or 1), dtype=np.uint8)
    self.original = folder / "served" / ("toymnist.npz" if size == 28 else f"toymnist_{size}.npz")
    self.original.parent.mkdir()
    np.savez_compressed(self.original, **self.arrays)
    self.info = MedMNISTInfo(
      flag="toymnist",
      task="multi-label, binary-class" if findings else "multi-class",
      label_names=tuple(f"label {number}" for number in range(findings or 3)),
      channels=channels,
      samples=SAMPLES,
      license="CC BY 4.0",
      md5={size: md5_of(self.original)},
    )
    self.size = size
    self.data_dir = folder / "mine"
    self.data_dir.mkdir()
    self.cache = folder / "cache"

  def install(self, patch: pytest.MonkeyPatch) -> None:
    class Toy(MedMNIST, skip_registration=True):  # type: ignore[call-arg]
      BUILDER_CONFIGS = [config_of(self.info, self.size)]  # noqa: RUF012 (as TFDS wants)

    patch.setattr(medmnist, "MEDMNIST", {"toymnist": self.info})
    patch.setattr(medmnist_builder, "MedMNIST", Toy)
    patch.setenv("LWLRD_JAX_CACHE", str(self.cache))
    patch.setenv("NO_PROXY", "127.0.0.1")
    patch.setattr(medmnist_info, "_ADDRESS", f"http://127.0.0.1:{closed_port()}")

  def put(self, content: bytes | None = None) -> Path:
    """Puts the file, or something else, where the user keeps theirs."""
    path = self.data_dir / self.original.name
    path.write_bytes(self.original.read_bytes() if content is None else content)
    return path

  def load(self):
    return load_medmnist("toymnist", image_size=self.size, data_dir=self.data_dir)

  def check(self, data) -> None:
    for split in SPLITS:
      part = getattr(data, split)
      assert part.images.dtype == np.uint8
      assert part.images.ndim == 4
      np.testing.assert_array_equal(
        part.images.reshape(self.arrays[f"{split}_images"].shape), self.arrays[f"{split}_images"]
      )
      assert part.labels.dtype == (np.uint8 if self.info.multi_label else np.int32)
      np.testing.assert_array_equal(part.labels.reshape(len(part), -1), self.arrays[f"{split}_labels"])


def closed_port() -> int:
  with socket.socket() as probe:
    probe.bind(("127.0.0.1", 0))
    return probe.getsockname()[1]


@contextlib.contextmanager
def serving(folder: Path, patch: pytest.MonkeyPatch) -> Iterator[None]:
  """Makes a folder the official address."""

  class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args) -> None:
      pass

  server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder)))
  thread = threading.Thread(target=server.serve_forever)
  thread.start()
  patch.setattr(medmnist_info, "_ADDRESS", f"http://127.0.0.1:{server.server_port}")
  try:
    yield
  finally:
    server.shutdown()
    thread.join()
    server.server_close()


def refused(world: World, start: str) -> str:
  with pytest.raises(UserError) as caught:
    world.load()
  message = str(caught.value)
  assert message.startswith(start)
  assert "\n" not in message
  return message


@pytest.fixture
def world(tmp_path, monkeypatch) -> World:
  made = World(tmp_path)
  made.install(monkeypatch)
  return made


@pytest.mark.parametrize(
  "kind", [{}, {"channels": 3}, {"findings": 14}, {"size": 64}, {"channels": 3, "findings": 2, "size": 64}]
)
def test_reads_what_the_file_holds(tmp_path, monkeypatch, kind):
  world = World(tmp_path, **kind)
  world.install(monkeypatch)
  world.put()
  first, second = world.load(), world.load()
  world.check(first)
  world.check(second)
  assert first.name == "toymnist"
  assert first.label_names == world.info.label_names
  assert first.multi_label == ("findings" in kind)
  assert first.openly_licensed


def test_quiet(world, capfd):
  world.put()
  world.load()
  assert capfd.readouterr() == ("", "")


def test_data_dir_is_only_read(world):
  path = world.put()
  world.data_dir.chmod(0o555)
  world.check(world.load())
  assert list(world.data_dir.iterdir()) == [path]


def test_prepared_set_does_without_the_file(world):
  path = world.put()
  world.load()
  path.unlink()
  world.check(world.load())


@pytest.mark.parametrize("prepared", [False, True])
def test_wrong_file_is_refused(world, prepared):
  if prepared:
    world.put()
    world.load()
  path = world.put(b"something else")
  message = refused(world, f"`data_dir` {world.data_dir}: {path.name} has md5 ")
  assert md5_of(path) in message
  assert world.info.md5[28] in message
  assert f"`dataset` npz `npz` {path}" in message


def test_changed_official_file_is_another_set(world, monkeypatch):
  """Were MedMNIST to publish other files, prepared ones of today must not pass for them."""
  world.put()
  world.load()
  world.arrays["train_images"][:] = 7
  np.savez(world.original, **world.arrays)
  world.info.md5[28] = md5_of(world.original)
  world.install(monkeypatch)
  world.put()
  world.check(world.load())


def test_interrupted_preparation_leaves_nothing(world, monkeypatch):
  world.put()
  with monkeypatch.context() as patch:
    patch.setattr(np, "load", stop_on_third_call(np.load))
    with pytest.raises(KeyboardInterrupt):
      world.load()
  assert not list(world.cache.glob("tfds/**/*array_record*"))
  world.check(world.load())


def stop_on_third_call(function):
  calls = []

  def wrapped(*args, **kwargs):
    calls.append(args)
    if len(calls) == 3:
      raise KeyboardInterrupt
    return function(*args, **kwargs)

  return wrapped


def test_killed_preparation_leaves_nothing_that_counts(world):
  world.put()
  folder = world.cache / "tfds" / "med_mnist" / config_of(world.info, 28).name / "incomplete.ABC_1.0.0"
  folder.mkdir(parents=True)
  (folder / "toy-train.array_record-00000-of-00001").write_bytes(b"half")
  world.check(world.load())


def test_damaged_prepared_set(world):
  world.put()
  world.load()
  (file,) = world.cache.glob("tfds/**/*train.array_record*")
  file.write_bytes(file.read_bytes()[:-5000])
  message = refused(world, "`dataset` toymnist: the prepared copy is damaged; remove ")
  assert str(file.parent) in message


def test_large_sets_need_no_tensorflow(world, monkeypatch):
  """Beyond a gigabyte TFDS sorts through files written with TensorFlow; the limit is lowered here to get there."""
  monkeypatch.setattr(shuffle, "MAX_MEM_BUFFER_SIZE", 1000)
  world.put()
  world.check(world.load())


def test_order_is_kept_across_shards(world):
  world.put()
  folder = world.cache / "tfds"
  folder.mkdir(parents=True)
  builder = medmnist_builder.open_builder(folder, world.info, 28, world.data_dir / world.original.name)
  builder.download_and_prepare(
    download_dir=folder / "downloads", download_config=tfds.download.DownloadConfig(num_shards=5)
  )
  assert len(list(folder.glob("**/*train.array_record*"))) == 5
  world.check(world.load())


def test_download(world, monkeypatch):
  with serving(world.original.parent, monkeypatch):
    world.check(world.load())
  world.check(world.load())  # the server is gone
  assert not list(world.cache.glob("tfds/download*"))
  assert not list(world.data_dir.iterdir())


def test_wrong_download_is_refused_and_not_kept(world, monkeypatch):
  right = world.original.read_bytes()
  world.original.write_bytes(right[:-1])
  with serving(world.original.parent, monkeypatch):
    message = refused(world, "`dataset` toymnist: http://127.0.0.1:")
    assert md5_of(world.original) in message
    assert world.info.md5[28] in message
    assert not list(world.cache.glob("tfds/download*"))
    world.original.write_bytes(right)
    world.check(world.load())


def test_nothing_at_the_address(world, monkeypatch):
  with serving(world.data_dir, monkeypatch):
    assert "cannot download" in refused(world, "`dataset` toymnist: ")


def test_no_network(world):
  start = time.monotonic()
  message = refused(world, "`dataset` toymnist: cannot download http://127.0.0.1:")
  assert time.monotonic() - start < 30
  assert message.endswith(f"put it at {world.data_dir / 'toymnist.npz'}")


def test_network_that_swallows_packets(world, monkeypatch):
  monkeypatch.setattr(medmnist_builder, "_PATIENCE", 0.5)
  with socket.socket() as silent:
    silent.bind(("127.0.0.1", 0))
    silent.listen()
    monkeypatch.setattr(medmnist_info, "_ADDRESS", f"http://127.0.0.1:{silent.getsockname()[1]}")
    assert "ReadTimeout" in refused(world, "`dataset` toymnist: cannot download ")


def test_default_folder_is_in_the_cache(world, monkeypatch):
  with pytest.raises(UserError) as caught:
    load_medmnist("toymnist")
  assert str(caught.value).endswith(f"put it at {world.cache / 'data' / 'toymnist.npz'}")
  (world.cache / "data" / "toymnist.npz").write_bytes(world.original.read_bytes())
  world.check(load_medmnist("toymnist"))


def test_folder_that_is_not_there(world):
  world.data_dir.rmdir()
  refused(world, f"`data_dir` {world.data_dir}: there is no such folder")


def test_folder_in_place_of_the_file(world):
  (world.data_dir / "toymnist.npz").mkdir()
  refused(world, f"`data_dir` {world.data_dir}: cannot read toymnist.npz")


def test_size_that_is_not_published(world):
  world.size = 32
  refused(world, "`image_size` 32: toymnist comes at 28, 64, 128, 224 pixels")


def test_a_config_for_every_set_and_size():
  assert len(MedMNIST.builder_configs) == 48


@pytest.mark.realdata
def test_official_file(realdata, tmp_path, monkeypatch):
  monkeypatch.setenv("LWLRD_JAX_CACHE", str(tmp_path))
  data = load_medmnist("pneumoniamnist", data_dir=realdata)
  assert data.label_names == ("normal", "pneumonia")
  assert data.image_shape == (28, 28, 1)
  with np.load(realdata / "pneumoniamnist.npz") as file:
    for split in SPLITS:
      np.testing.assert_array_equal(getattr(data, split).images[..., 0], file[f"{split}_images"])
      np.testing.assert_array_equal(getattr(data, split).labels, file[f"{split}_labels"][:, 0])


@pytest.mark.realdata
def test_rebuilt_file_is_not_official(realdata, tmp_path):
  (tmp_path / "dermamnist.npz").symlink_to(realdata / "dermamnist_rebuilt_28.npz")
  with pytest.raises(UserError, match=r"d20ee775b412ecf0188ff93fd8084a80.*0744692d530f8e62ec473284d019b0c7"):
    load_medmnist("dermamnist", data_dir=tmp_path)


@pytest.mark.parametrize("name", ["ToyMNIST.npz", "TOYMNIST.NPZ", "toymnist_28.npz", "toy-mnist 28x28.npz"])
def test_another_spelling_of_the_name_is_found(world, name):
  world.put().rename(world.data_dir / name)
  world.check(world.load())
  # That it is read from there and not from what was prepared shows once it is another file.
  (world.data_dir / name).write_bytes(b"another")
  assert name in refused(world, f"`data_dir` {world.data_dir}: {name} has md5 ")


@pytest.mark.parametrize("name", ["toymnist_64.npz", "toymnist_rebuilt.npz", "toymnist_28.npz.part", "toymnist_1.npz"])
def test_another_name_is_another_file(world, name):
  world.put().rename(world.data_dir / name)
  assert str(world.data_dir / "toymnist.npz") in refused(world, "`dataset` toymnist: cannot download")


def test_of_several_spellings_the_official_file_counts(world):
  world.put().rename(world.data_dir / "toymnist-28.npz")
  (world.data_dir / "ToyMNIST.npz").write_bytes(b"another")
  world.check(world.load())
  world.put(b"another")
  refused(world, f"`data_dir` {world.data_dir}: toymnist.npz has md5 ")


@pytest.mark.realdata
def test_official_file_under_another_name(realdata, tmp_path, monkeypatch):
  monkeypatch.setenv("LWLRD_JAX_CACHE", str(tmp_path / "cache"))
  (tmp_path / "PneumoniaMNIST-28.NPZ").symlink_to(realdata / "pneumoniamnist.npz")
  assert len(load_medmnist("pneumoniamnist", data_dir=tmp_path).train) == 4708


def test_a_disk_that_is_limited(world):
  world.put()
  before = resource.getrlimit(resource.RLIMIT_FSIZE)
  resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
  try:
    said = refused(world, "`dataset` toymnist: cannot prepare it in ")
  finally:
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
  assert said.endswith("(File too large); make room there")
  world.check(world.load())


def test_a_cache_that_records_cannot_be_written_below(world, tmp_path, monkeypatch):
  world.put()
  monkeypatch.setenv("LWLRD_JAX_CACHE", str(tmp_path / os.fsdecode(b"caf\xe9")))
  refused(world, f"$LWLRD_JAX_CACHE: {tmp_path}/caf\\udce9/tfds: is not UTF-8; ")
