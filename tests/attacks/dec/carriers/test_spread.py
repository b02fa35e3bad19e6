import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lwlrd_jax.attacks.base import Task
from lwlrd_jax.attacks.dec.attack import DEC
from lwlrd_jax.attacks.dec.carriers.base import Host, Message, Shape
from lwlrd_jax.attacks.dec.carriers.hold import Chips, with_levels, without_chips
from lwlrd_jax.attacks.dec.carriers.mantissa import Mantissa
from lwlrd_jax.attacks.dec.carriers.spread import Spread, largest_layer, rescaled, whitened
from lwlrd_jax.attacks.dec.carriers.trained import Signs, Values
from lwlrd_jax.attacks.dec.codec.fixed import FixedLengthCode
from lwlrd_jax.attacks.dec.codec.transform import build_codec
from lwlrd_jax.attacks.dec.image_code import FixedCode
from lwlrd_jax.attacks.dec.redundancy import redundancy_of
from lwlrd_jax.config.reading import read_redundancy
from lwlrd_jax.data.device import scale
from lwlrd_jax.engine.member import Member
from lwlrd_jax.engine.population import Finetuning, finetune, member_mesh
from lwlrd_jax.metrics.measure import utility_of

STOLEN = 3


def quiet(steps):
  del steps


def tuned(network, params, data, rates, steps, seed):
  """Trained on the task at these rates, a layer each."""
  population = finetune(
    network.declared(params),
    np.tile(np.asarray(rates, np.float32), (1, steps, 1)),
    data,
    jax.random.key(seed),
    Finetuning(Member(network, "adam", 0.0), 128, mesh=member_mesh(jax.local_devices()[:1])),
  )
  return jax.tree.map(lambda leaf: jnp.asarray(leaf[0]), population.params)


@pytest.fixture(scope="module")
def case(tiny_network, smooth_split):
  """A small model that knows its task, and a codec as it is before training."""
  network, params = tiny_network("mlp", width=448)
  data = smooth_split(640)
  params = tuned(network, params, data, [1e-3] * 4, 150, seed=0)
  codec, weights = build_codec((12, 12, 1), jax.random.key(0))
  return network, params, data, weights, FixedCode(codec, FixedLengthCode.fit(codec, weights, scale(data.images[:64])))


def infect(case, carrier, redundancy):
  network, params, data, weights, code = case
  attack = DEC(STOLEN, carrier, code, redundancy_of(*read_redundancy("--redundancy", redundancy)))
  return attack, attack.infect_all(Task(network, data, codec=weights), [params], [jax.random.key(3)])[0]


@pytest.fixture(scope="module")
def spread(case):
  return infect(case, Spread(steps=100), "ra-3")


def read(case, attack, params, secret):
  return jax.jit(attack.read, static_argnums=0)(case[0], params, secret)


def test_an_untouched_message_is_exact_and_costs_next_to_nothing(case, spread):
  attack, infected = spread
  found = read(case, attack, infected.params, infected.secret)
  assert (float(found.ber), float(found.exact)) == (0, 1)
  np.testing.assert_array_equal(found.labels, case[2].labels[infected.stolen])
  before, after = (float(utility_of(case[0], params, case[2]).auc) for params in (case[1], infected.params))
  assert before > 0.9
  assert after > before - 0.005


def noisy(params, share, seed=0):
  """Gaussian noise on every kernel, in units of its own size."""
  leaves, tree = jax.tree.flatten(params)
  keys = jax.random.split(jax.random.key(seed), len(leaves))
  return jax.tree.unflatten(
    tree,
    [w + share * jnp.std(w) * jax.random.normal(k, w.shape) for w, k in zip(leaves, keys, strict=True)],
  )


def test_it_outlives_noise_at_which_other_carriers_are_lost(case, spread):
  exact = {}
  plain = ((Mantissa("all"), "none"), (Signs(steps=50), "none"), (Values(steps=50), "none"))
  for attack, infected in (spread, *(infect(case, *settings) for settings in plain)):
    params = noisy(infected.params, 1.0)
    exact[attack.carrier.name] = float(read(case, attack, params, infected.secret).exact)
  assert exact == {"spread": 1, "all": 0, "signs": 0, "values": 0}


def test_it_outlives_layerwise_decay_that_ruins_signs_and_values(case, spread):
  rates = 0.02 * 0.5 ** np.arange(4)
  exact = {}
  for attack, infected in (spread, infect(case, Signs(steps=50), "none"), infect(case, Values(steps=50), "none")):
    params = tuned(case[0], infected.params, case[2], rates, 60, seed=5)
    exact[attack.carrier.name] = float(read(case, attack, params, infected.secret).exact)
  assert exact == {"spread": 1, "signs": 0, "values": 0}


@pytest.mark.parametrize("worst", [np.nan, np.inf, -3e38, 1e20])
def test_what_is_not_finite_or_absurd_says_nothing(case, spread, worst):
  attack, infected = spread
  kernel = infected.params["dense0"]["kernel"]
  hit = jax.random.bernoulli(jax.random.key(0), 0.02, kernel.shape)
  params = {**infected.params, "dense0": {**infected.params["dense0"], "kernel": jnp.where(hit, worst, kernel)}}
  assert float(read(case, attack, params, infected.secret).exact) == 1


@pytest.mark.parametrize("what", ["zeros", "nan", "another"])
def test_nothing_left_is_half_wrong_and_finite(case, spread, tiny_network, what):
  attack, infected = spread
  gone = {
    "zeros": jax.tree.map(jnp.zeros_like, case[1]),
    "nan": jax.tree.map(lambda w: jnp.full(w.shape, jnp.nan), case[1]),
    "another": tiny_network("mlp", width=448, seed=8)[1],
  }[what]
  found = read(case, attack, gone, infected.secret)
  assert float(found.ber) == pytest.approx(0.5, abs=0.05)
  assert float(found.exact) == 0
  assert np.isfinite(np.asarray(found.images)).all()


def test_members_of_a_population_are_read_as_alone(case, spread):
  attack, infected = spread
  members = [noisy(infected.params, share, seed=2) for share in (0.5, 2.5)]
  population = jax.tree.map(lambda *leaves: jnp.stack(leaves), *members)
  together = jax.jit(jax.vmap(lambda params: attack.read(case[0], params, infected.secret)))(population)
  for i, params in enumerate(members):
    alone = read(case, attack, params, infected.secret)
    np.testing.assert_allclose(together.ber[i], alone.ber, atol=5e-3)
    np.testing.assert_allclose(together.exact[i], alone.exact)


def test_chips_are_as_many_as_there_is_room_for(case):
  network, params, data, *_ = case
  bits = 10_000
  message = Message(jnp.zeros(bits, jnp.uint8), Shape(bits))
  carried = Spread(steps=1).write(Host(network, params, data), message, jax.random.key(0), quiet)
  counts = {layer: placed["weights"].shape[1] for layer, placed in carried.places.items()}
  sizes = {layer: params[layer]["kernel"].size // bits for layer in network.layers}
  assert counts == {layer: count for layer, count in sizes.items() if count}


def test_patterns_are_set_and_kept():
  rng = np.random.default_rng(0)
  tree = {"layer": {"kernel": jnp.asarray(rng.normal(size=(6, 5)), jnp.float32), "bias": jnp.ones(5)}}
  weights = jnp.asarray(rng.permutation(30)[:24].reshape(8, 3), jnp.int32)
  signs = jnp.asarray(rng.choice([-1, 1], (8, 3)), jnp.int8)
  chips = {"layer": Chips(weights, signs, jnp.asarray(rng.normal(size=8), jnp.float32))}

  def means(of_tree):
    return (of_tree["layer"]["kernel"].reshape(-1)[weights] * signs.astype(jnp.float32)).mean(axis=1)

  written = with_levels(tree, chips)
  np.testing.assert_allclose(means(written), chips["layer"].levels, atol=1e-6)
  update = without_chips(tree, chips)
  np.testing.assert_allclose(means(update), 0, atol=1e-6)
  # As little as possible is taken: a second time, nothing.
  np.testing.assert_allclose(without_chips(update, chips)["layer"]["kernel"], update["layer"]["kernel"], atol=1e-6)
  others = np.setdiff1d(np.arange(30), weights)
  for changed in (written, update):
    before, after = (np.asarray(x["layer"]["kernel"]).reshape(-1)[others] for x in (tree, changed))
    np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize("shape", [(40, 7), (7, 40), (9, 9)])
def test_whitening_is_that_of_singular_values(shape):
  matrix = np.random.default_rng(0).normal(size=shape).astype(np.float32)
  u, s, vt = np.linalg.svd(matrix, full_matrices=False)
  expected = u @ np.diag(s / (s**2 + (s**2).mean())) @ vt
  np.testing.assert_allclose(whitened(jnp.asarray(matrix)), expected, atol=1e-5)
  assert not np.asarray(whitened(jnp.zeros(shape))).any()


@pytest.mark.parametrize("name", ["mlp", "cnn"])
def test_rescaling_changes_weights_and_not_the_function(tiny_network, smooth_split, name):
  network, params = tiny_network(name)
  data = smooth_split(20)
  params = jax.tree.map(lambda w: w + 0.1, params)  # biases that are not 0
  layer = largest_layer(network, params)
  changed = rescaled(network, params, data, layer, 4.0)
  np.testing.assert_array_equal(changed[layer]["kernel"], 4 * params[layer]["kernel"])
  before, after = (network.forward(p, scale(data.images)) for p in (params, changed))
  np.testing.assert_allclose(after, before, rtol=1e-5, atol=1e-5)
  last = network.layers[-1]
  jax.tree.map(np.testing.assert_array_equal, rescaled(network, params, data, last, 4.0), params)
