"""Memory of a device: what is free, and what a compiled program takes."""

from typing import Any

import jax
import psutil


class TooLargeError(Exception):
  """A program that would take more memory of a device than is free. It was not started."""

  def __init__(self, needed: int, free: int):
    super().__init__(f"{needed / 1e9:.2f} GB of {free / 1e9:.2f} GB that are free")


def free_memory() -> int | None:
  """Bytes free on one of this process's devices; None if it does not report them. CPU devices share the machine's."""
  device = jax.local_devices()[0]
  if device.platform == "cpu":
    return psutil.virtual_memory().available
  statistics = device.memory_stats() or {}
  if "bytes_limit" not in statistics:
    return None
  return statistics["bytes_limit"] - statistics.get("bytes_in_use", 0)


def free_on_device(devices: int | None = None) -> int | None:
  """As `free_memory`; of a CPU the share of one device, if so many are used (all by default)."""
  free = free_memory()
  if free is not None and jax.local_devices()[0].platform == "cpu":
    free //= devices or jax.local_device_count()
  return free


def taken_by(compiled: Any) -> int:
  """Bytes of a device that a compiled program takes: its code, arguments, results and what is between."""
  found = compiled.memory_analysis()
  return (
    found.argument_size_in_bytes
    + found.output_size_in_bytes
    - found.alias_size_in_bytes
    + found.temp_size_in_bytes
    + found.generated_code_size_in_bytes
  )


def check_room(compiled: Any, devices: int) -> None:
  """Refuses a program that runs on so many of this process's devices if it does not fit on one of them.

  Its arguments count as not yet allocated, which is on the safe side. Raises TooLargeError.
  """
  free, needed = free_on_device(devices), taken_by(compiled)
  if free is not None and needed > free:
    raise TooLargeError(needed, free)


def is_out_of_memory(error: BaseException) -> bool:
  """Whether an error says that memory is short."""
  exhausted = isinstance(error, jax.errors.JaxRuntimeError) and "RESOURCE_EXHAUSTED" in str(error)
  return exhausted or isinstance(error, TooLargeError)


def in_a_line(error: BaseException) -> str:
  """The beginning of an error's message."""
  return str(error).strip().split("\n")[0][:200]
