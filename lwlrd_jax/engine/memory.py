"""Memory of a device: what is free, and what a compiled program takes."""

from typing import Any

import jax
import psutil


class TooLargeError(Exception):
  """A program that would take more memory than there is; it was not begun.

  Attributes:
    needed: Bytes it takes of a device.
    free: Bytes that the device has left.
  """

  def __init__(self, needed: int, free: int):
    super().__init__(f"{needed / 1e9:.2f} GB of {free / 1e9:.2f} GB that are free")
    self.needed, self.free = needed, free


def free_memory() -> int | None:
  """Of one of this process's devices, in bytes; None where it does not say. CPU devices share the machine's."""
  device = jax.local_devices()[0]
  if device.platform == "cpu":
    return psutil.virtual_memory().available
  statistics = device.memory_stats() or {}
  if "bytes_limit" not in statistics:
    return None
  return statistics["bytes_limit"] - statistics.get("bytes_in_use", 0)


def taken_by(compiled: Any) -> int:
  """Bytes that a compiled program takes of a device beside its data: arguments and results, and what is between."""
  found = compiled.memory_analysis()
  return (
    found.argument_size_in_bytes
    + found.output_size_in_bytes
    - found.alias_size_in_bytes
    + found.temp_size_in_bytes
    + found.generated_code_size_in_bytes
  )


def free_on_device(devices: int | None = None) -> int | None:
  """As `free_memory`; of so many devices of a CPU (all, if None) each one's share."""
  free = free_memory()
  if free is not None and jax.local_devices()[0].platform == "cpu":
    free //= devices or jax.local_device_count()
  return free


def check_room(compiled: Any, devices: int) -> None:
  """Refuses a program that this process's devices have no room for.

  Its arguments are counted too: they are not there yet, or a part of them is, and then it is the safer side.

  Args:
    compiled: The program.
    devices: How many of them it runs on: a CPU's share the memory.

  Raises:
    TooLargeError: They have not.
  """
  free, needed = free_on_device(devices), taken_by(compiled)
  if free is not None and needed > free:
    raise TooLargeError(needed, free)


def is_out_of_memory(error: BaseException) -> bool:
  """Whether that is what an error is about."""
  return isinstance(error, TooLargeError) or (
    isinstance(error, jax.errors.JaxRuntimeError) and "RESOURCE_EXHAUSTED" in str(error)
  )


def in_a_line(error: BaseException) -> str:
  """The beginning of what it says."""
  return str(error).strip().split("\n")[0][:200]
