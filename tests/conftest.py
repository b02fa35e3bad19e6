import contextlib
import ctypes
import functools
import gc
import importlib.metadata
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

# Before JAX is imported. The suite compiles far more than it computes: machine code of low effort takes half the time,
# and without XLA's newer emitters, which load all of MLIR for every program, half of that. An unknown flag ends the
# process, and from jaxlib 0.12 on there are no older emitters. `.ci/run` gives the tests with the newest versions an
# empty value: they run what users run.
os.environ.setdefault(
  "XLA_FLAGS",
  "--xla_backend_optimization_level=0 --xla_cpu_parallel_codegen_split_count=1"
  + " --xla_cpu_use_fusion_emitters=false" * importlib.metadata.version("jaxlib").startswith(("0.10.", "0.11.")),
)

import jax
import jax.numpy as jnp
import numpy as np
import optax
import psutil
import pytest
from flax import nnx

from lwlrd_jax.data.device import DeviceSplit
from lwlrd_jax.jax_internals import forget_lowered
from lwlrd_jax.models.architectures.cnn import CNN
from lwlrd_jax.models.architectures.mlp import MLP
from lwlrd_jax.models.architectures.resnet import ResNet
from lwlrd_jax.models.architectures.vit import ViT
from lwlrd_jax.models.network import Network, Params, split_model

# Before any array is made. Four devices to spread members over; promotion between dtypes only where it is asked for.
jax.config.update("jax_num_cpu_devices", 4)
jax.config.update("jax_numpy_dtype_promotion", "strict")


def _as_written(fn):
  """Third-party code that raises a float to an int power: the one place that strict promotion must let through."""

  @functools.wraps(fn)
  def wrapped(*args, **kwargs):
    with jax.numpy_dtype_promotion("standard"):
      return fn(*args, **kwargs)

  return wrapped


optax.tree.bias_correction = _as_written(optax.tree.bias_correction)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
  """Whole sweeps first: a long file that begins last keeps one worker waiting for the other."""
  long = ("multihost", "sweep")
  items.sort(key=lambda item: long.index(item.path.parent.name) if item.path.parent.name in long else len(long))


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
  """A folder that all processes of a run of the suite have in common."""
  folder = tmp_path_factory.getbasetemp()
  return folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder


@pytest.fixture(scope="session", autouse=True)
def cache(shared_folder: Path) -> Iterator[Path]:
  """Keeps every test, and what it starts, away from the user's own cache; what one has trained others find there."""
  folder = shared_folder / "cache"
  with pytest.MonkeyPatch.context() as patch:
    patch.setenv("LWLRD_JAX_CACHE", str(folder))
    yield folder


@pytest.fixture(scope="session", autouse=True)
def kept_programs(shared_folder: Path) -> Iterator[None]:
  """Compiles every program once in a run of the suite, not once in each of its processes and modules."""
  settings: dict[str, str | float] = {
    "jax_compilation_cache_dir": str(shared_folder / "compiled"),
    "jax_persistent_cache_min_compile_time_secs": 0.0,
    "jax_persistent_cache_min_entry_size_bytes": -1,
  }
  with pytest.MonkeyPatch.context() as patch:
    for name, value in settings.items():
      jax.config.update(name, value)
      patch.setenv(name.upper(), str(value))  # of processes that tests start
    yield


# Each program is a few mappings of memory, of which a process may have 65530 on Linux; past that the compiler crashes.
_MAPPINGS = 20_000
_BYTES = 7 * 2**28


@pytest.fixture(scope="module", autouse=True)
def few_mappings() -> Iterator[None]:
  """Lets go of compiled programs where there are many."""
  yield
  if sys.platform != "linux" or len(Path("/proc/self/maps").read_text().splitlines()) > _MAPPINGS:
    jax.clear_caches()


@pytest.fixture(autouse=True)
def little_memory() -> Iterator[None]:
  """Frees what programs were compiled from, and lets go of them where they take much memory all the same."""
  yield
  forget_lowered()
  if psutil.Process().memory_info().rss > _BYTES:
    jax.clear_caches()
    gc.collect()
    if sys.platform == "linux":
      with contextlib.suppress(AttributeError):  # another C library than GNU's
        ctypes.CDLL(None).malloc_trim(0)


@pytest.fixture(scope="session")
def realdata() -> Path:
  """The folder of real images; tests that need it are marked `realdata`."""
  beside = Path(__file__).resolve().parents[2] / "shared" / "data"
  folder = Path(os.environ.get("LWLRD_JAX_REALDATA", beside))
  if not folder.is_dir():
    pytest.skip(f"no real images in {folder}; $LWLRD_JAX_REALDATA may name another folder")
  return folder


@pytest.fixture(scope="session")
def tiny_network() -> Callable[..., tuple[Network, Params]]:
  """Makes a small model: tiny_network("mlp", "cnn", "resnet18" or "vit", image_shape, num_outputs, width)."""

  def make(name: str, image_shape=(12, 12, 1), num_outputs: int = 3, width: int = 16, seed: int = 0):
    rngs = nnx.Rngs(params=jax.random.key(seed))
    model: nnx.Module
    if name == "mlp":
      model = MLP(image_shape, num_outputs, width=width, rngs=rngs)
    elif name == "resnet18":
      model = ResNet(image_shape, num_outputs, channels=2, stages=(1, 1), rngs=rngs)
    elif name == "vit":
      model = ViT(image_shape, num_outputs, width=width, depth=2, heads=2, hidden=2 * width, rngs=rngs)
    else:
      model = CNN(image_shape, num_outputs, channels=2, width=width, rngs=rngs)
    return split_model(model, image_shape, num_outputs)

  return make


@pytest.fixture(scope="session")
def smooth_split() -> Callable[..., DeviceSplit]:
  """Makes a set of random smooth images, and labels that a linear model can nearly read off them."""

  def make(count: int, image_shape=(12, 12, 1), num_outputs: int = 3, multi_label: bool = False, seed: int = 0):
    rng = np.random.default_rng(seed)
    height, width, channels = image_shape
    waves = 4
    down = np.cos(np.pi * np.outer(np.arange(waves), (np.arange(height) + 0.5) / height))
    across = np.cos(np.pi * np.outer(np.arange(waves), (np.arange(width) + 0.5) / width))
    weights = rng.normal(size=(count, waves, waves, channels)) / (1 + np.arange(waves)[:, None, None])
    images = np.einsum("nabc,ah,bw->nhwc", weights, down, across)
    images -= images.min(axis=(1, 2, 3), keepdims=True)
    images *= 255 / images.max(axis=(1, 2, 3), keepdims=True)
    scores = weights.reshape(count, -1) @ rng.normal(size=(waves * waves * channels, num_outputs))
    labels = (scores > 0).astype(np.uint8) if multi_label else scores.argmax(axis=1).astype(np.int32)
    return DeviceSplit(jnp.asarray(images.round().astype(np.uint8)), jnp.asarray(labels))

  return make
