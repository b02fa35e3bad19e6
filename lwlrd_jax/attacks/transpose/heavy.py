"""Heavy: memories in large weights, which steps of one size move little."""

import dataclasses

from lwlrd_jax.attacks.registry import ATTACKS
from lwlrd_jax.attacks.transpose.plain import Transpose


@dataclasses.dataclass(frozen=True)
class Heavy(Transpose):
  """Transpose whose memories are trained at a rate three times as large and more.

  Adam's steps are of the learning rate's size, whatever that of the weights. Larger rates leave memories in larger
  weights, and the defence's own steps are smaller against them.
  """

  info = ATTACKS["transpose-heavy"]
  memory_lr: float = 1e-2
