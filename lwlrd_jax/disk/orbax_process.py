"""Orbax in a process of its own, where several processes take part in a run.

Inside one of several processes of `jax.distributed` Orbax would wait for all of them at every checkpoint, and leave
NumPy arrays to the first to write. Here each saves its own members whenever they are done.
"""

import functools
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

import jax

T = TypeVar("T")


def _is_alone() -> bool:
  return not jax.distributed.is_initialized() or jax.process_count() == 1


def call(function: Callable[..., T], *arguments: Any) -> T:
  """Calls a function of a module: here if this process is alone, else in the process beside it.

  Raises:
    OSError: The process beside it died.
  """
  if _is_alone():
    return function(*arguments)
  begin()
  try:
    return _beside().submit(function, *arguments).result()
  except BrokenProcessPool as error:
    raise OSError("the process that writes checkpoints died") from error


@functools.cache
def begin() -> None:
  """Starts the process, which takes some seconds, before it is needed; nothing where this one is alone."""
  if _is_alone():
    return
  signals = {signal.SIGINT, signal.SIGTERM}
  # It inherits that: until it has imported everything, a signal to the whole group would end it.
  before = signal.pthread_sigmask(signal.SIG_BLOCK, signals)
  try:
    _beside().submit(os.getpid)
  finally:
    signal.pthread_sigmask(signal.SIG_SETMASK, before)


@functools.cache
def _beside() -> ProcessPoolExecutor:
  # Not forked: JAX has threads.
  return ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"), initializer=_alone)


def _alone() -> None:
  """The process leaves accelerators to its parent, ends with it, and lets it decide what an interrupt means."""
  jax.config.update("jax_platforms", "cpu")
  for name in (signal.SIGINT, signal.SIGTERM):
    signal.signal(name, signal.SIG_IGN)
  parent = multiprocessing.parent_process()
  assert parent is not None

  def end_with_parent() -> None:
    parent.join()
    os._exit(1)

  threading.Thread(target=end_with_parent, daemon=True).start()
