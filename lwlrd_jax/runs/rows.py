"""From measurements on the device to cells of the results table."""

from lwlrd_jax.metrics.leakage import Leakage
from lwlrd_jax.metrics.measure import Measured


def figures(measured: Measured) -> dict[str, float]:
  """The figures of one member, measured behind a leading axis of 1, by column."""
  utility, surviving = measured.utility, measured.surviving
  groups = {f"surviving_{group}": float(value[0]) for group, value in surviving._asdict().items()}
  return {
    **{name: float(value[0]) for name, value in utility._asdict().items()},
    **leakage_figures(Leakage(*(value[0] for value in measured.leakage))),
    **groups,
    "surviving_bytes": sum(groups.values()),
  }


def leakage_figures(leakage: Leakage) -> dict[str, float]:
  """Leakage by column."""
  return {name: float(value) for name, value in leakage._asdict().items()}
