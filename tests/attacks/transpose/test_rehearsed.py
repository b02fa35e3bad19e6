import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lwlrd_jax.attacks.transpose import Rehearsed
from lwlrd_jax.attacks.transpose.plain import Memory
from lwlrd_jax.attacks.transpose.rehearsed import unlikeness
from lwlrd_jax.data.batches import Batches, batch_plan
from lwlrd_jax.data.device import scale
from lwlrd_jax.defenses.schedules import lwlrd, time_shape
from lwlrd_jax.engine.member import Member


def test_rehearsal_is_the_defence(tiny_network, smooth_split):
  """While the weights stand still, a displacement is what fine-tuning adds; then it starts over."""
  network, params = tiny_network("mlp")
  data = smooth_split(20)
  attack = Rehearsed(stolen=1, steps=1, decays=(0.6, 0.6), lrs=(0.02, 0.02), rehearsal_steps=5)
  batches = batch_plan(jax.random.key(1), 20, 4, 7)
  rates = lwlrd(0.02, 0.6, layers=4, shape=time_shape("cosine", 5))
  member = Member(network, "adam", 0.0)

  rehearse = jax.jit(lambda *args: attack.rehearse(network, params, *args))
  extra = attack.begin(network, params, jax.random.key(0))
  for i, batch in enumerate(batches):
    extra = rehearse(extra, scale(data.images[batch]), data.labels[batch], None)
    if i not in (0, 4, 6):
      continue
    first = 0 if i < 5 else 5
    since = Batches(batches[first : i + 1], None)
    expected, _ = member.run(member.init(params), jnp.asarray(rates[: i + 1 - first]), data, since)
    found = jax.tree.map(jnp.add, params, extra.displacement)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4), found, expected.params)


def test_rehearsals_differ_and_stay_in_range(tiny_network):
  network, params = tiny_network("mlp")
  attack = Rehearsed(stolen=1, steps=1, decays=(0.3, 0.7), lrs=(0.01, 0.04))
  tops = np.stack([attack.begin(network, params, jax.random.key(seed)).top_rates for seed in range(50)])
  decays = tops[:, 1] / tops[:, 0]
  np.testing.assert_allclose(tops, tops[:, :1] * decays[:, None] ** np.arange(4), rtol=1e-4)
  assert 0.3 <= decays.min() < 0.4
  assert 0.6 < decays.max() <= 0.7
  assert 0.01 <= tops[:, 0].min() < 0.015
  assert 0.03 < tops[:, 0].max() <= 0.04


def test_unlikeness_by_definition():
  rng = np.random.default_rng(0)
  images, originals = rng.normal(size=(2, 6, 3, 3, 1)).astype(np.float32)
  made, meant = (x.reshape(6, -1) - x.reshape(6, -1).mean(axis=0) for x in (images, originals))
  cosines = [a @ b / np.linalg.norm(a) / np.linalg.norm(b) for a, b in zip(made, meant, strict=True)]
  assert float(unlikeness(jnp.asarray(images), jnp.asarray(originals))) == pytest.approx(1 - np.mean(cosines), rel=1e-4)


def test_unlikeness_is_blind_to_a_common_pattern_and_to_contrast():
  originals = jnp.asarray(np.random.default_rng(0).random((6, 3, 3, 1)), jnp.float32)
  assert float(unlikeness(5 * originals + originals[:1] - 2, originals)) == pytest.approx(0, abs=1e-5)
  assert float(unlikeness(-originals, originals)) == pytest.approx(2, abs=1e-5)
  grads = jax.grad(unlikeness)(jnp.ones_like(originals), originals)
  assert np.isfinite(np.asarray(grads)).all()


def test_gradient_is_the_sum_of_before_and_after(tiny_network, smooth_split):
  network, params = tiny_network("mlp")
  data = smooth_split(6)
  attack = Rehearsed(stolen=6, steps=1, weight=0.5)
  extra = attack.begin(network, params, jax.random.key(0))
  shift = jax.tree.map(lambda leaf: 0.01 * jnp.ones_like(leaf), params)
  part = Memory(jnp.asarray(np.random.default_rng(0).random((6, 3)), jnp.float32), scale(data.images))
  loss, grads = attack.memory_gradient(network, params, part, extra._replace(displacement=shift))

  def before(params):
    return jnp.square(network.transpose(params, part.codes) - part.images).mean()

  def after(params):
    return unlikeness(network.transpose(params, part.codes), part.images)

  moved = jax.tree.map(jnp.add, params, shift)
  expected = jax.tree.map(lambda a, b: a + 0.5 * b, jax.grad(before)(params), jax.grad(after)(moved))
  assert float(loss) == pytest.approx(float(before(params)), rel=1e-5)
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), grads, expected)
