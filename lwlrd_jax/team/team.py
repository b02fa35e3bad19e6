"""The processes that run one sweep together: how they join, wait for each other, and pass values on.

Each has its own devices and members; no compiled program spans two of them. Values go through JAX's coordination
service and are polled, so that a waiting process also receives failures and requests to stop. No other module uses
`jax.distributed`.
"""

import contextlib
import functools
import json
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np
from flax import serialization

from lwlrd_jax import stopping
from lwlrd_jax.errors import EXIT_MISTAKE, EXIT_TEMPORARY, INTERRUPTED, TemporaryFailure, UserError, with_flags
from lwlrd_jax.jax_internals import coordination_client as _client
from lwlrd_jax.watch.progress import console

# A process that dies without a message is missed after this long.
_HEARTBEAT_SECONDS = 60
# Between two polls of what others sent.
_POLL_SECONDS = 0.2
# Of a value: gRPC has a limit of some megabytes.
_CHUNK = 2**20
_NAMES = "lwlrd_jax"


class Team:
  """A process that is alone: number `index` of `count`."""

  count = 1
  index = 0

  @property
  def is_first(self) -> bool:
    """Whether this one writes the table, shows progress, and makes what all start from."""
    return self.index == 0

  def within(self, name: str) -> "Team":
    """The same processes for a part of the work, whose names are its own."""
    del name
    return self

  def wait(self, name: str) -> None:
    """Waits until all processes are at the place of this name, unique within the part of the work.

    Raises:
      UserError, TemporaryFailure, Stopped: One of them found a mistake, failed, or was asked to stop.
    """

  def from_first(self, name: str, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """The tree of arrays (nested dicts) that `make` returns in the first process, bit-equal in all of them.

    Raises:
      UserError, TemporaryFailure, Stopped: As `wait`; in the first process what `make` raises.
    """
    del name
    return make()

  def say(self, name: str, make: Callable[[], str]) -> str:
    """A text that the first process makes, in all of them; otherwise as `from_first`."""
    del name
    return make()

  def agree(self, name: str, make: Callable[[], bool]) -> bool:
    """As `say`, of a yes or no."""
    return self.say(name, lambda: str(bool(make()))) == "True"

  @contextlib.contextmanager
  def first_goes_first(self, name: str) -> Iterator[None]:
    """The others enter once the first process has left, and find what it wrote to a shared disk."""
    if not self.is_first:
      self.wait(name)
    yield
    if self.is_first:
      self.wait(name)

  @contextlib.contextmanager
  def reporting(self) -> Iterator[None]:
    """Reports an error that ends this process to the others, which cannot continue without it."""
    yield


class _Several(Team):
  """Several processes, joined by `jax.distributed`. `part` begins names; a name in `used` would not wait again."""

  def __init__(self, part: str = "", used: set[str] | None = None):
    self.count, self.index = jax.process_count(), jax.process_index()
    self._part, self._used = part, set() if used is None else used

  def within(self, name: str) -> "_Several":
    return _Several(f"{self._part}{name}: ", self._used)

  def wait(self, name: str) -> None:
    place = self._place(name)
    _client().key_value_set(f"{place}{self.index}", "")
    while len(_client().key_value_dir_get(place)) < self.count:
      stopping.check()
      time.sleep(_POLL_SECONDS)

  def from_first(self, name: str, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    place = self._place(name)
    chunk = f"{_NAMES}/chunks/{self._part}{name}"  # not among the values that are polled
    if self.is_first:
      content = serialization.msgpack_serialize(jax.tree.map(np.asarray, make()))
      for first in range(0, len(content), _CHUNK):
        _client().key_value_set_bytes(f"{chunk}/{first}", content[first : first + _CHUNK])
      _client().key_value_set(f"{place}size", str(len(content)))
    else:
      size = int(_value(f"{place}size"))
      content = b"".join(_client().key_value_try_get_bytes(f"{chunk}/{first}") for first in range(0, size, _CHUNK))
    self.wait(f"{name} is taken")
    if self.is_first:
      _client().key_value_delete(chunk)
    return serialization.msgpack_restore(content)

  def say(self, name: str, make: Callable[[], str]) -> str:
    place = self._place(name)
    if not self.is_first:
      return _value(f"{place}text")[1:]
    text = make()
    _client().key_value_set(f"{place}text", f"={text}")  # there are no empty values
    return text

  @contextlib.contextmanager
  def reporting(self) -> Iterator[None]:
    try:
      yield
    except UserError as error:
      self._fail(str(error), EXIT_MISTAKE)
      raise
    except TemporaryFailure as error:
      self._fail(str(error), EXIT_TEMPORARY)
      raise
    except KeyboardInterrupt:
      print(with_flags(INTERRUPTED), file=sys.stderr)
      _tell(self.index, json.dumps({"why": "an interrupt", "code": stopping.EXIT_INTERRUPTED}))
      sys.stdout.flush()
      sys.stderr.flush()
      os._exit(stopping.EXIT_INTERRUPTED)  # JAX would have it wait for the others
    except Exception as error:
      self._fail(f"{type(error).__name__}: {error}", EXIT_TEMPORARY)
      raise

  def _fail(self, message: str, code: int) -> None:
    failed = f"process {self.index} on {socket.gethostname()} failed: {message}"
    _tell(self.index, json.dumps({"failed": failed, "code": code}))

  def _place(self, name: str) -> str:
    """A folder of values of its own."""
    place = f"{_NAMES}/at/{self._part}{name}/"
    if place in self._used:
      raise RuntimeError(f"{place} is used twice")
    self._used.add(place)
    return place


def join(
  *, distributed: bool, coordinator: str | None, processes: int | None, process_id: int | None, join_timeout: float
) -> Team:
  """Joins the other processes, if there are any; for the arguments see `config.Processes`.

  Ends this process with exit code 75 after `join_timeout` seconds: JAX would end it with a stack trace, or not at all.

  Raises:
    UserError: No cluster that JAX knows can be asked for the others.
    TemporaryFailure: They could not join.
  """
  if not distributed and coordinator is None:
    return Team()
  came = threading.Event()

  def give_up() -> None:
    if not came.wait(join_timeout):
      this = ("" if process_id is None else f" {process_id}") + ("" if processes is None else f" of {processes}")
      message = (
        f"error: process{this} on {socket.gethostname()} waited {join_timeout:g} s for the others, and not all came "
        f"(coordinator {coordinator or 'as the cluster has it'}); start the same command on every host, let them reach "
        "the coordinator's port, or raise `join_timeout`"
      )
      print(with_flags(message), file=sys.stderr, flush=True)
      os._exit(EXIT_TEMPORARY)

  threading.Thread(target=give_up, daemon=True).start()
  try:
    jax.distributed.initialize(
      coordinator,
      processes,
      process_id,
      # Longer than we wait: what JAX does then is no way to end.
      initialization_timeout=int(join_timeout) + 60,
      heartbeat_timeout_seconds=_HEARTBEAT_SECONDS,
    )
    jax.devices()  # all of them have to come for this too
  except ValueError as error:
    raise UserError(
      f"`distributed`: there is no cluster that could be asked for the other processes ({str(error).splitlines()[0]}); "
      "allowed: on Cloud TPU, GKE, Slurm and what else jax.distributed finds out, or with `coordinator`, `processes` "
      "and `process_id`"
    ) from error
  except RuntimeError as error:  # such as a port that is taken
    reason = str(error).strip().splitlines()[0]
    raise TemporaryFailure(f"`coordinator` {coordinator}: the processes could not join ({reason})") from error
  finally:
    came.set()
  team = _Several()
  if not team.is_first:
    console.quiet = True
  stopping.listen_to(functools.partial(_ask_others, team.index))
  console.print(f"{team.count} processes, {jax.device_count()} devices")
  return team


def _ask_others(index: int, mine: stopping.Stopped | None) -> stopping.Stopped | None:
  """Passes a request to stop on, or returns another process's; raises if another one failed."""
  if mine is not None:
    _tell(index, json.dumps({"why": str(mine), "code": mine.code}))
    return mine
  for message in _messages(int(time.monotonic() / _POLL_SECONDS)):
    if "failed" in message:
      raise (UserError if message["code"] == EXIT_MISTAKE else TemporaryFailure)(message["failed"])
    return stopping.Stopped(**message)
  return None


@functools.cache
def _tell(index: int, message: str) -> None:
  with contextlib.suppress(Exception):  # whatever comes of it: this process ends
    _client().key_value_set(f"{_NAMES}/words/{index}", message, allow_overwrite=True)


@functools.lru_cache(1)
def _messages(moment: int) -> list[dict[str, Any]]:
  """What other processes sent; polled no more often than at every `moment`."""
  del moment
  return [json.loads(message) for _, message in _client().key_value_dir_get(f"{_NAMES}/words/")]


def _value(key: str) -> str:
  """Waits for a value that the first process sets."""
  place = key.rpartition("/")[0] + "/"
  while not (found := dict(_client().key_value_dir_get(place)).get(key)):
    stopping.check()
    time.sleep(_POLL_SECONDS)
  return found
