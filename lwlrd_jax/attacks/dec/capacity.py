"""How much a model can carry."""

from lwlrd_jax.attacks.dec.carriers.base import Carrier
from lwlrd_jax.models.network import Network, Params


def capacity(carrier: Carrier, network: Network, params: Params) -> int:
  """Whole bytes that a carrier (see `carriers/`) takes in a model.

  Raises:
    ValueError: The carrier sends numbers: how many bytes these are depends on what is sent.

  >>> import jax
  >>> from lwlrd_jax.attacks.dec.carriers.mantissa import Mantissa
  >>> from lwlrd_jax.models import build_model
  >>> network, params = build_model("mlp", (28, 28, 3), 7, jax.random.key(0))
  >>> capacity(Mantissa("late", 0, 8), network, params)
  1055744
  """
  if carrier.sends_numbers:
    raise ValueError(f"{carrier.name} carries {carrier.capacity(network, params)} numbers, not bytes")
  return carrier.capacity(network, params) // 8
