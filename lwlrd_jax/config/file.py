"""Configuration files: Python files that define CONFIG, or CONFIGS of several runs."""

import re
from pathlib import Path
from typing import TypeVar

from lwlrd_jax.errors import UserError
from lwlrd_jax.user.file import run_file

T = TypeVar("T")


def load_configs(file: Path, kind: type[T]) -> dict[str, T]:
  """`CONFIG`, under the name "", or `CONFIGS` of a Python file.

  Raises:
    UserError: It cannot be read, or has neither of this kind, or both; or a name is not fit for a folder, or a field
      has a value that its flag does not allow.
  """
  wanted = f"CONFIG = {kind.__name__}(...) or CONFIGS = {{name: {kind.__name__}(...)}}"
  if not file.is_file():
    raise UserError(f"--config {file}: no such file; allowed: a Python file with {wanted}")
  module = run_file(file, "lwlrd_jax_config", f"--config {file}")
  one, several = getattr(module, "CONFIG", None), getattr(module, "CONFIGS", None)
  if several is None:
    several = {"": one}
  elif one is not None or not isinstance(several, dict):
    several = {}
  else:
    for name in several:
      if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z0-9][\w.-]*", name):
        raise UserError(f"--config {file}: '{name}' names a folder; allowed: letters, digits, '_', '.' and '-'")
  if not several or not all(isinstance(config, kind) for config in several.values()):
    raise UserError(f"--config {file}: allowed: a file with {wanted}")
  return dict(several)
