"""One process or several: a `Team` is passed to what shares work."""

from lwlrd_jax.team.team import Team, join

__all__ = ["Team", "join"]
