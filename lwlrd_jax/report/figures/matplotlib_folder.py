"""Imports Matplotlib, which wants a folder to write to, without a word about one that it cannot have."""

import logging
import os
from pathlib import Path

from lwlrd_jax.cache import private_folder

try:
  Path.home()
except RuntimeError:
  os.environ.setdefault("MPLCONFIGDIR", str(private_folder("matplotlib")))

# It makes a temporary folder then, and prints lines about it that do not help a user.
_logger = logging.getLogger("matplotlib")
_level = _logger.level
_logger.setLevel(logging.ERROR)
try:
  import matplotlib.font_manager  # noqa: F401
finally:
  _logger.setLevel(_level)
