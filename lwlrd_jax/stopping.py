"""Requests to stop: by Ctrl-C, by SIGTERM (which schedulers send before they take a machine away), of other processes.

The first request lets the work reach a place where it can save what is unfinished; a second Ctrl-C stops at once.
"""

import contextlib
import dataclasses
import signal
import sys
from collections.abc import Callable, Iterator

# 128 + the signal's number, as shells and schedulers have it; that of a pipe whose reader went away is SIGPIPE's.
EXIT_INTERRUPTED, EXIT_PIPE, EXIT_TERMINATED = 130, 141, 143
_SIGNALS = {signal.SIGINT: ("an interrupt", EXIT_INTERRUPTED), signal.SIGTERM: ("SIGTERM", EXIT_TERMINATED)}


class Stopped(BaseException):
  """A stop was requested, and unfinished work is saved. No error: code that handles errors must not catch it."""

  def __init__(self, why: str, code: int):
    super().__init__(why)
    self.code = code  # for the process to exit with


@dataclasses.dataclass
class _Request:
  """What was asked for so far; one a process, as signals are."""

  stopped: Stopped | None = None
  # Where Python ignores exceptions, as in `__del__`, that of a second Ctrl-C is lost: `check` raises it again.
  at_once: bool = False
  # Where several processes take part: reports a request to the others, or returns theirs.
  ask_others: Callable[[Stopped | None], Stopped | None] = lambda mine: mine


_request = _Request()


def request(why: str, code: int) -> None:
  """Asks the work to stop when it can."""
  _request.stopped = _request.stopped or Stopped(why, code)


def requested() -> bool:
  """Whether a stop was requested, here or in another process."""
  _request.stopped = _request.ask_others(_request.stopped)
  return _request.stopped is not None


def check() -> None:
  """Stops if that was requested; for places where nothing is lost.

  Raises:
    Stopped: It was.
    KeyboardInterrupt: It was, by a second Ctrl-C.
  """
  if _request.at_once:
    raise KeyboardInterrupt
  if requested():
    assert _request.stopped is not None
    raise _request.stopped


def listen_to(ask_others: Callable[[Stopped | None], Stopped | None]) -> None:
  """Has other processes take part: they receive a request of this one, and report theirs."""
  _request.ask_others = ask_others


@contextlib.contextmanager
def signals() -> Iterator[None]:
  """Turns signals into requests; outside the main thread, where no signals arrive, nothing changes."""
  global _request  # noqa: PLW0603  # signals are the process's own

  def on_signal(number: int, frame: object) -> None:
    del frame
    why, code = _SIGNALS[signal.Signals(number)]
    if _request.stopped is not None and number == signal.SIGINT:
      _request.at_once = True
      raise KeyboardInterrupt
    request(why, code)
    again = "; Ctrl-C again stops at once" if number == signal.SIGINT else ""
    print(f"\nstopping after {why}: unfinished work is saved first{again}", file=sys.stderr, flush=True)

  try:
    before = {number: signal.signal(number, on_signal) for number in _SIGNALS}
  except ValueError:  # not the main thread
    yield
    return
  try:
    yield
  finally:
    for number, handler in before.items():
      signal.signal(number, handler)
    _request = _Request()
