"""Whether the libraries that this package needs are installed, asked before anything imports them."""

import importlib.util
import re
import sys
import tomllib
from importlib import metadata
from pathlib import Path

from lwlrd_jax.errors import EXIT_MISTAKE

_CHECKOUT = Path(__file__).parents[1]


def check_installed() -> None:
  """Ends the program with one line if a library is missing: some are imported only after hours."""
  missing = [name for name in _required() if not _is_installed(name)]
  if missing:
    install = f"pip install -e '{_CHECKOUT}'" if (_CHECKOUT / "pyproject.toml").is_file() else "pip install lwlrd-jax"
    print(f"error: not installed: {', '.join(missing)}; {sys.executable} -m {install} installs them", file=sys.stderr)
    sys.exit(EXIT_MISTAKE)


def _required() -> list[str]:
  """Names of the libraries: as the package was installed, or else as its checkout says."""
  try:
    lines = metadata.requires("lwlrd-jax") or []
  except metadata.PackageNotFoundError:
    try:
      lines = tomllib.loads((_CHECKOUT / "pyproject.toml").read_text())["project"]["dependencies"]
    except OSError:  # a copy of the package alone
      return []
  return [re.split(r"[^\w.-]", line)[0] for line in lines if "extra ==" not in line]


def _is_installed(name: str) -> bool:
  try:
    metadata.distribution(name)
  except metadata.PackageNotFoundError:  # it can still be on the path
    return importlib.util.find_spec(name.replace("-", "_")) is not None
  return True
