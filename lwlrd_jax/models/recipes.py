"""Default rates of each kind of network."""

import dataclasses

from lwlrd_jax.models.depth import BLOCK, LAYER


@dataclasses.dataclass(frozen=True)
class Recipe:
  """Rates of Adam, and what a decay counts."""

  task_lr: float = 1e-3  # of training on the task
  memory_lr: float = 3e-3  # of memorising, see `attacks.transpose.Transpose`
  lr_max: float = 0.02  # largest of fine-tuning
  granularity: str = LAYER  # or `block` for networks so deep that no rate would reach the last of their layers


_VIT = Recipe(task_lr=3e-4, memory_lr=1e-3, lr_max=5e-3, granularity=BLOCK)
_RECIPES = {
  "resnet18": Recipe(lr_max=0.01, granularity=BLOCK),
  "vit": _VIT,
  "vit-small": dataclasses.replace(_VIT, memory_lr=2e-3),
}


def recipe_of(model: str) -> Recipe:
  """Of a model of ours, or the usual ones, of any other."""
  return _RECIPES.get(model, Recipe())
