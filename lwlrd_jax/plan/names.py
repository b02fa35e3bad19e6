"""Checks of names that other rooms know, before anything that takes long is imported."""

from lwlrd_jax.attacks.registry import chosen
from lwlrd_jax.config import SweepConfig
from lwlrd_jax.user.model_name import check_model


def check_names(config: SweepConfig) -> None:
  """Refuses attacks, carriers and models that there are not.

  Raises:
    UserError: One line.
  """
  chosen(config.infection.attacks, config.dec.carriers)
  check_model(config.data.model)
