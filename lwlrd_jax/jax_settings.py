"""JAX's own settings, as a sweep needs them: its figures must not depend on what a shell happens to export."""

import os
from collections.abc import MutableMapping

from lwlrd_jax.errors import UserError

# By variable, what a sweep runs with. Not left to JAX's defaults, which may change: no figure has to follow them.
_OF_FIGURES = {
  "JAX_DEFAULT_PRNG_IMPL": "threefry2x32",
  "JAX_THREEFRY_PARTITIONABLE": "True",
  "JAX_RANDOM_SEED_OFFSET": "0",
  "JAX_ENABLE_CUSTOM_PRNG": "False",
  "JAX_ENABLE_X64": "False",
}
PINNED = {
  **_OF_FIGURES,
  "JAX_DEFAULT_MATMUL_PRECISION": "float32",  # until --matmul-precision is read
  # The others refuse what libraries do, or what a sweep does on purpose where a member diverges.
  "JAX_NUMPY_DTYPE_PROMOTION": "standard",
  "JAX_NUMPY_RANK_PROMOTION": "allow",
  "JAX_TRANSFER_GUARD": "allow",
  "JAX_TRANSFER_GUARD_HOST_TO_DEVICE": "allow",
  "JAX_TRANSFER_GUARD_DEVICE_TO_DEVICE": "allow",
  "JAX_TRANSFER_GUARD_DEVICE_TO_HOST": "allow",
  "JAX_DEBUG_NANS": "False",
  "JAX_DEBUG_INFS": "False",
  "JAX_DISABLE_JIT": "False",
}
_PLATFORM_VARIABLES = ("JAX_PLATFORMS", "JAX_PLATFORM_NAME")
_SAME = {"False": {"", "0", "n", "no", "f", "false", "off"}, "True": {"1", "y", "yes", "t", "true", "on"}}


def pin(environment: MutableMapping[str, str]) -> list[str]:
  """Sets the variables that JAX reads when it is imported, of this process and those that it starts.

  For a command line alone: a program that imports the package keeps its own settings.

  Returns:
    Those that were set to something else, as NAME=VALUE.
  """
  given = {name: environment[name] for name in PINNED if name in environment}
  environment.update(PINNED)
  return [
    f"{name}={value}"
    for name, value in given.items()
    if value != PINNED[name] and value.lower() not in _SAME.get(PINNED[name], ())
  ]


def unusual() -> dict[str, str]:
  """Settings of this process that change figures and are not a sweep's; none of a command line's."""
  import jax  # noqa: PLC0415

  now = {name: str(getattr(jax.config, name.lower())) for name in _OF_FIGURES}
  return {name: value for name, value in now.items() if value != _OF_FIGURES[name]}


def import_jax() -> None:
  """Imports JAX.

  Raises:
    UserError: A variable of JAX's has a value that it does not know.
  """
  try:
    import jax  # noqa: F401, PLC0415
  except ValueError as error:
    raise UserError(f"JAX cannot be imported: {_line(error)}") from error


def find_devices() -> None:
  """Has JAX find its devices, before anything else asks for them.

  Raises:
    UserError: There is none, or a variable names a platform that is not here.
  """
  import jax  # noqa: PLC0415

  try:
    jax.devices()
  except (RuntimeError, AssertionError) as error:  # the latter from the plugin of a GPU that is not here
    asked = [f"{name}={os.environ[name]}" for name in _PLATFORM_VARIABLES if os.environ.get(name)]
    if not asked:
      raise UserError(f"JAX finds no device to compute on: {_line(error)}") from error
    # Free to choose, it finds those that are here.
    jax.config.update("jax_platforms", None)
    jax.config.update("jax_platform_name", "")
    here = ", ".join(sorted({"cpu", jax.devices()[0].platform.replace("gpu", "cuda")}))
    raise UserError(f"{', '.join(asked)}: JAX cannot compute there; allowed: {here}, or leave it unset") from error


def _line(error: BaseException) -> str:
  return " ".join(str(error).split()) or type(error).__name__
