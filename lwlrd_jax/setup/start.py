"""What the schedules of a sweep begin from, by the name of the start."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lwlrd_jax.config import Start, Starting
from lwlrd_jax.data.device import DeviceSplit
from lwlrd_jax.defenses.distil import take_answers, targets
from lwlrd_jax.defenses.start import shares_by_depth, shrink
from lwlrd_jax.disk.checkpoints import load_tree
from lwlrd_jax.errors import UserError
from lwlrd_jax.models.network import STATISTICS, Network, Params
from lwlrd_jax.models.predict import predict


class Started(NamedTuple):
  """What a schedule begins from, and what it learns."""

  params: Params
  data: DeviceSplit  # the owner's examples; of a student with the model's answers
  certified: float  # bytes that get through at most, infinite of `keep`: the size of what is exported is all it says
  passes: int  # images that the exported model answered


class Starter:
  """Makes starts.

  Args:
    network: The model's structure.
    draw: Draws first weights, by the architecture's own initialisers.
    settings: What the user asked for.
    max_bytes: What the answers that a student learns may say; None is any number.

  Raises:
    UserError: The checkpoint that `start_from` names cannot be used.
  """

  def __init__(
    self, network: Network, draw: Callable[[jax.Array], Params], settings: Starting, max_bytes: int | None = None
  ):
    self._network, self._draw, self._settings, self._max_bytes = network, draw, settings, max_bytes
    self._public, self.note = None, None
    if settings.start_from is not None:
      self._public = _read(settings.start_from)
      drawn = draw(jax.random.key(0))
      _, missing = laid_over(drawn, self._public)
      if len(missing) == len(network.layers):
        raise UserError(f"`start_from` {settings.start_from}: no layer of this network; allowed: a checkpoint of one")
      self.note = f"drawn, since `start_from` has no such layer: {', '.join(missing)}" if missing else None

  def begin(self, start: Start, params: Params, data: DeviceSplit, key: jax.Array) -> Started:
    """What follows from exported weights, examples to fine-tune on, and the owner's key."""
    if start.kind == "keep":
      return Started(params, data, math.inf, 0)
    of_draw, of_noise = jax.random.split(key)
    drawn = self._draw(of_draw)
    rng = np.random.default_rng(np.asarray(jax.random.key_data(of_noise)))
    if start.kind == "shrink":
      shares = dict(
        zip(self._network.layers, shares_by_depth(start.first, start.last, self._network.depths), strict=True)
      )
      kept, bits = shrink(self._network.declared(params), drawn, shares, rng)
      return Started(kept, data, math.ceil(bits / 8), 0)
    if self._public is not None:
      drawn, _ = laid_over(drawn, self._public)
    if start.kind == "redraw":
      return Started(drawn, data, 0.0, 0)
    logits = _answers(self._network, self._network.declared(params), data.images)
    labels = np.asarray(data.labels)
    levels = self._settings.answer_levels if self._settings.answers == "probabilities" else None
    answers = take_answers(np.asarray(logits), labels, levels=levels, rng=rng, limit=self._max_bytes)
    learned = jnp.asarray(targets(labels, answers, self._network.num_outputs))
    return Started(drawn, DeviceSplit(data.images, learned), answers.size, len(data))


def laid_over(drawn: Params, public: Params) -> tuple[Params, list[str]]:
  """A draw with the layers of a checkpoint in place of its own, where all arrays are of the same shapes.

  Also returns the layers that were not replaced.
  """

  def shapes(tree: Any) -> Any:
    return jax.tree.map(lambda leaf: (leaf.shape, np.dtype(leaf.dtype)), tree)

  def same(part: Any, other: Any) -> bool:
    return shapes(part) == shapes(other)

  statistics, found, missing = dict(drawn.get(STATISTICS, {})), dict(drawn), []
  for layer in drawn.keys() - {STATISTICS}:
    if layer in public and same(drawn[layer], public[layer]):
      found[layer] = public[layer]
    else:
      missing.append(layer)
  for layer, part in public.get(STATISTICS, {}).items():
    if layer in statistics and same(statistics[layer], part):
      statistics[layer] = part
  return {**found, **({STATISTICS: statistics} if statistics else {})}, sorted(missing)


def _read(path: Path) -> Params:
  try:
    return jax.tree.map(jnp.asarray, load_tree(path)["params"])
  except (FileNotFoundError, ValueError, KeyError) as error:
    raise UserError(f"`start_from` {path}: no checkpoint; allowed: a folder in checkpoints/ of a run") from error


_answers = jax.jit(predict, static_argnums=0)
