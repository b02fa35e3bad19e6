"""The processes that run one sweep together: how they join, wait for each other, and tell each other what they know.

Each has devices of its own and works on members of its own; no compiled program spans two of them. What they say goes
through JAX's coordination service, as values that are looked at: whoever waits hears of failures and requests to stop.
The only module that knows `jax.distributed`.
"""

import contextlib
import functools
import itertools
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
from lwlrd_jax.config import Processes
from lwlrd_jax.errors import EXIT_MISTAKE, EXIT_TEMPORARY, TemporaryFailure, UserError
from lwlrd_jax.jax_internals import coordination_client as _client
from lwlrd_jax.watch.progress import console

# A process that dies without a word is missed after this long.
_HEARTBEAT_SECONDS = 60
# Between two looks at what others say.
_LOOK_SECONDS = 0.2
# Of a value: gRPC has a limit of some megabytes.
_CHUNK = 2**20
_NAMES = "lwlrd_jax"
_numbers = itertools.count()


def count() -> int:
  """How many processes there are. Before they have joined, this one."""
  return jax.process_count() if jax.distributed.is_initialized() else 1


def index() -> int:
  """Number of this one."""
  return jax.process_index() if jax.distributed.is_initialized() else 0


def is_first() -> bool:
  """Whether this one writes the table, shows progress, and makes what all start from."""
  return index() == 0


def join(asked: Processes) -> None:
  """Joins the other processes, if the command line says that there are any.

  Ends this process with exit code 75 if they do not all come in time: JAX would end it with a stack trace, or wait for
  ever.

  Args:
    asked: The flags.

  Raises:
    UserError: No cluster that JAX knows is there to ask for the others.
    TemporaryFailure: They could not join.
  """
  if not asked.distributed and asked.coordinator is None:
    return
  wait = asked.join_timeout
  came = threading.Event()

  def give_up() -> None:
    if not came.wait(wait):
      of = "" if asked.processes is None else f" of {asked.processes}"
      print(
        f"error: process {'' if asked.process_id is None else asked.process_id}{of} on {socket.gethostname()} waited "
        f"{wait:g} s for the others, and not all came (coordinator {asked.coordinator or 'as the cluster has it'}); "
        "start the same command on every host, let them reach the coordinator's port, or raise --join-timeout",
        file=sys.stderr,
        flush=True,
      )
      os._exit(EXIT_TEMPORARY)

  threading.Thread(target=give_up, daemon=True).start()
  try:
    jax.distributed.initialize(
      asked.coordinator,
      asked.processes,
      asked.process_id,
      # Longer than we wait: what JAX does then is no way to end.
      initialization_timeout=int(wait) + 60,
      heartbeat_timeout_seconds=_HEARTBEAT_SECONDS,
    )
    jax.devices()  # all of them have to come for this too
  except ValueError as error:
    raise UserError(
      f"--distributed: there is no cluster that could be asked for the other processes ({str(error).splitlines()[0]}); "
      "allowed: on Cloud TPU, GKE, Slurm and what else jax.distributed finds out, or with --coordinator, --processes "
      "and --process-id"
    ) from error
  except RuntimeError as error:  # such as a port that is taken
    reason = str(error).strip().splitlines()[0]
    raise TemporaryFailure(f"--coordinator {asked.coordinator}: the processes could not join ({reason})") from error
  finally:
    came.set()
  if not is_first():
    console.quiet = True
  stopping.listen_to(_ask_others)
  console.print(f"{count()} processes, {jax.device_count()} devices")


def wait(name: str) -> None:
  """Waits until all processes are here.

  Args:
    name: Of the place; each of them comes by it as often as the others.

  Raises:
    UserError: One of them found a mistake of the user's.
    TemporaryFailure: One of them failed.
    Stopped: One of them was asked to stop.
  """
  if count() == 1:
    return
  place = _place(name)
  _client().key_value_set(f"{place}{index()}", "")
  while len(_client().key_value_dir_get(place)) < count():
    stopping.check()
    time.sleep(_LOOK_SECONDS)


def from_first(make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
  """What the first process makes, in all of them, to the last bit.

  Args:
    make: Makes a tree of arrays, nested dicts; called in the first process alone.

  Raises:
    UserError, TemporaryFailure, Stopped: As `wait`; in the first process what `make` raises.
  """
  if count() == 1:
    return make()
  place = _place("from the first")
  chunk = f"{_NAMES}/chunks/{place.split('/')[2]}"  # not among the values that are looked at
  if is_first():
    tree = jax.tree.map(np.asarray, make())
    content = serialization.msgpack_serialize(tree)
    for first in range(0, len(content), _CHUNK):
      _client().key_value_set_bytes(f"{chunk}/{first}", content[first : first + _CHUNK])
    _client().key_value_set(f"{place}size", str(len(content)))
  else:
    size = int(_value(f"{place}size"))
    content = b"".join(_client().key_value_try_get_bytes(f"{chunk}/{first}") for first in range(0, size, _CHUNK))
    tree = serialization.msgpack_restore(content)
  wait("taken")
  if is_first():
    _client().key_value_delete(chunk)
  return tree


def say(make: Callable[[], str]) -> str:
  """What the first process says, in all of them; errors as `from_first`."""
  if count() == 1:
    return make()
  place = _place("said")
  if not is_first():
    return _value(f"{place}text")[1:]
  text = make()
  _client().key_value_set(f"{place}text", f"={text}")  # there are no empty values
  return text


@contextlib.contextmanager
def first_goes_first(name: str) -> Iterator[None]:
  """The others come in when the first process is through: what it wrote to a disk they share is there then."""
  if not is_first():
    wait(name)
  yield
  if is_first():
    wait(name)


def fail(message: str, code: int) -> None:
  """Tells the others that this process cannot go on.

  Args:
    message: Why, a line.
    code: `EXIT_MISTAKE` if it is the user's to mend; else they end in a way that has them started again.
  """
  if count() > 1:
    with contextlib.suppress(Exception):  # whatever comes of it: this one ends
      _tell(json.dumps({"failed": f"process {index()} on {socket.gethostname()} failed: {message}", "code": code}))


def leave(why: str, code: int) -> None:
  """Ends this process at once, where there are others: JAX would have it wait for them."""
  if count() > 1:
    with contextlib.suppress(Exception):
      _tell(json.dumps({"why": why, "code": code}))
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _ask_others(mine: stopping.Stopped | None) -> stopping.Stopped | None:
  """Tells of a request, or finds one that another process told of.

  Raises:
    UserError, TemporaryFailure: Another one failed.
  """
  if mine is not None:
    _tell(json.dumps({"why": str(mine), "code": mine.code}))
    return mine
  for word in _told(int(time.monotonic() / _LOOK_SECONDS)):
    if "failed" in word:
      raise (UserError if word["code"] == EXIT_MISTAKE else TemporaryFailure)(word["failed"])
    return stopping.Stopped(**word)
  return None


@functools.cache
def _tell(word: str) -> None:
  _client().key_value_set(f"{_NAMES}/words/{index()}", word, allow_overwrite=True)


@functools.lru_cache(1)
def _told(moment: int) -> list[dict[str, Any]]:
  """What other processes told; asked for no more often than at every `moment`."""
  del moment
  return [json.loads(word) for _, word in _client().key_value_dir_get(f"{_NAMES}/words/")]


def _place(name: str) -> str:
  """A folder of values of its own; every process asks for as many of them, in one order."""
  return f"{_NAMES}/at/{next(_numbers)}/{name}/"


def _value(key: str) -> str:
  """A value that the first process sets; whoever waits for it hears what became of that one."""
  place = key.rpartition("/")[0] + "/"
  while not (found := dict(_client().key_value_dir_get(place)).get(key)):
    stopping.check()
    time.sleep(_LOOK_SECONDS)
  return found
