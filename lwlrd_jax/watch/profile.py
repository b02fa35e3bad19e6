"""`profile`: what the device and its host do in a run's first wave."""

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path

import jax

from lwlrd_jax.watch.progress import console

# Seconds. A CPU adds a megabyte each, and what is larger than 2 GB is neither written nor opened.
_LONGEST = 300.0


@contextlib.contextmanager
def traced_once(directory: Path, *, wanted: bool) -> Iterator[None]:
  """Traces what happens within, or its beginning, into profile/ of a run directory, unless a trace is there already.

  Args:
    directory: Of the run.
    wanted: False to trace nothing.
  """
  folder = directory / "profile"
  if not wanted or any(folder.rglob("*.xplane.pb")):
    yield
    return
  options = jax.profiler.ProfileOptions()
  options.python_tracer_level = 0  # every call in Python would be most of the trace, and of the time
  jax.profiler.start_trace(folder, profiler_options=options)
  cut = threading.Event()

  def cut_short() -> None:
    jax.profiler.stop_trace()
    cut.set()

  limit = threading.Timer(_LONGEST, cut_short)
  limit.daemon = True
  limit.start()
  try:
    yield
  finally:
    limit.cancel()
    limit.join()  # it may be at it
    if not cut.is_set():
      jax.profiler.stop_trace()
  what = f"the first wave's first {_LONGEST:g} s" if cut.is_set() else "the first wave"
  console.print(
    f"profile: {what}, in {folder}; to look at it: pip install xprof; xprof --logdir {folder}",
    soft_wrap=True,
    markup=False,
  )
