import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lwlrd_jax.data.batches import Batches
from lwlrd_jax.engine.member import Member
from lwlrd_jax.models.task import task_loss


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_run_is_its_steps_in_a_row(smoothing, tiny_network, smooth_split):
  network, params = tiny_network("mlp")
  data = smooth_split(20)
  member = Member(network, "momentum", smoothing)
  batches = jnp.asarray([[3, 1, 4], [1, 5, 9], [2, 6, 5]], jnp.int32)
  rates = jnp.asarray(np.random.default_rng(0).random((3, 4)) * 0.1, jnp.float32)
  state, losses = jax.jit(member.run)(member.init(params), rates, data, Batches(batches, None))

  step = jax.jit(member.step)
  alone = member.init(params)
  for t in range(3):
    images = np.asarray(data.images)[batches[t]].astype(np.float32) / 255
    labels = data.labels[batches[t]]
    before = task_loss(network.forward(alone.params, jnp.asarray(images)), labels, smoothing)
    alone, loss = step(alone, rates[t], jnp.asarray(images), labels)
    assert float(loss) == pytest.approx(float(before), rel=1e-5)
    assert float(losses[t]) == pytest.approx(float(before), rel=1e-4)
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), state, alone)


def test_is_hashable(tiny_network):
  network, _ = tiny_network("mlp")
  assert hash(Member(network, "adam", 0.0)) == hash(Member(network, "adam", 0.0))
  assert Member(network, "adam", 0.0) != Member(network, "adam", 0.1)
