"""From measurements on the device to cells of the results table."""

import numpy as np

from lwlrd_jax.metrics.leakage import Leakage
from lwlrd_jax.metrics.measure import Measured

# Of the surviving bytes, what adds up to them; what is in dead weights is a part of the first three.
_PARTS = ("mantissa", "exponent", "sign", "extra")


def figures(measured: Measured) -> dict[str, float]:
  """The figures of one member by column."""
  surviving = {name: float(value) for name, value in measured.survival.bytes._asdict().items()}
  return {
    **{name: float(value) for name, value in measured.utility._asdict().items()},
    "auc_val": float(measured.auc_val),
    "downstream_auc": float(measured.downstream.mean()),
    **leakage_figures(measured.leakage),
    "ber": float(measured.ber),
    "exact": float(measured.exact),
    "surviving_bytes": sum(surviving[part] for part in _PARTS),
    **{f"surviving_{part}": value for part, value in surviving.items()},
  }


def leakage_figures(leakage: Leakage) -> dict[str, float]:
  """Leakage by column."""
  return {name: float(value.mean()) for name, value in leakage._asdict().items()}


def outcomes(measured: Measured) -> dict[str, np.ndarray]:
  """What intervals are made of: figures image by image, f32[S] of stolen and f32[test] of test images, by column."""
  return {
    **leakage_outcomes(measured.leakage),
    "auc": np.asarray(measured.auc_by_image),
    "downstream_auc": np.asarray(measured.downstream),
  }


def leakage_outcomes(leakage: Leakage) -> dict[str, np.ndarray]:
  """Those of leakage alone."""
  return {name: np.asarray(value) for name, value in leakage._asdict().items() if name != "ssim_naive"}
