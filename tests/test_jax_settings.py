"""JAX's own settings: those that figures depend on are a sweep's, and a platform that is not here ends in one line."""

import os
import subprocess
import sys

import jax
import numpy as np
import pandas as pd
import pytest

from lwlrd_jax import jax_settings
from lwlrd_jax.disk.model_cache import numerics
from lwlrd_jax.sweep import main

# What makes a sweep fail, or gives it other figures, where it is left alone.
HOSTILE = {
  "JAX_DEFAULT_PRNG_IMPL": "unsafe_rbg",
  "JAX_THREEFRY_PARTITIONABLE": "0",
  "JAX_RANDOM_SEED_OFFSET": "7",
  "JAX_ENABLE_CUSTOM_PRNG": "1",
  "JAX_ENABLE_X64": "True",
  "JAX_DEFAULT_MATMUL_PRECISION": "bfloat16",
  "JAX_NUMPY_DTYPE_PROMOTION": "strict",
  "JAX_NUMPY_RANK_PROMOTION": "raise",
  "JAX_TRANSFER_GUARD": "disallow",
  "JAX_TRANSFER_GUARD_HOST_TO_DEVICE": "disallow",
  "JAX_TRANSFER_GUARD_DEVICE_TO_DEVICE": "log",
  "JAX_TRANSFER_GUARD_DEVICE_TO_HOST": "disallow_explicit",
  "JAX_DEBUG_NANS": "True",
  "JAX_DEBUG_INFS": "True",
  "JAX_DISABLE_JIT": "1",
}
PLATFORMS = """
import os, sys
import jax
from jax.extend.backend import clear_backends
from lwlrd_jax.errors import UserError
from lwlrd_jax.jax_settings import find_devices

find_devices()
for given in sys.argv[1:]:
  name, _, value = given.partition("=")
  os.environ[name] = value
  jax.config.update(name.lower(), value.lower() if name == "JAX_PLATFORM_NAME" else value)
  clear_backends()
  try:
    find_devices()
    print(jax.devices()[0].platform)
  except UserError as error:
    print(error)
  del os.environ[name]
  jax.config.update("jax_platforms", None)
  jax.config.update("jax_platform_name", "")
"""


def test_every_pinned_variable_has_a_hostile_value():
  assert set(HOSTILE) == set(jax_settings.PINNED)


@pytest.mark.newest
def test_every_pinned_variable_is_one_of_jax():
  """One that JAX renamed would be left alone without a word."""
  for name in jax_settings.PINNED:
    assert hasattr(jax.config, name.lower()), name


def test_what_was_set_otherwise_is_reported():
  given = {"PATH": "p", "JAX_ENABLE_X64": "0", "JAX_DEBUG_NANS": "true", "JAX_DEFAULT_PRNG_IMPL": "rbg"}
  assert jax_settings.pin(given) == ["JAX_DEFAULT_PRNG_IMPL=rbg", "JAX_DEBUG_NANS=true"]
  assert given == {"PATH": "p", **jax_settings.PINNED}
  assert jax_settings.pin(given) == []
  assert len(jax_settings.pin(dict(HOSTILE))) == len(HOSTILE)


def test_what_a_program_of_ones_own_sets_is_part_of_what_trained_models_are_kept_under():
  usual = numerics()
  assert jax_settings.unusual() == {}
  with jax.default_prng_impl("rbg"):
    assert numerics() == {**usual, "JAX_DEFAULT_PRNG_IMPL": "rbg"}
  with jax.enable_x64(True):
    assert numerics() == {**usual, "JAX_ENABLE_X64": "True"}


@pytest.mark.newest
def test_platforms_that_are_not_here():
  wrong = ["JAX_PLATFORMS=CPU", "JAX_PLATFORMS=cpu,nowhere", "JAX_PLATFORMS=nowhere", "JAX_PLATFORM_NAME=nowhere"]
  done = subprocess.run(
    [sys.executable, "-c", PLATFORMS, *wrong, "JAX_PLATFORMS=cpu", "JAX_PLATFORM_NAME=CPU"],
    check=False,
    capture_output=True,
    text=True,
    timeout=300,
  )
  assert done.returncode == 0, done.stderr
  *refused, first, second = done.stdout.splitlines()
  assert [line.partition(":")[0] for line in refused] == wrong
  for line in refused:
    assert ": JAX cannot compute there; allowed: cpu" in line
    assert line.endswith(", or leave it unset")
  assert (first, second) == ("cpu", "cpu")


def sweep(*arguments, **environment):
  return subprocess.run(
    [sys.executable, "-m", "lwlrd_jax.sweep", *arguments],
    env={**os.environ, **environment},
    check=False,
    capture_output=True,
    text=True,
    timeout=600,
  )


@pytest.mark.newest
@pytest.mark.parametrize(
  ("name", "value", "message"),
  [
    ("JAX_PLATFORMS", "CPU", "error: JAX_PLATFORMS=CPU: JAX cannot compute there; allowed: cpu"),
    (
      "JAX_LOG_COMPILES",
      "maybe",
      "error: JAX cannot be imported: invalid truth value 'maybe' for environment",
    ),
  ],
)
def test_a_command_ends_in_one_line(name, value, message):
  done = sweep("--dry-run", **{name: value})
  assert done.returncode == 2
  (line,) = done.stderr.splitlines()
  assert line.startswith(message)


@pytest.fixture(scope="module")
def flags(tmp_path_factory):
  rng = np.random.default_rng(0)
  arrays = {}
  for split, count in (("train", 64), ("val", 30), ("test", 30)):
    labels = np.arange(count) % 3
    coarse = rng.uniform(0, 160, (count, 4, 4, 1)) + 30 * labels[:, None, None, None]
    arrays[f"{split}_images"] = np.kron(coarse, np.ones((1, 3, 3, 1))).astype(np.uint8)
    arrays[f"{split}_labels"] = labels[:, None].astype(np.uint8)
  folder = tmp_path_factory.mktemp("data")
  np.savez(folder / "small.npz", **arrays)  # type: ignore[arg-type]
  (folder / "net.py").write_text(
    "import functools\nfrom lwlrd_jax.models.architectures.mlp import MLP\nsmall = functools.partial(MLP, width=32)\n"
  )
  return [
    *("--dataset", "npz", "--npz", str(folder / "small.npz"), "--model", f"{folder / 'net.py'}:small"),
    *("--attacks", "transpose,dec", "--finish", "none", "--carriers", "dictionary", "--codec", "webp", "--stolen", "4"),
    *("--infect-steps", "20", "--epochs", "1", "--batch-size", "32", "--decays", "0.5", "--no-baselines"),
  ]


@pytest.mark.slow
def test_a_sweep_under_hostile_settings_has_the_same_figures(flags, tmp_path):
  assert main([*flags, "--out", str(tmp_path / "here")]) == 0
  done = sweep(*flags, "--out", str(tmp_path / "there"), LWLRD_JAX_CACHE=str(tmp_path / "cache"), **HOSTILE)
  assert done.returncode == 0, done.stderr
  first, *progress = done.stderr.splitlines()
  assert first.startswith("ignored: JAX_DEFAULT_PRNG_IMPL=unsafe_rbg, ")
  assert not [line for line in progress if "guard" in line.lower()]
  here, there = (pd.read_parquet(tmp_path / run / "results.parquet") for run in ("here", "there"))
  columns = here.columns.difference(["seconds"])
  pd.testing.assert_frame_equal(here[columns], there[columns], rtol=0, atol=1e-5)
