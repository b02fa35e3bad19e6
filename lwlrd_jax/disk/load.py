"""Reading a finished run: its table, its configuration, and any of its models."""

import functools
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from flax import nnx

from lwlrd_jax.disk.directory import RunDirectory
from lwlrd_jax.storage import path_of
from lwlrd_jax.user.model_name import own_model
from lwlrd_jax.watch.log import read_log


class Run:
  """A run, as read from its directory.

  Attributes:
    path: The directory.
    results: The results table, one row a member; columns in `lwlrd_jax.disk.results.COLUMNS`.
    config: What config.json holds.
  """

  def __init__(self, path: Path):
    self._directory = RunDirectory(path)
    self.path = path
    self.config: dict[str, Any] = self._directory.read_config()
    self.results: pd.DataFrame = self._directory.read_results()

  @functools.cached_property
  def outcomes(self) -> dict[str, np.ndarray]:
    """Figures image by image: f32 arrays by "<column>/<member>"; see `directory.ArrayFile`."""
    return self._directory.read_arrays("outcomes")

  @functools.cached_property
  def log(self) -> pd.DataFrame:
    """What happened, an event a row, oldest first: `time` (UTC), `event`, and every field of any event."""
    events = read_log(self.path)
    table = pd.DataFrame(events, columns=list(dict.fromkeys(["time", "event", *itertools.chain(*events)])))
    return table.assign(time=pd.to_datetime(table.time, utc=True))

  def find(self, **where: Any) -> pd.Series:
    """The one row whose columns have these values.

    A decay alone means LWLRD: a baseline that happens to share the value must be asked for by `defense`. Of members
    that differ in nothing but the steps on the weights, the one without any is meant, if there is one: others must be
    asked for by `finish` or `prepare`.

    Args:
      **where: Column and value; numbers are compared to 1e-9.

    Returns:
      The row.

    Raises:
      KeyError: An unknown column, or no such row, or several; the message lists them.
    """
    if "decay" in where and "defense" not in where:
      where["defense"] = "lwlrd"
    found = self.results
    for column, value in where.items():
      if column not in found:
        raise KeyError(f"no column {column}; there are {', '.join(self.results.columns)}")
      if isinstance(value, int | float):
        found = found[np.isclose(found[column].astype(float), value, rtol=0, atol=1e-9)]
      else:
        found = found[found[column] == value]
    for steps, none in (("start", "keep"), ("finish", "none"), ("prepare", "none")):
      if len(found) > 1 and steps not in where and steps in found:
        bare = found[found[steps] == none]
        found = bare if len(bare) else found
    if len(found) != 1:
      members = ", ".join((self.results if found.empty else found).member)
      asked = ", ".join(f"{column}={value}" for column, value in where.items())
      raise KeyError(f"{len(found)} members have {asked}; choose one of: {members}")
    return found.iloc[0]

  def restore(self, build: Callable[..., nnx.Module] | None = None, **where: Any) -> nnx.Module:
    """A member's model, ready to call; on any device, whatever devices trained it.

    Args:
      build: What made the network, where that was one of a file (`model` FILE.py:NAME): NAME itself, imported from
        the file. Nothing that lies in a run's directory is ever executed.
      **where: As for `find`, e.g. decay=0.7, attack="transpose"; or member="...".

    Returns:
      The model: images f32[N, H, W, C] in [0, 1] to logits, `transpose` for the way back.

    Raises:
      KeyError: As `find`.
      FileNotFoundError: The row has no model: the mean-image control, or a member that failed.
      ValueError: A network of a file without `build`, or one of other layers than the run's.
    """
    # A table can be read without waiting for JAX.
    import jax  # noqa: PLC0415
    import jax.numpy as jnp  # noqa: PLC0415

    from lwlrd_jax.models import MODELS, structure_of  # noqa: PLC0415

    member = self.find(**where).member
    data, model = self.config["dataset"], self.config["config"]["model"]
    if own_model(model) and build is None:
      raise ValueError(f"the run's network is {model}: restore(build=...) needs what made it")
    network = structure_of(build or MODELS[model], tuple(data["image_shape"]), len(data["label_names"]))
    if list(network.layers) != self.config["layers"]:
      raise ValueError(f"the network has layers {list(network.layers)}, the run's are {self.config['layers']}")
    return network.bind(jax.tree.map(jnp.asarray, self._directory.load(member)["params"]))

  def secret(self, attack: str = "transpose", seed: int = 0) -> dict[str, Any]:
    """What the attacker kept of one infection: `secret`, and `stolen`, positions in the training split.

    Handle with care: with a model's weights it gives patients' images away.
    """
    return self._directory.load(f"secret-{attack}-s{seed}")


def load_run(path: str | Path) -> Run:
  """Opens a run directory; see `Run`.

  Raises:
    UserError: There is no run, or one of another schema.
  """
  return Run(path_of(path))
