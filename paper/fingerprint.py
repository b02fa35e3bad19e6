"""A run's figures as one short word: the same command on the same machine and versions gives the same."""

import hashlib
import math
from typing import Any

from lwlrd_jax.report.load import Run

# Wall time: the one column that two runs of one command do not share.
_LEFT_OUT = ("seconds",)
_DIGITS = 12


def fingerprint(run: Run) -> str:
  """The first hex digits of a SHA-256 over the results and the checksum of the data.

  The text that is hashed: a line of column names, a line a member in the order of their names, cells joined by tabs
  (numbers as Python prints them, empty cells empty), and a last line with the data set's SHA-256 of config.json.
  """
  table = run.table.drop(columns=list(_LEFT_OUT)).sort_values("member", kind="stable")
  lines = ["\t".join(table.columns)]
  lines += ["\t".join(map(_cell, row)) for row in table.itertuples(index=False, name=None)]
  lines.append(str(run.config["dataset"].get("sha256", "")))
  return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:_DIGITS]


def _cell(value: Any) -> str:
  if isinstance(value, str):
    return value
  number = float(value)
  return "" if math.isnan(number) else repr(number)
