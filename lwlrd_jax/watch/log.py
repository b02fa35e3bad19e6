"""What happens in a sweep, for machines: `log.jsonl` in the run directory, a JSON object a line, beside the console.

Every line has `time` (UTC) and `event`; `EVENTS` lists the events and their fields. A `MemoryHandler` keeps events
until there is a directory to write them to; to have them elsewhere too, add a handler to the logger
"lwlrd_jax.log". No event holds pixels.
"""

import contextlib
import datetime
import json
import logging
import math
import sys
import time
import traceback
from collections.abc import Iterator
from logging.handlers import MemoryHandler
from pathlib import Path
from typing import Any

from lwlrd_jax.errors import INTERRUPTED, UserError, with_flags
from lwlrd_jax.storage import is_remote

FILE = "log.jsonl"

# Every event, and its fields beside `time` and `event`. docs/reading-runs.md has them as a table.
EVENTS = {
  "run_begun": "`command`, `versions`, `device`, `matmul_precision`, `git_commit`",
  "run_resumed": "the same, where a stopped run is resumed",
  "phase_begun": "`title`, `steps` of each of `members`, and what a step is called (`unit`)",
  "phase_ended": "the same, `seconds`, and `said`, the line on the console",
  "wave_done": (
    "`attack`, `seed`, `members` fine-tuned together, `seconds` with measuring, `member_steps_per_s` of fine-tuning"
  ),
  "member_done": (
    "name, setting, `status` and main figures, as in the table; empty ones are left out. The member is on disk by then"
  ),
  "message": "`said`, any other line on the console",
  "run_done": "`members` in the table, `seconds` since the run was begun or resumed",
  "run_stopped": "`said`, the line that the run ended with",
  "run_failed": "`said`, and the `traceback` of an error that is a defect",
  "study_begun": "`command`, and the names of its `runs`; in the log of the study's folder, like the next two",
  "study_resumed": "the same, where a stopped study is resumed",
  "study_done": "how many `runs` it has",
}

_logger = logging.getLogger("lwlrd_jax.log")
_logger.setLevel(logging.INFO)
_logger.propagate = False  # handlers of the root, such as absl's, would show events among what the console shows
# Without a target it keeps what comes, with one it hands each event on at once.
_waiting = MemoryHandler(capacity=1, flushOnClose=False)


def event(name: str, /, **fields: Any) -> None:
  """Notes that something happened; nothing comes of it outside of `recording`.

  Args:
    name: What; one of `EVENTS`.
    **fields: More about it, as JSON; what is not finite becomes null.
  """
  _logger.info(name, extra={"fields": fields})


@contextlib.contextmanager
def recording() -> Iterator[None]:
  """Keeps events from here on, for `write_to`; an exception that passes through is the last of them."""
  _logger.addHandler(_waiting)
  try:
    yield
  except UserError as error:
    event("run_stopped", said=f"error: {with_flags(str(error))}")
    raise
  except Exception as error:
    event("run_failed", said=f"{type(error).__name__}: {error}", traceback=traceback.format_exc())
    raise
  except BaseException as error:
    said = INTERRUPTED if isinstance(error, KeyboardInterrupt) else str(error) or type(error).__name__
    event("run_stopped", said=with_flags(said))
    raise
  finally:
    _hand_on_to(None)
    _waiting.buffer.clear()
    _logger.removeHandler(_waiting)


def write_to(directory: Path) -> None:
  """Writes all that was kept, and what follows, to the log of this directory; after whatever is in it."""
  if _waiting in _logger.handlers:
    try:
      _hand_on_to(_LogFile(directory / FILE))
    except OSError as error:
      raise UserError(f"{directory / FILE}: cannot be written ({error.strerror or error})") from error


class _LogFile(logging.Handler):
  """Appends events to a file, each a line and a single system call, so that a killed process loses none.

  In a bucket, where nothing can be appended to, the whole file is written every few seconds, and when it is closed.
  """

  _SECONDS = 5.0

  def __init__(self, path: Path):
    super().__init__()
    old = path.read_bytes() if path.exists() else b""
    # Half a line that a killed process left is closed off, so that it spoils no other.
    self._between = b"\n" if old and not old.endswith(b"\n") else b""
    self._path = path
    self._file = None if is_remote(path) else path.open("ab", buffering=0)
    self._whole = old if self._file is None else b""
    self._written = 0.0
    self._failed = False

  def emit(self, record: logging.LogRecord) -> None:
    try:
      self._append(self._between + _line(record).encode())
      self._between = b""
    except Exception as error:  # also whatever a bucket's own library comes up with: the run does without
      if not self._failed:
        print(f"{FILE}: cannot be written ({error}); the run continues without", file=sys.stderr)
      self._failed = True

  def _append(self, line: bytes) -> None:
    if self._file is not None:
      self._file.write(line)
      return
    self._whole += line
    if time.monotonic() - self._written > self._SECONDS:
      self._path.write_bytes(self._whole)
      self._written = time.monotonic()

  def close(self) -> None:
    super().close()
    if self._file is not None:
      self._file.close()
    else:
      self._path.write_bytes(self._whole)


def _line(record: logging.LogRecord) -> str:
  now = datetime.datetime.fromtimestamp(record.created, datetime.UTC).isoformat(timespec="milliseconds")
  fields = {name: _finite(value) for name, value in record.__dict__.get("fields", {}).items()}
  return json.dumps({"time": now, "event": record.getMessage(), **fields}, default=str) + "\n"


def _finite(value: Any) -> Any:
  """JSON has no NaN."""
  return None if isinstance(value, float) and not math.isfinite(value) else value


def read_log(directory: Path) -> list[dict[str, Any]]:
  """The events in the log of a directory, oldest first; none if it has no log.

  Lines that are no JSON object are left out: a killed process may leave half of one.
  """
  file = directory / FILE
  events = []
  for line in file.read_bytes().splitlines() if file.exists() else ():
    with contextlib.suppress(ValueError):
      found = json.loads(line)
      if isinstance(found, dict):
        events.append(found)
  return events


def _hand_on_to(handler: _LogFile | None) -> None:
  before = _waiting.target
  _waiting.setTarget(handler)
  _waiting.flush()
  if before is not None:
    with contextlib.suppress(Exception):  # of a bucket that cannot be reached: nothing hangs on the last lines
      before.close()
