import time

import jax
import jax.numpy as jnp
import pytest

from lwlrd_jax.watch import profile
from lwlrd_jax.watch.profile import traced_once


def work():
  jax.block_until_ready(jax.jit(lambda x: x @ x)(jnp.ones((64, 64))))


def traces(directory):
  return list((directory / "profile").rglob("*.xplane.pb"))


def test_a_trace_once_in_a_run_and_only_if_wanted(tmp_path, capsys):
  with traced_once(tmp_path, wanted=False):
    work()
  assert not (tmp_path / "profile").exists()
  with traced_once(tmp_path, wanted=True):
    work()
  (trace,) = traces(tmp_path)
  assert trace.stat().st_size > 0
  folder = tmp_path / "profile"
  said = f"profile: the first wave, in {folder}; to look at it: pip install xprof; xprof --logdir {folder}\n"
  assert capsys.readouterr().err == said
  with traced_once(tmp_path, wanted=True):
    work()
  assert traces(tmp_path) == [trace]
  assert capsys.readouterr().err == ""


def fail(directory, message):
  with traced_once(directory, wanted=True):
    work()
    raise RuntimeError(message)


def test_a_wave_that_fails_leaves_the_profiler_free(tmp_path):
  for name in ("first", "second"):
    with pytest.raises(RuntimeError, match=f"^{name}$"):  # not that a trace is being made already
      fail(tmp_path / name, name)


def test_a_long_wave_is_traced_at_its_beginning(tmp_path, monkeypatch, capsys):
  monkeypatch.setattr(profile, "_LONGEST", 0.2)
  with traced_once(tmp_path, wanted=True):
    work()
    deadline = time.monotonic() + 60
    while not traces(tmp_path) and time.monotonic() < deadline:
      time.sleep(0.05)
    (trace,) = traces(tmp_path)
  assert traces(tmp_path) == [trace]
  assert trace.stat().st_size > 0
  assert "profile: the first wave's first 0.2 s, in " in capsys.readouterr().err
