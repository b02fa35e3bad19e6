"""How long a sweep takes from its command to its first fine-tuning step: the first time, and again.

    python -m benchmarks.cold_start --decays 0.1:0.9

Flags are those of `python -m lwlrd_jax.sweep`. Every run is a process of its own, which ends as soon as the program of
the first fine-tuning steps has been given to the device. All share a new cache folder: the first run trains what is to
be fine-tuned and compiles everything, the others find both.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

_AGAIN = 3
_CHILD, _STARTED = "--until-first-step", "COLD_START_STARTED"


def main(arguments: list[str]) -> None:
  """Prints the seconds of each run."""
  with tempfile.TemporaryDirectory() as folder:
    first, *again = (_seconds(arguments, folder, number) for number in range(1 + _AGAIN))
  print(f"first time: {first:.1f} s; again: {', '.join(f'{s:.2f}' for s in again)} s")
  print(f"median of those again: {statistics.median(again):.2f} s")


def _seconds(arguments: list[str], folder: str, number: int) -> float:
  command = [sys.executable, "-m", "benchmarks.cold_start", _CHILD, *arguments, "--out", f"{folder}/run{number}"]
  environment = {name: value for name, value in os.environ.items() if name != "JAX_COMPILATION_CACHE_DIR"}
  environment |= {"LWLRD_JAX_CACHE": f"{folder}/cache", _STARTED: str(time.time())}
  done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
  return float(done.stdout.splitlines()[-1])


def _until_first_step(arguments: list[str]) -> None:
  """A sweep that ends with its first fine-tuning steps. It imports what a sweep would, and when a sweep would."""
  from lwlrd_jax import sweep  # noqa: PLC0415
  from lwlrd_jax.engine import population  # noqa: PLC0415
  from lwlrd_jax.runs import members  # noqa: PLC0415

  def stopping(advance: Callable[..., Any]) -> Callable[..., Any]:
    def first(*given: Any) -> Any:
      advance(*given)
      print(time.time() - float(os.environ[_STARTED]), flush=True)
      os._exit(0)

    first.lower = advance.lower  # type: ignore[attr-defined]  # it is compiled before it is called
    return first

  finetune = members.finetune

  def watched(*given: Any, **named: Any) -> Any:  # infection trains populations too
    population.advance = stopping(population.advance)  # type: ignore[assignment]
    return finetune(*given, **named)

  members.finetune = watched
  sys.exit(sweep.main(arguments))


if __name__ == "__main__":
  if _CHILD in sys.argv:
    _until_first_step([word for word in sys.argv[1:] if word != _CHILD])
  else:
    main(sys.argv[1:])
