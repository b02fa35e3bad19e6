"""The Transpose attack, and attackers of its family who know the defence."""

from lwlrd_jax.attacks.transpose.flat import Flat
from lwlrd_jax.attacks.transpose.plain import Heavy, Transpose
from lwlrd_jax.attacks.transpose.rehearsed import Rehearsed
from lwlrd_jax.attacks.transpose.restorer import Restorer

KINDS = {kind.info.name: kind for kind in (Transpose, Heavy, Flat, Rehearsed, Restorer)}

__all__ = ["KINDS", "Flat", "Heavy", "Rehearsed", "Restorer", "Transpose"]
