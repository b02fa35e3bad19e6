import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lwlrd_jax.attacks.base import Task
from lwlrd_jax.attacks.dec.attack import DEC, _keystream
from lwlrd_jax.attacks.dec.carriers.base import Shape
from lwlrd_jax.attacks.dec.carriers.dictionary import ENTRY, Dictionary
from lwlrd_jax.attacks.dec.carriers.mantissa import Mantissa
from lwlrd_jax.attacks.dec.carriers.trained import Values
from lwlrd_jax.attacks.dec.codec.fixed import FixedLengthCode
from lwlrd_jax.attacks.dec.codec.standard import StandardCodec
from lwlrd_jax.attacks.dec.codec.transform import build_codec
from lwlrd_jax.attacks.dec.image_code import EntropyCode, FixedCode, StandardCode
from lwlrd_jax.attacks.dec.payload.container import to_bits
from lwlrd_jax.attacks.dec.payload.decoder_weights import decoder_template, pack_decoder, round_decoder, unpack_decoder
from lwlrd_jax.attacks.dec.redundancy import redundancy_of
from lwlrd_jax.config.reading import read_redundancy
from lwlrd_jax.metrics.measure import _extract_on_device, extract_population

STOLEN = 6
ALL = Mantissa("all", 0, 23)


@pytest.fixture(scope="module")
def case(tiny_network, smooth_split):
  """A host wide enough for a decoder, and a codec as it is before training: poor pictures, exact bits."""
  network, params = tiny_network("mlp", width=192)
  data = smooth_split(40)
  codec, weights = build_codec((12, 12, 1), jax.random.key(0))
  table = FixedLengthCode.fit(codec, weights, data.images.astype(jnp.float32) / 255)
  return network, params, data, weights, FixedCode(codec, table), EntropyCode(codec)


def read(attack, network, params, secret):
  """Jitted where it can be: a program for each small step takes longer to compile than all of it."""
  return (jax.jit(attack.read, static_argnums=0) if attack.on_device else attack.read)(network, params, secret)


def infect(case, carrier, code, redundancy="none", internal=False):
  network, params, data, weights, *_ = case
  attack = DEC(STOLEN, carrier, code, redundancy_of(*read_redundancy("--redundancy", redundancy)), internal)
  return attack, attack.infect_all(Task(network, data, codec=weights), [params], [jax.random.key(3)])[0]


@pytest.mark.parametrize(
  ("kind", "redundancy"), [("fixed", "none"), ("fixed", "repeat-3"), ("entropy", "none"), ("png", "repeat-3")]
)
def test_untreated_extraction_is_exact_and_as_sharp_as_the_codec(case, kind, redundancy):
  network, _, data, weights, fixed, entropy = case
  png = StandardCode(StandardCodec("png", (12, 12, 1)))
  code = {"fixed": fixed, "entropy": entropy, "png": png}[kind]
  attack, infected = infect(case, ALL, code, redundancy)
  found = read(attack, network, infected.params, infected.secret)
  assert float(found.ber) == 0
  assert float(found.exact) == 1
  originals = np.asarray(data.images[infected.stolen])
  if kind == "png":
    np.testing.assert_array_equal(np.round(np.asarray(found.images) * 255), originals)
  elif kind == "fixed":
    own = fixed.table.encode(fixed.codec, weights, jnp.asarray(originals, jnp.float32) / 255)
    np.testing.assert_allclose(found.images, fixed.table.decode(fixed.codec, weights, own), atol=1e-5)
  else:
    coder = entropy.coder(weights)
    own = np.stack([coder.decode(code) for code in coder.encode(originals)])
    np.testing.assert_allclose(found.images, own / 255, atol=1e-6)


@pytest.mark.parametrize("kind", [4, 5])
def test_an_exported_decoder_is_enough(case, kind):
  attack, infected = infect(case, ALL, case[kind], internal=True)
  assert "decoder" not in infected.secret
  found = read(attack, case[0], infected.params, infected.secret)
  assert (float(found.ber), float(found.exact)) == (0, 1)
  best = attack.compressed(case[3], np.asarray(case[2].images[infected.stolen]))
  np.testing.assert_allclose(found.images, best, atol=1e-5)


def test_a_population_is_one_jitted_call_and_equals_its_members(case):
  attack, infected = infect(case, ALL, case[4])
  noisy = [jax.tree.map(lambda w, s=s: w * (1 + 1e-7 * s), infected.params) for s in range(9)]
  population = jax.tree.map(lambda *leaves: jnp.stack(leaves), *noisy)
  alone = read(attack, case[0], noisy[5], infected.secret)
  assert float(alone.ber) > 0
  vmapped = jax.jit(jax.vmap(lambda params: attack.read(case[0], params, infected.secret)))
  programs = _extract_on_device._cache_size()  # type: ignore[attr-defined]
  for read_all in (vmapped, lambda params: extract_population(case[0], attack, params, infected.secret)):
    found = read_all(population)
    assert found.images.shape == (9, STOLEN, 12, 12, 1)
    np.testing.assert_allclose(found.images[5], alone.images, atol=1e-4)
    np.testing.assert_allclose(found.ber[5], alone.ber, atol=1e-6)
  assert _extract_on_device._cache_size() == programs + 1  # type: ignore[attr-defined]


@pytest.mark.parametrize("kind", ["fixed", "entropy", "png"])
def test_another_model_gives_half_of_the_bits_and_no_images(case, tiny_network, kind):
  code = {"fixed": case[4], "entropy": case[5], "png": StandardCode(StandardCodec("png", (12, 12, 1)))}[kind]
  attack, infected = infect(case, ALL, code)
  found = read(attack, case[0], tiny_network("mlp", width=192, seed=9)[1], infected.secret)
  # Six small images are a few thousand bits, and the highest mantissa plane is no fair coin.
  assert float(found.ber) == pytest.approx(0.5, abs=0.05)
  assert float(found.exact) == 0
  if kind != "fixed":
    np.testing.assert_array_equal(found.images, np.broadcast_to(infected.secret["mean"], found.images.shape))


def test_a_stripped_entry_leaves_the_mean_image(case):
  attack, infected = infect(case, Dictionary(), case[4])
  bare = {name: entry for name, entry in infected.params.items() if name != ENTRY}
  found = read(attack, case[0], bare, infected.secret)
  assert (float(found.ber), float(found.exact)) == (0.5, 0)
  np.testing.assert_array_equal(found.images[0], infected.secret["mean"])


def test_values_bring_the_same_images_and_names_tell_carriers(case):
  attack, infected = infect(case, Values(steps=4), case[4])
  found = read(attack, case[0], infected.params, infected.secret)
  assert float(found.ber) == 0
  other, also = infect(case, ALL, case[4])
  np.testing.assert_allclose(found.images, read(other, case[0], also.params, also.secret).images, atol=1e-3)
  assert (attack.name, other.name) == ("dec-values", "dec")
  np.testing.assert_array_equal(infected.stolen, also.stolen)


def test_values_refuse_what_is_not_numbers(case):
  with pytest.raises(ValueError, match="numbers"):
    DEC(STOLEN, Values(), case[5], redundancy_of("none"))


def shaken(params):
  """A tenth of the weights with their eight lowest bits inverted."""

  def hurt(w):
    hit = jax.random.bernoulli(jax.random.key(1), 0.1, w.shape).astype(jnp.uint32)
    raw = jax.lax.bitcast_convert_type(w, jnp.uint32)
    return jax.lax.bitcast_convert_type(raw ^ (hit * jnp.uint32(255)), jnp.float32)

  return jax.tree.map(hurt, params)


def test_repetition_outlives_damage_that_ruins_a_single_copy(case):
  rates = {}
  for redundancy in ("none", "repeat-3"):
    attack, infected = infect(case, Mantissa("all", 0, 8), case[4], redundancy)
    rates[redundancy] = float(read(attack, case[0], shaken(infected.params), infected.secret).ber)
  assert rates["none"] == pytest.approx(0.1, abs=0.04)
  assert rates["repeat-3"] < 0.5 * rates["none"]


def damaged(params, ber, seed=1):
  """Every mantissa bit of every weight inverted at this rate."""

  def hurt(w):
    hits = jax.random.bernoulli(jax.random.key(seed), ber, (23, *w.shape)).astype(jnp.uint32)
    mask = (hits << jnp.arange(23, dtype=jnp.uint32).reshape(-1, *(1,) * w.ndim)).sum(axis=0, dtype=jnp.uint32)
    return jax.lax.bitcast_convert_type(jax.lax.bitcast_convert_type(w, jnp.uint32) ^ mask, jnp.float32)

  return jax.tree.map(hurt, params)


@pytest.mark.parametrize(("ber", "share"), [(0.02, 0.9), (0.1, 0.6)])
def test_weighed_bits_give_better_images_than_bits_taken_at_their_word(case, ber, share):
  network, _, data, weights, fixed, _ = case
  attack, infected = infect(case, ALL, fixed)
  params = damaged(infected.params, ber)
  found = read(attack, network, params, infected.secret)
  assert float(found.ber) == pytest.approx(ber, rel=0.2)
  shape = Shape(len(infected.secret["payload"]))
  places, key = infected.secret["places"], jax.random.wrap_key_data(infected.secret["key"])
  reading = ALL.read(network, params, places, shape)
  assert reading is not None
  raw = reading.bits ^ _keystream(key, shape)
  codes = attack._layout(network, data.labels).codes(raw)[:, : fixed.table.bits_per_image]
  hard = fixed.table.decode(fixed.codec, weights, codes)
  best = attack.compressed(weights, np.asarray(data.images[infected.stolen]))
  errors = [float(jnp.square(images - best).mean()) for images in (found.images, hard)]
  assert errors[0] < share * errors[1]


@pytest.mark.parametrize("side", [28, 64])
def test_a_destroyed_decoder_makes_finite_images(side):
  codec, weights = build_codec((side, side, 3), jax.random.key(0))
  table = FixedLengthCode.fit(codec, weights, jax.random.uniform(jax.random.key(1), (8, side, side, 3)))
  template = decoder_template(codec.image_shape, ("synthesis",))
  bits = jax.random.bits(jax.random.key(2), (16 * sum(x.size for x in jax.tree.leaves(template)),), jnp.uint8) & 1
  codes = jax.random.bits(jax.random.key(3), (4, table.bits_per_image), jnp.uint8) & 1
  assert np.isfinite(np.asarray(table.decode(codec, unpack_decoder(bits, template), codes))).all()


def test_an_exported_decoder_outlives_some_wrong_bits(case):
  network, _, data, weights, fixed, _ = case
  attack, infected = infect(case, ALL, fixed, internal=True)
  best = attack.compressed(weights, np.asarray(data.images[infected.stolen]))
  found = read(attack, network, damaged(infected.params, 1e-3), infected.secret)
  spread = float(jnp.var(best))
  assert float(jnp.square(found.images - best).mean()) < 0.2 * spread


@pytest.mark.parametrize("kind", ["entropy", "png"])
def test_one_wrong_bit_costs_one_image_wherever_it_is(case, kind):
  code = {"entropy": case[5], "png": StandardCode(StandardCodec("png", (12, 12, 1)))}[kind]
  attack, infected = infect(case, Dictionary(), code)
  for byte in (0, 24, 30):  # the magic, the first record's length, its code
    params = {**infected.params, ENTRY: {"buffer": infected.params[ENTRY]["buffer"].at[byte].add(jnp.uint8(64))}}
    found = read(attack, case[0], params, infected.secret)
    assert float(found.exact) == pytest.approx(1 if byte == 0 else 1 - 1 / STOLEN)


def test_values_that_are_gone_are_half_wrong(case):
  attack, infected = infect(case, Values(steps=4), case[4])
  for scale in (0.0, 1e3):  # all in the middle of their range, or all far outside of it
    gone = jax.tree.map(lambda w, scale=scale: scale * w, case[1])
    assert float(read(attack, case[0], gone, infected.secret).ber) == pytest.approx(0.5, abs=0.03)


def test_damage_too_great_for_numbers_to_matter_gives_the_usual_image(case):
  """Weighing noise gives no picture of anybody."""
  attack, infected = infect(case, Values(steps=4), case[4])
  found = read(attack, case[0], jax.tree.map(lambda w: 1e3 * w, case[1]), infected.secret)
  assert float(jnp.std(found.images, axis=0).max()) < 0.2


def test_decoder_weights_come_back_as_float16_says_them(case):
  codec, parts = case[4].codec, ("synthesis",)
  rounded = round_decoder(case[3], parts)
  decoder = {"synthesis": rounded["synthesis"]}
  again = unpack_decoder(jnp.asarray(to_bits(pack_decoder(decoder))), decoder_template(codec.image_shape, parts))
  jax.tree.map(np.testing.assert_array_equal, again, decoder)
  noise = unpack_decoder(
    jax.random.bernoulli(jax.random.key(0), 0.5, (16 * sum(x.size for x in jax.tree.leaves(decoder)),)).astype(
      jnp.uint8
    ),
    decoder_template(codec.image_shape, parts),
  )
  assert all(np.isfinite(np.asarray(leaf)).all() for leaf in jax.tree.leaves(noise))
