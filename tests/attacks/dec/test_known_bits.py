import jax.numpy as jnp
import numpy as np
import pytest

from lwlrd_jax.attacks.dec.payload.container import HEADER_BYTES, Layout, pack, to_bits
from lwlrd_jax.attacks.dec.payload.known_bits import (
  at_known,
  by_group,
  combine,
  known_bits,
  known_header,
  known_positions,
  log_odds_by_word,
  log_odds_of,
  log_odds_of_numbers,
  of_codes,
  pooled_rates,
  spreads,
  surprise,
)

LAYOUT = Layout(count=300, label_bytes=2, code_bytes=9, decoder_bytes=5)


@pytest.fixture(scope="module")
def bits():
  rng = np.random.default_rng(0)
  labels = rng.integers(0, 256, (LAYOUT.count, 2), np.uint8)
  codes = [rng.bytes(LAYOUT.code_bytes) for _ in range(LAYOUT.count)]
  return to_bits(pack(1, labels, codes, b"12345"))


def test_known_bits_are_those_of_every_such_payload(bits):
  np.testing.assert_array_equal(at_known(jnp.asarray(bits), LAYOUT), known_bits(LAYOUT, 1))
  assert of_codes(jnp.asarray(bits), LAYOUT).shape == (300, 72)
  np.testing.assert_array_equal(of_codes(jnp.asarray(bits), LAYOUT)[-1], bits[-72:])


def _rates(read, groups, num_groups):
  wrong = at_known(jnp.asarray(read), LAYOUT) != known_bits(LAYOUT, 1)
  return by_group(wrong.astype(jnp.float32), at_known(jnp.asarray(groups), LAYOUT), num_groups)


def test_rates_of_groups_are_found(bits):
  rng = np.random.default_rng(1)
  groups = rng.integers(0, 4, len(bits)).astype(np.int32)
  true = np.array([0.0, 0.1, 0.3, 0.5])
  read = bits ^ (rng.random(len(bits)) < true[groups])
  found = _rates(read, groups, 4)
  np.testing.assert_allclose(found, true, atol=0.03)
  off = spreads(jnp.asarray(read, jnp.float32), known_bits(LAYOUT, 1), jnp.asarray(groups), 4, LAYOUT)
  np.testing.assert_allclose(jnp.square(off), true, atol=0.03)


def test_a_group_without_known_bits_is_like_the_others(bits):
  groups = jnp.zeros(len(bits), jnp.int32)
  found = jnp.minimum(_rates(bits ^ 1, groups, 2), 0.5)
  np.testing.assert_allclose(found, [0.5, 0.5])  # more than a half wrong says no more than a half


def test_positions_are_those_of_the_known_bits(bits):
  np.testing.assert_array_equal(bits[known_positions(LAYOUT)], known_bits(LAYOUT, 1))
  np.testing.assert_array_equal(bits[: 8 * HEADER_BYTES], known_header(1, 2, 300, 5))


def test_groups_that_differ_by_chance_are_judged_alike_and_others_are_not():
  rng = np.random.default_rng(0)
  groups = np.repeat(np.arange(4), 100).astype(np.int32)
  # All at one rate, which chance could not make more alike.
  alike = jnp.asarray(np.arange(400) % 5 == 0, jnp.float32)
  np.testing.assert_allclose(pooled_rates(alike, jnp.asarray(groups), 5), 0.2, atol=1e-3)
  true = np.array([0.02, 0.2, 0.3, 0.5])
  apart = jnp.asarray(rng.random(400) < true[groups], jnp.float32)
  own = np.asarray(apart).reshape(4, 100).mean(axis=1)
  np.testing.assert_allclose(pooled_rates(apart, jnp.asarray(groups), 4), np.minimum(own, 0.5), atol=0.02)
  for rate in (0.0, 1.0):  # none is wrong, or all are
    np.testing.assert_allclose(pooled_rates(jnp.full(400, rate), jnp.asarray(groups), 4), min(rate, 0.5))


def test_log_odds_keep_what_was_read_even_where_it_says_nothing():
  bits = jnp.uint8([0, 1, 0, 1])
  found = np.asarray(log_odds_of(bits, jnp.float32([0.5, 0.5, 0.1, 0.0])))
  assert (np.sign(found) == [1, -1, 1, -1]).all()
  np.testing.assert_allclose(found[2], np.log(9), rtol=1e-5)
  np.testing.assert_allclose(np.abs(found[:2]), 0, atol=1e-5)


@pytest.fixture(scope="module")
def noisy():
  """Bits, and three observations at them: a good one, a bad one that shares its noise, and one at nothing."""
  rng = np.random.default_rng(0)
  sent = rng.integers(0, 2, 20_000, np.uint8)
  shared, own = rng.normal(size=(2, len(sent)))
  signal = 1.0 - 2 * sent
  observations = np.stack([signal + shared, 0.3 * signal + shared + 0.1 * own, rng.normal(size=len(sent))], axis=1)
  return sent, jnp.asarray(observations, jnp.float32)


def test_looks_are_weighed_as_they_deserve(noisy):
  """The bad look tells the good one's noise: together they are better than any of them, and than their sum."""
  sent, observations = noisy
  places = np.arange(400)
  found = np.asarray(combine(observations, sent[places], places))
  wrong = ((found < 0) != sent).mean()
  assert wrong < 1e-3 < ((np.asarray(observations[:, 0]) < 0) != sent).mean()
  likely = np.asarray(combine(observations[:, :1], sent[places], places))
  # What it says of its own errors is so: log odds are calibrated.
  assert np.exp(-np.logaddexp(0, np.abs(likely))).mean() == pytest.approx(((likely < 0) != sent).mean(), abs=0.02)


def test_exact_looks_are_exact_and_none_are_nothing(noisy):
  sent, observations = noisy
  places = np.arange(200)
  exact = jnp.concatenate([observations, jnp.asarray(1.0 - 2 * sent, jnp.float32)[:, None]], axis=1)
  np.testing.assert_array_equal(np.asarray(combine(exact, sent[places], places)) < 0, sent == 1)
  nothing = np.asarray(combine(jnp.zeros((50, 2)), sent[:50], np.arange(50)))
  assert (nothing != 0).all()
  assert np.abs(nothing).max() < 1e-3


def test_words_that_disagree_with_what_is_said_of_them_are_left_out():
  """Half of the words are random: hearsay that is wrong at a third of the bits tells which."""
  rng = np.random.default_rng(0)
  sent = rng.integers(0, 2, (3000, 16), np.uint8)
  random = rng.random(3000) < 0.5
  read = np.where(random[:, None], rng.integers(0, 2, sent.shape, np.uint8), sent).reshape(-1)[:-5]
  heard = np.where(rng.random(sent.shape) < 1 / 3, 1 - sent, sent).reshape(-1)[:-5]
  hearsay = np.where(heard == 0, 1, -1).astype(np.float32) * np.float32(np.log(2))
  rates = jnp.full(len(read), 0.25)
  found = np.asarray(log_odds_by_word(jnp.asarray(read), rates, jnp.asarray(hearsay), 16))
  np.testing.assert_array_equal(found < 0, read == 1)
  intact = np.repeat(~random, 16)[:-5]
  assert np.abs(found[intact]).mean() > 2 * np.abs(found[~intact]).mean()
  known, places = sent.reshape(-1)[:4000], np.arange(4000)
  before = surprise(log_odds_of(jnp.asarray(read), rates), known, places)
  assert float(surprise(jnp.asarray(found), known, places)) < 0.9 * float(before)


def test_numbers_half_way_say_nothing():
  found = np.asarray(log_odds_of_numbers(jnp.float32([0.5, 0.0, 1.0, 0.0]), jnp.float32([0.1, 0.5, 0.5, 10.0])))
  np.testing.assert_allclose(found, [0, 2, -2, 0.005], rtol=1e-5)
