"""What a user can ask for. Nothing here imports JAX: `--help` is quick."""

from lwlrd_jax.config.checks import validate
from lwlrd_jax.config.groups import (
  Data,
  Dec,
  FineTuning,
  Finishing,
  Infection,
  Processes,
  Run,
  Searching,
  SweepConfig,
  Watching,
)

__all__ = [
  "Data",
  "Dec",
  "FineTuning",
  "Finishing",
  "Infection",
  "Processes",
  "Run",
  "Searching",
  "SweepConfig",
  "Watching",
  "validate",
]
