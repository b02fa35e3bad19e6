import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lwlrd_jax.attacks.base import Task
from lwlrd_jax.attacks.index_code import index_codes
from lwlrd_jax.attacks.transpose import Restorer, Transpose


@pytest.mark.parametrize("multi_label", [False, True])
def test_pilots_are_numbered_after_the_stolen(multi_label, tiny_network, smooth_split):
  network, _ = tiny_network("mlp")
  data, public = (smooth_split(n, multi_label=multi_label, seed=seed) for n, seed in ((30, 0), (12, 1)))
  attack = Restorer(stolen=8, steps=1, pilots=5)
  hidden = attack.hide(Task(network, data, public), jax.random.key(0))
  secret = hidden.secret
  of_plain = Transpose(stolen=8, steps=1).hide(Task(network, data), jax.random.key(0))
  np.testing.assert_array_equal(hidden.stolen, of_plain.stolen)
  np.testing.assert_array_equal(secret["labels"], data.labels[hidden.stolen])
  pixels = np.asarray(public.images).reshape(12, -1)
  chosen = [int((pixels == pilot.reshape(1, -1)).all(axis=1).argmax()) for pilot in np.asarray(secret["pilots"])]
  assert len(set(chosen)) == 5
  labels = np.concatenate([data.labels[hidden.stolen], public.labels[jnp.asarray(chosen)]])
  np.testing.assert_array_equal(hidden.memory.codes, index_codes(labels, 3))
  np.testing.assert_array_equal(hidden.memory.codes, jnp.concatenate([secret["codes"], secret["pilot_codes"]]))
  expected = np.concatenate([np.asarray(data.images)[hidden.stolen], secret["pilots"]]) / np.float32(255)
  np.testing.assert_allclose(hidden.memory.images, expected, rtol=1e-6)
  assert secret["pilots"].dtype == jnp.uint8


@pytest.mark.parametrize(("available", "count"), [(3, 3), (20, 8)])
def test_as_many_pilots_as_stolen_images_or_as_there_are(available, count, tiny_network, smooth_split):
  network, _ = tiny_network("mlp")
  hidden = Restorer(stolen=8, steps=1).hide(Task(network, smooth_split(30), smooth_split(available)), jax.random.key(0))
  assert len(hidden.secret["pilots"]) == count


def test_what_pilots_need(tiny_network, smooth_split):
  network, params = tiny_network("mlp")
  data, attack = smooth_split(30), Restorer(stolen=8, steps=1)
  with pytest.raises(ValueError, match="needs public images"):
    attack.infect(network, params, data, jax.random.key(0))
  for pilots in (0, 4):
    with pytest.raises(ValueError, match=f"1 to 3 public images can be pilots, not {pilots}"):
      dataclasses.replace(attack, pilots=pilots).infect(
        network, params, data, jax.random.key(0), public=smooth_split(3)
      )
