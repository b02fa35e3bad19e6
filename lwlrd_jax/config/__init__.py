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
  Starting,
  SweepConfig,
  Watching,
)
from lwlrd_jax.config.values import KEEP, Start

__all__ = [
  "KEEP",
  "Data",
  "Dec",
  "FineTuning",
  "Finishing",
  "Infection",
  "Processes",
  "Run",
  "Searching",
  "Start",
  "Starting",
  "SweepConfig",
  "Watching",
  "validate",
]
