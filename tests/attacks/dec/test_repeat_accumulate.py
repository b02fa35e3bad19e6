import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lwlrd_jax.attacks.dec import repeat_accumulate
from lwlrd_jax.attacks.dec.redundancy import Repeat
from lwlrd_jax.attacks.dec.repeat_accumulate import RepeatAccumulate, _graph, _shuffled


def random_bits(n, seed=0):
  return np.random.default_rng(seed).integers(0, 2, n, np.uint8)


def flipped(bits, rate, seed=1):
  return bits ^ (np.random.default_rng(seed).random(bits.shape) < rate)


def log_odds(bits, rate):
  return np.where(bits == 0, 1, -1).astype(np.float32) * np.float32(np.log((1 - rate) / rate))


def parity_checks(n, expansion):
  """The code's parity-check matrix, from the graph's definition: u8[checks, n + checks]."""
  graph = _graph(n, expansion)
  owners = np.concatenate([np.repeat(graph.order, graph.degrees), np.full(graph.unused, -1)])[graph.interleaver]
  checks = len(owners) // graph.copies_a_sum
  matrix = np.zeros((checks, n + checks), np.int64)
  for check, of_sum in enumerate(owners.reshape(checks, -1)):
    for owner in of_sum[of_sum >= 0]:
      matrix[check, owner] += 1
    matrix[check, n + check] += 1
    if check:
      matrix[check, n + check - 1] += 1
  return matrix


@pytest.mark.parametrize(("n", "expansion"), [(1, 2), (7, 2), (40, 3), (33, 4), (20, 5), (9, 16)])
def test_what_is_sent_fulfils_every_check_and_starts_with_the_bits(n, expansion):
  bits = random_bits(n)
  coded = RepeatAccumulate(expansion).protect(bits)
  np.testing.assert_array_equal(coded[:n], bits)
  assert not (parity_checks(n, expansion) @ coded % 2).any()


def naive_beliefs(matrix, prior, updates):
  """Sum-product on a dense matrix, one message at a time; a bit that is twice in a check sends two messages."""
  edges = [(c, v) for c, row in enumerate(matrix) for v, times in enumerate(row) for _ in range(times)]
  to_bit = np.zeros(len(edges))
  for _ in range(updates):
    total = prior + np.bincount([v for _, v in edges], to_bit, len(prior))
    to_check = np.clip([total[v] - message for (_, v), message in zip(edges, to_bit, strict=True)], -30, 30)
    for e, (check, _) in enumerate(edges):
      others = [to_check[o] for o, (c, _) in enumerate(edges) if c == check and o != e]
      to_bit[e] = 2 * np.arctanh(np.clip(np.prod(np.tanh(np.array(others) / 2)), -1 + 1e-12, 1 - 1e-12))
  return prior + np.bincount([v for _, v in edges], to_bit, len(prior))


@pytest.mark.parametrize("expansion", [2, 3, 4, 9])
def test_beliefs_are_those_of_a_naive_decoder(expansion, monkeypatch):
  n, updates = 12, 3
  monkeypatch.setattr(repeat_accumulate, "_MOST_ITERATIONS", updates + 1)
  way = RepeatAccumulate(expansion)
  # No codeword anywhere near: it does not stop before.
  prior = np.random.default_rng(expansion).normal(0, 1.5, way.coded_length(n)).astype(np.float32)
  found = way.decode(prior, n)
  np.testing.assert_allclose(found, naive_beliefs(parity_checks(n, expansion), prior, updates)[:n], atol=2e-3)


def test_decisions_are_mostly_those_of_trying_every_message():
  n, way, agree = 8, RepeatAccumulate(3), []
  book = np.array([way.protect(np.array(bits, np.uint8)) for bits in itertools.product([0, 1], repeat=n)])
  decode = jax.jit(way.decode, static_argnums=1)
  for seed in range(60):
    odds = np.random.default_rng(seed).normal(1.5, 1.5, 3 * n) * np.where(book[3 * seed] == 0, 1, -1)
    chance = np.exp((0.5 - book) @ odds)
    exact = np.log(((1 - book[:, :n]) * chance[:, None]).sum(axis=0) / (book[:, :n] * chance[:, None]).sum(axis=0))
    agree.append((np.asarray(decode(odds.astype(np.float32), n)) < 0) == (exact < 0))
  assert np.mean(agree) > 0.9


@pytest.mark.parametrize(("expansion", "rate"), [(2, 0.07), (3, 0.13), (4, 0.17), (8, 0.24), (16, 0.29)])
def test_everything_comes_back_below_the_threshold_and_nothing_is_made_up_above_it(expansion, rate):
  n, way = 8000, RepeatAccumulate(expansion)
  bits = random_bits(n)
  coded, decode = way.protect(bits), jax.jit(way.decode, static_argnums=1)
  below = np.asarray(decode(log_odds(flipped(coded, rate), rate), n))
  np.testing.assert_array_equal(below < 0, bits)
  above = np.asarray(decode(log_odds(flipped(coded, 0.45), 0.45), n))
  assert 0.3 < ((above < 0) != bits).mean() < 0.5
  assert np.isfinite(above).all()


def test_a_tenth_of_wrong_bits_is_nothing_to_it_and_too_much_for_three_copies():
  n = 20_000
  bits = random_bits(n)
  left = {}
  for way in (RepeatAccumulate(3), Repeat(3)):
    found = jax.jit(way.decode, static_argnums=1)(log_odds(flipped(way.protect(bits), 0.1), 0.1), n)
    left[way.name] = ((np.asarray(found) < 0) != bits).mean()
  assert left["ra-3"] == 0
  assert left["repeat-3"] > 0.02


def test_what_is_known_to_be_lost_costs_less_than_what_is_wrong():
  """Nothing is left of half of the bits: the others are enough, where a flip rate of 1/4 would be too much."""
  n, way = 8000, RepeatAccumulate(3)
  bits = random_bits(n)
  coded = way.protect(bits)
  lost = np.random.default_rng(3).random(len(coded)) < 0.5
  read = np.where(lost, random_bits(len(coded), 4), coded).astype(np.uint8)
  decode = jax.jit(way.decode, static_argnums=1)
  told = np.asarray(decode(np.where(lost, 0, log_odds(read, 0.01)).astype(np.float32), n))
  np.testing.assert_array_equal(told < 0, bits)
  assert ((np.asarray(decode(log_odds(read, 0.25), n)) < 0) != bits).mean() > 0.05


def test_blocks_are_decoded_one_by_one_under_jit_and_vmap(monkeypatch):
  monkeypatch.setattr(repeat_accumulate, "_LARGEST_BLOCK", 300)
  n, way = 1000, RepeatAccumulate(4)
  assert way.shape(n) == (4, 250)
  assert way.shape(1001) == (4, 251)
  bits = random_bits(n)
  coded = way.protect(bits)
  assert way.coded_length(n) == len(coded) == 4 * n
  rest = random_bits(1001)
  np.testing.assert_array_equal(np.asarray(way.decode(log_odds(way.protect(rest), 0.1), 1001)) < 0, rest)
  members = np.stack([log_odds(flipped(coded, 0.1, seed), 0.1) for seed in range(3)])
  # The second block is lost as a whole, in one member.
  members[1, 250:500] = members[1, n + 750 : n + 1500] = 1e-6
  together = np.asarray(jax.jit(jax.vmap(lambda row: way.decode(row, n)))(jnp.asarray(members)))
  np.testing.assert_allclose(jax.jit(way.decode, static_argnums=1)(members[1], n), together[1], rtol=1e-4, atol=1e-3)
  wrong = ((together < 0) != bits).reshape(3, 4, 250).any(axis=2)
  assert wrong.tolist() == [[False] * 4, [False, True, False, False], [False] * 4]


@pytest.mark.parametrize(("expansion", "n"), [(2, 0), (2, 1), (3, 2), (5, 100), (16, 7)])
def test_messages_of_any_size_come_back(expansion, n):
  way, bits = RepeatAccumulate(expansion), random_bits(n)
  np.testing.assert_array_equal(np.asarray(way.decode(log_odds(way.protect(bits), 0.1), n)) < 0, bits)


def test_the_interleaver_is_the_same_everywhere():
  assert _shuffled(10, seed=1).tolist() == [1, 0, 2, 7, 4, 8, 9, 3, 6, 5]
  for n in (1, 2, 1000):
    np.testing.assert_array_equal(np.sort(_shuffled(n, 5)), np.arange(n))
