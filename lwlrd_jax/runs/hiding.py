"""What an attack hid in a model, and what that cost before anybody defended it."""

import jax

from lwlrd_jax.attacks.base import Attack, Infected
from lwlrd_jax.metrics.measure import auc_of, measure_images
from lwlrd_jax.runs.setting import Setting
from lwlrd_jax.runs.starting_points import host_model


def hiding_figures(setting: Setting, attack: Attack, seed: int, infected: Infected) -> dict[str, float]:
  """Columns of the results table that only an untreated model has.

  Args:
    setting: What all parts of a sweep share.
    attack: The attack.
    seed: Number of the infection.
    infected: The model that the attack left.

  Returns:
    The attack's own columns, and the host's AUC of those that hide in one.
  """
  host = host_model(setting.origin, seed) if attack.info.family.needs_host else None

  def psnr(images: jax.Array) -> float:
    return float(measure_images(images, infected.stolen, setting.train, setting.public).psnr.mean())

  found = attack.columns(setting.origin.task(setting.network), host, infected, psnr)
  return found if host is None else {"host_auc": float(auc_of(setting.network, host, setting.test)), **found}
