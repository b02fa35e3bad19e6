"""Restorer: memorises public images along with the stolen ones, and learns from them how to undo the defence.

What a defence does to memories it does to those of public images too, and of these the attacker has the originals. From
what is left of them on every layer of the backward pass they learn a read-out for the stolen ones, or, where the
extraction itself still has more than a read-out can learn from so few, how to clean it.
"""

import dataclasses
from typing import Any, Self

import jax
import jax.numpy as jnp
import numpy as np

from lwlrd_jax.attacks.base import Extraction, Means, Task, choose_stolen
from lwlrd_jax.attacks.index_code import index_codes
from lwlrd_jax.attacks.registry import ATTACKS
from lwlrd_jax.attacks.transpose.plain import Hidden, Memory, Transpose
from lwlrd_jax.attacks.transpose.ridge import restore
from lwlrd_jax.attacks.transpose.unmix import unmix
from lwlrd_jax.data.device import mean_image, scale
from lwlrd_jax.errors import UserError
from lwlrd_jax.models.network import Network, Params


@dataclasses.dataclass(frozen=True)
class Restorer(Transpose):
  """Transpose with pilots: public images that go the way of the stolen ones."""

  info = ATTACKS["transpose-restorer"]
  # How many of the public images to memorise; None for as many as are stolen, or as there are.
  pilots: int | None = None

  @classmethod
  def make(cls, means: Means) -> Self:
    """With as many pilots as index codes can number beside the stolen images, found by halving."""
    plain, pilots = super().make(means), min(means.stolen, means.public)
    while True:
      attack = dataclasses.replace(plain, pilots=pilots, steps=means.steps_of(means.stolen + pilots))
      if pilots <= 1:
        return attack
      try:
        means.check(attack)
      except UserError:
        pilots //= 2
      else:
        return attack

  def hide(self, task: Task, key: jax.Array) -> Hidden:
    """Stolen images and pilots; within a class the pilots are numbered after the stolen ones.

    The secret holds the codes and labels of the stolen images, codes and images of the pilots, and the mean training
    image, which stands for what is publicly known of such images (`metrics.postprocess.PublicStatistics`).
    Raises ValueError if there are no public images, or fewer than `pilots`, and as `Transpose.hide` does.
    """
    data, public = task.train, task.public
    if public is None or len(public) == 0:
      raise ValueError(f"{self.name} needs public images")
    count = min(self.stolen, len(public)) if self.pilots is None else self.pilots
    if not 1 <= count <= len(public):
      raise ValueError(f"1 to {len(public)} public images can be pilots, not {count}")
    stolen = choose_stolen(data, self.stolen, key)
    chosen = jax.random.choice(jax.random.fold_in(key, 4), len(public), (count,), replace=False)
    labels, pilots = data.labels[stolen], public.images[chosen]
    codes = jnp.asarray(index_codes(np.concatenate([labels, public.labels[chosen]]), task.network.num_outputs))
    secret = {
      "codes": codes[: self.stolen],
      "labels": labels,
      "pilot_codes": codes[self.stolen :],
      "pilots": pilots,
      "mean": mean_image(data.images),
    }
    return Hidden(stolen, Memory(codes, scale(jnp.concatenate([data.images[stolen], pilots]))), secret)

  def read(self, network: Network, params: Params, secret: dict[str, Any]) -> Extraction:
    """As `Transpose.read`, and three restorations: the two of `ridge.restore`, and `unmix`."""
    pilots, mean = scale(secret["pilots"]), secret["mean"]
    # Rounding a kernel makes it another one, with negative eigenvalues.
    with jax.default_matmul_precision("highest"):
      left = network.transpose_stages(params, jnp.concatenate([secret["pilot_codes"], secret["codes"]]))
      versions = [restore(left, pilots, mean), unmix(left[-1], pilots, mean)[None]]
    return super().read(network, params, secret)._replace(restored=jnp.concatenate(versions))
