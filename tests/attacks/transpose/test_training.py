"""Several seeds at once."""

import jax
import numpy as np
import pytest

from lwlrd_jax.attacks.base import Task
from lwlrd_jax.attacks.transpose import Flat, Heavy, Rehearsed, Restorer, Transpose, plain

ATTACKS = [
  Transpose(stolen=6, steps=5, batch_size=4),
  Heavy(stolen=6, steps=5, batch_size=4),
  Flat(stolen=6, steps=5, batch_size=4),
  Rehearsed(stolen=6, steps=5, batch_size=4, rehearsal_steps=2),
  Restorer(stolen=6, steps=5, batch_size=4, pilots=3),
]


@pytest.mark.parametrize("strategy", ["loop", "vmap"])
@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_seeds_together_are_seeds_alone(attack, strategy, tiny_network, smooth_split, monkeypatch):
  data, public = smooth_split(20), smooth_split(9, seed=1)
  network, _ = tiny_network("mlp")
  params = [tiny_network("mlp", seed=seed)[1] for seed in range(3)]
  keys = [jax.random.key(seed) for seed in range(3)]
  alone = [attack.infect(network, p, data, key, public=public) for p, key in zip(params, keys, strict=True)]
  monkeypatch.setattr(plain, "default_strategy", lambda *_: strategy)
  ticks: list[int] = []
  together = attack.infect_all(Task(network, data, public), params, keys, ticks.append)
  assert sum(ticks) == 5
  assert len(together) == 3
  for one, lone in zip(together, alone, strict=True):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4), one, lone)
  assert not np.array_equal(together[0].stolen, together[1].stolen)


def test_a_second_infection_compiles_nothing(tiny_network, smooth_split):
  network, params = tiny_network("mlp")
  data, attack = smooth_split(20), Rehearsed(stolen=6, steps=4, batch_size=4)
  attack.infect(network, params, data, jax.random.key(0))
  cache_size = plain._advance._cache_size  # type: ignore[attr-defined]
  compiled = cache_size()
  attack.infect(network, params, data, jax.random.key(1))
  assert cache_size() == compiled


@pytest.mark.parametrize("keys", [0, 1, 3])
def test_a_key_for_each_model(keys, tiny_network, smooth_split):
  network, params = tiny_network("mlp")
  with pytest.raises(ValueError, match="2 models to infect need as many keys"):
    Transpose(stolen=3, steps=1).infect_all(
      Task(network, smooth_split(9)), [params, params], [jax.random.key(0)] * keys
    )
