"""Layer-wise learning-rate-decay fine-tuning against data exfiltration in model weights."""

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
  from lwlrd_jax.disk.load import load_run as load_run

__version__ = "0.1.0"
__all__ = ["load_run"]

if sys.argv[:1] == ["-m"]:  # what Python puts there while it looks for the module that it is to run
  from lwlrd_jax.dependencies import check_installed

  check_installed()


def __getattr__(name: str) -> Any:
  """`load_run` on first use: pandas and Orbax are slow to import, and `--help` needs neither."""
  if name == "load_run":
    from lwlrd_jax.disk.load import load_run  # noqa: PLC0415

    return load_run
  raise AttributeError(f"module {__name__} has no attribute {name}")
