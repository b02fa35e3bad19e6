import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lwlrd_jax.attacks.dec.adaptive import VARIANTS, redundant, spread
from lwlrd_jax.attacks.dec.attack import DEC
from lwlrd_jax.attacks.dec.carriers.dictionary import ENTRY, Dictionary
from lwlrd_jax.attacks.dec.carriers.mantissa import Mantissa
from lwlrd_jax.attacks.dec.carriers.trained import Values
from lwlrd_jax.attacks.dec.codec.fixed import FixedLengthCode
from lwlrd_jax.attacks.dec.codec.standard import StandardCodec
from lwlrd_jax.attacks.dec.codec.transform import build_codec
from lwlrd_jax.attacks.dec.image_code import FixedCode, StandardCode
from lwlrd_jax.attacks.dec.redundancy import redundancy_of
from lwlrd_jax.data.device import scale
from lwlrd_jax.defenses.schedules import lwlrd, time_shape
from lwlrd_jax.engine.member import Member
from lwlrd_jax.engine.population import Finetuning, finetune, member_mesh

PNG = StandardCode(StandardCodec("png", (12, 12, 1)))


@pytest.fixture(scope="module")
def make(tiny_network, smooth_split):
  @functools.cache
  def built(multi_label=False):
    network, params = tiny_network("mlp", width=256)
    data = smooth_split(320, multi_label=multi_label)
    codec, weights = build_codec((12, 12, 1), jax.random.key(0))
    code = FixedCode(codec, FixedLengthCode.fit(codec, weights, scale(data.images[:64])))
    return network, params, data, weights, code

  return built


def infect(case, attack):
  network, params, data, weights, _ = case
  return attack.infect(network, params, data, jax.random.key(3), codec=weights)


def read(case, attack, params, secret):
  return (jax.jit(attack.read, static_argnums=0) if attack.on_device else attack.read)(case[0], params, secret)


def test_every_variant_has_its_name():
  for name, variant in VARIANTS.items():
    for internal in (False, True):
      attack = variant(64, PNG, internal)
      assert (attack.name, attack.internal) == (f"dec-{name}", internal)
      assert hash(attack) == hash(variant(64, PNG, internal))


@pytest.mark.parametrize(("stolen", "fewer"), [(512, 64), (40, 5), (8, 4), (3, 3)])
def test_who_protects_his_bits_takes_fewer_images(stolen, fewer):
  assert {variant(stolen, PNG).stolen for variant in (redundant, spread)} == {fewer}


def tuned(case, params, rates):
  """Trained on the task, f32[steps, layers] of learning rates."""
  population = finetune(
    case[0].declared(params),
    np.asarray(rates, np.float32)[None],
    case[2],
    jax.random.key(5),
    Finetuning(Member(case[0], "adam", 0.0), 64, mesh=member_mesh(jax.local_devices()[:1])),
  )
  return jax.tree.map(lambda leaf: jnp.asarray(leaf[0]), population.params)


def test_copies_get_images_out_of_a_fine_tuning_in_which_plain_bits_are_lost(make):
  """In a model that has learned its task well enough to have weights that fine-tuning leaves alone."""
  network, params, *rest = make()
  layers = len(network.layers)
  host = tuned(make(), params, np.full((100, layers), 1e-2))
  case = (network, host, *rest)
  exact, ber = {}, {}
  plain = DEC(4, Mantissa("late"), case[4], redundancy_of("none"))
  for attack in (plain, redundant(4, case[4])):
    infected = infect(case, attack)
    defended = tuned(case, infected.params, lwlrd(0.1, 0.3, layers=layers, shape=time_shape("cosine", 40)))
    found = read(case, attack, defended, infected.secret)
    exact[attack.name], ber[attack.name] = float(found.exact), float(found.ber)
  assert ber["dec-late"] > 0.08
  assert exact == {"dec-late": 0, "dec-redundant": 1}


def damaged(params, ber, seed=1):
  """Bits of the eight lowest planes inverted at this rate."""

  def hurt(w):
    hits = jax.random.bernoulli(jax.random.key(seed), ber, (8, *w.shape)).astype(jnp.uint32)
    mask = (hits << jnp.arange(8, dtype=jnp.uint32).reshape(-1, *(1,) * w.ndim)).sum(axis=0, dtype=jnp.uint32)
    return jax.lax.bitcast_convert_type(jax.lax.bitcast_convert_type(w, jnp.uint32) ^ mask, jnp.float32)

  return jax.tree.map(hurt, params)


@pytest.mark.parametrize("multi_label", [False, True])
@pytest.mark.parametrize("carrier", [Mantissa("all"), Values(steps=2)], ids=lambda carrier: carrier.name)
def test_labels_are_those_that_were_read(make, carrier, multi_label):
  case = make(multi_label)
  attack = DEC(24, carrier, case[4], redundancy_of("none"))
  infected = infect(case, attack)
  true = np.asarray(case[2].labels[infected.stolen])
  found = read(case, attack, infected.params, infected.secret)
  assert found.labels.dtype == true.dtype
  np.testing.assert_array_equal(found.labels, true)
  # Not handed over: the secret's own are for measuring.
  lied = {**infected.secret, "labels": jnp.zeros_like(infected.secret["labels"])}
  np.testing.assert_array_equal(read(case, attack, infected.params, lied).labels, true)
  if carrier.name == "all":
    some = np.asarray(read(case, attack, damaged(infected.params, 0.1), infected.secret).labels)
    assert 0.6 < (some == true).mean() < 1
  gone = jax.tree.map(jnp.zeros_like, infected.params)
  assert np.asarray(read(case, attack, gone, infected.secret).labels).max() < case[0].num_outputs


def test_lost_records_get_the_usual_label(make):
  case = make()
  attack = DEC(5, Dictionary(), PNG, redundancy_of("none"))
  infected = infect(case, attack)
  true = np.asarray(case[2].labels[infected.stolen])
  np.testing.assert_array_equal(read(case, attack, infected.params, infected.secret).labels, true)
  first = infected.params[ENTRY]["buffer"].at[30].add(jnp.uint8(64))
  found = read(case, attack, {**infected.params, ENTRY: {"buffer": first}}, infected.secret)
  assert float(found.exact) == pytest.approx(0.8)
  np.testing.assert_array_equal(found.labels[1:], true[1:])
  assert int(found.labels[0]) == np.bincount(true[1:]).argmax()
  bare = {name: entry for name, entry in infected.params.items() if name != ENTRY}
  assert not np.asarray(read(case, attack, bare, infected.secret).labels).any()
