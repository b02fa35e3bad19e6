"""What goes wrong on real machines, made to go wrong for real; and the line that the user sees."""

import datetime
import os
import shutil
import subprocess
import sys
import time

import jax.numpy as jnp
import pandas as pd
import pytest

import lwlrd_jax
from lwlrd_jax.attacks.transpose import Transpose
from lwlrd_jax.disk.results import COLUMNS
from lwlrd_jax.engine import memory
from lwlrd_jax.runs import members
from lwlrd_jax.runs import sweep as sweeping
from lwlrd_jax.sweep import main
from tests.small_sweep import FILE


@pytest.fixture(scope="module")
def flags(npz):
  return [
    *("--dataset", "npz", "--npz", str(npz)),
    *("--attacks", "transpose", "--finish", "none", "--stolen", "8", "--infect-steps", "40"),
    *("--decays", "0.1:0.9:4", "--no-baselines", "--epochs", "2", "--batch-size", "32", "--members-per-wave", "2"),
  ]


@pytest.fixture(scope="module")
def whole(flags, tmp_path_factory):
  out = tmp_path_factory.mktemp("runs") / "whole"
  assert main([*flags, "--out", str(out)]) == 0
  return out


def _sweep(*arguments, after=""):
  """A sweep in a process of its own that has run some lines of Python first."""
  env = {**os.environ, "JAX_NUM_CPU_DEVICES": "4"}
  start = f"import os, sys\n{after}\nos.execv(sys.executable, [sys.executable, {FILE!r}, *sys.argv[1:]])"
  command = [sys.executable, "-c", start, *arguments]
  return subprocess.run(command, env=env, capture_output=True, text=True, timeout=300, check=False)


def _last_line(text):
  return text.strip().splitlines()[-1]


def test_an_infection_that_is_not_finite_spoils_no_other(flags, tmp_path, monkeypatch, capsys):
  infect_all = Transpose.infect_all

  def poison_the_second(self, *args, **kwargs):
    first, second = infect_all(self, *args, **kwargs)
    params = {**second.params}
    layer = next(name for name, leaves in params.items() if "kernel" in leaves)
    params[layer] = {**params[layer], "kernel": params[layer]["kernel"].at[0, 0].set(jnp.nan)}
    return [first, second._replace(params=params)]

  monkeypatch.setattr(Transpose, "infect_all", poison_the_second)
  poisoned = [*flags, "--seeds", "2", "--infect-steps", "41"]
  assert main([*poisoned, "--out", str(tmp_path / "r")]) == 0
  assert "infection of seed 1 (transpose): not finite, nothing is started from it" in capsys.readouterr().err
  table = lwlrd_jax.load_run(tmp_path / "r").results
  assert list(table.columns) == list(COLUMNS)
  tuned = table[table.defense == "lwlrd"]
  assert set(tuned[tuned.seed == 0].status) == {"ok"}
  assert set(tuned[tuned.seed == 1].status) == {"failed: the infected model is not finite"}
  assert tuned[tuned.seed == 1].auc.isna().all()
  untreated = table[(table.defense == "untreated") & (table.seed == 1)]
  assert untreated.status.tolist() == ["diverged"]
  assert (tmp_path / "r" / "report.html").exists()
  # It is not what a later sweep starts from.
  monkeypatch.undo()
  assert main([*poisoned, "--out", str(tmp_path / "again")]) == 0
  assert set(lwlrd_jax.load_run(tmp_path / "again").results.status) == {"ok"}


def test_a_disk_that_is_full_when_the_table_is_written(flags, whole, tmp_path, capsys, assert_same):
  out = tmp_path / "r"
  original = sweeping.Store.share

  def full_from_now_on(self, *given):
    if len(self.rows) >= 2:
      (out / ".results.parquet.new").symlink_to("/dev/full")
    original(self, *given)

  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(sweeping.Store, "share", full_from_now_on)
    assert main([*flags, "--out", str(out)]) == 2
  expected = f"error: {out / 'results.parquet'}: cannot be written (No space left on device)"
  assert _last_line(capsys.readouterr().err) == expected
  assert len(pd.read_parquet(out / "results.parquet")) > 0
  assert main([*flags, "--out", str(out), "--resume"]) == 0
  assert_same(whole, out)


def test_a_disk_that_is_full_when_a_checkpoint_is_written(flags, whole, tmp_path, assert_same):
  out = tmp_path / "r"
  no_large_files = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))"
  stopped = _sweep(*flags, "--out", str(out), after=no_large_files)
  assert stopped.returncode == 2, stopped.stderr
  assert "Traceback" not in stopped.stderr
  (said,) = (line for line in stopped.stderr.splitlines() if line.startswith("error: "))
  assert said.startswith(f"error: {out / 'checkpoints'}")
  assert said.endswith(": cannot be written (File too large)")
  assert not list((out / "checkpoints").glob("transpose-lwlrd*"))
  assert main([*flags, "--out", str(out), "--resume"]) == 0
  assert_same(whole, out)


def test_a_directory_that_cannot_be_written(flags, tmp_path):
  out = tmp_path / "r"
  assert main([*flags, "--out", str(out), "--decays", "0.5"]) == 0
  # Root may write anywhere, unless it gives that up: PR_CAPBSET_DROP of CAP_DAC_OVERRIDE.
  obey_modes = "import ctypes\nif os.geteuid() == 0: assert ctypes.CDLL(None).prctl(24, 1, 0, 0, 0) == 0"
  before = sorted(path.name for path in out.iterdir())
  out.chmod(0o500)
  try:
    refused = _sweep(*flags, "--out", str(out), "--decays", "0.5", "--resume", after=obey_modes)
  finally:
    out.chmod(0o700)
  assert refused.returncode == 2
  assert _last_line(refused.stderr) == f"error: --out {out}: cannot be written (Permission denied)"
  assert sorted(path.name for path in out.iterdir()) == before


@pytest.fixture(scope="module")
def own_cache(flags, tmp_path_factory):
  """A cache with the models of one sweep, to be copied."""
  folder = tmp_path_factory.mktemp("own_cache")
  with pytest.MonkeyPatch.context() as patch:
    patch.setenv("LWLRD_JAX_CACHE", str(folder / "cache"))
    assert main([*flags, "--decays", "0.5", "--out", str(folder / "r")]) == 0
  return folder / "cache"


@pytest.mark.parametrize("spoil", ["flip", "truncate", "delete"])
def test_a_damaged_model_in_the_cache_is_named_and_refused(flags, own_cache, spoil, tmp_path, monkeypatch, capsys):
  shutil.copytree(own_cache, tmp_path / "cache")
  monkeypatch.setenv("LWLRD_JAX_CACHE", str(tmp_path / "cache"))
  command = [*flags, "--decays", "0.5"]
  file = max((tmp_path / "cache" / "models").rglob("d/*"), key=lambda path: path.stat().st_size)
  content = bytearray(file.read_bytes())
  content[len(content) // 2] ^= 1
  {
    "flip": lambda: file.write_bytes(bytes(content)),
    "truncate": lambda: file.write_bytes(bytes(content[:-10])),
    "delete": file.unlink,
  }[spoil]()
  capsys.readouterr()
  assert main([*command, "--out", str(tmp_path / "again")]) == 2
  said = _last_line(capsys.readouterr().err)
  assert said.startswith(f"error: {tmp_path / 'cache' / 'models'}")
  assert ": damaged, " in said
  assert file.name in said


def test_a_clock_that_jumps_back(flags, whole, tmp_path, monkeypatch, assert_same, stop_in_wave):
  out = tmp_path / "r"
  stop_in_wave(2)
  assert main([*flags, "--out", str(out)]) == 130
  before = lwlrd_jax.load_run(out).config

  class Yesterday(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
      return datetime.datetime(1999, 12, 31, tzinfo=tz)

  monkeypatch.setattr(sweeping.datetime, "datetime", Yesterday)
  monkeypatch.setattr(time, "time", lambda: 0.0)
  assert main([*flags, "--out", str(out), "--resume"]) == 0
  monkeypatch.undo()
  after = lwlrd_jax.load_run(out)
  assert after.config["started"] == before["started"]
  assert after.config["run_seconds"] > before["elapsed_seconds"] > 0
  assert (after.results.seconds.dropna() > 0).all()
  assert_same(whole, out)


def test_two_sweeps_in_one_directory(flags, tmp_path, capsys):
  out = tmp_path / "r"
  first = subprocess.Popen([sys.executable, FILE, *flags, "--out", str(out)], stderr=subprocess.PIPE, text=True)
  try:
    while not (out / "config.json").exists():
      assert first.poll() is None, first.communicate()
      time.sleep(0.01)
    assert main([*flags, "--out", str(out), "--resume"]) == 2
    assert f"error: --out {out}: process {first.pid} on " in capsys.readouterr().err
  finally:
    first.kill()
    first.wait()
  assert main([*flags, "--out", str(out), "--resume"]) == 0  # a process that died holds nothing


def test_out_of_memory_halves_the_wave(flags, whole, tmp_path, monkeypatch, capsys, assert_same):
  finetune = members.finetune
  sizes = []

  def too_much_for_more_than_one(params, schedules, *args, **kwargs):
    sizes.append(len(schedules))
    if len(schedules) > 1:
      jnp.zeros(2**46, jnp.uint8).block_until_ready()  # XLA says what it says when there is no memory left
    return finetune(params, schedules, *args, **kwargs)

  monkeypatch.setattr(members, "finetune", too_much_for_more_than_one)
  assert main([*flags, "--out", str(tmp_path / "r"), "--members-per-wave", "4"]) == 0
  # Once is enough to know.
  assert sizes == [4, 2, 1, 1, 1, 1]
  said = capsys.readouterr().err
  assert "out of memory: 4 members at once are too many (RESOURCE_EXHAUSTED" in said
  assert "on with 2" in said
  assert_same(whole, tmp_path / "r")


def test_a_program_that_does_not_fit_is_not_begun(flags, tmp_path, monkeypatch, capsys, assert_same):
  """What compiled programs say that they take decides."""
  # More members than devices: all at once two of them share one.
  flags = [*flags, "--decays", "0.1:0.9:8"]
  needed = []
  taken_by = memory.taken_by

  def listen(compiled):
    needed.append(taken_by(compiled))
    return needed[-1]

  monkeypatch.setattr(memory, "taken_by", listen)
  assert main([*flags, "--out", str(tmp_path / "r"), "--members-per-wave", "8"]) == 0
  all_at_once = needed[0]
  needed.clear()
  monkeypatch.setattr(memory, "free_on_device", lambda devices: all_at_once - 1)
  assert main([*flags, "--out", str(tmp_path / "s"), "--members-per-wave", "8"]) == 0
  assert len(needed) == 1 + 2
  assert needed[0] == all_at_once > needed[1]
  assert "out of memory: 8 members at once are too many" in capsys.readouterr().err
  assert_same(tmp_path / "r", tmp_path / "s")
  monkeypatch.setattr(memory, "free_on_device", lambda devices: 1000)
  assert main([*flags, "--out", str(tmp_path / "t")]) == 2
  said = _last_line(capsys.readouterr().err)
  assert said.startswith("error: out of memory: a single member does not fit (")
  assert "allowed: a smaller --batch-size" in said
