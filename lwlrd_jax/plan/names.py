"""Checks of names that other rooms know, before anything that takes long is imported that is not asked for."""

from lwlrd_jax.attacks.registry import chosen
from lwlrd_jax.config import SweepConfig
from lwlrd_jax.user.model_name import check_model


def check_names(config: SweepConfig) -> None:
  """Refuses attacks, carriers and models that there are not.

  Raises:
    UserError: One line.
  """
  if config.infection.attack_file is not None:
    from lwlrd_jax.attacks.making import load_attack  # waits for JAX  # noqa: PLC0415

    load_attack(config.infection.attack_file)
  chosen(config.infection.attacks, config.dec.carriers)
  check_model(config.data.model)
