import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lwlrd_jax.attacks.dec.redundancy import Redundancy, Repeat, redundancy_of
from lwlrd_jax.attacks.dec.repeat_accumulate import RepeatAccumulate
from lwlrd_jax.config.reading import read_redundancy
from lwlrd_jax.errors import UserError, shown

_WAYS: list[Redundancy] = [Repeat(1), Repeat(3), Repeat(5)]
# Compiled anew for every length: `test_repeat_accumulate.py` recovers a few.
_ALL_WAYS = [*_WAYS, RepeatAccumulate(2), RepeatAccumulate(3), RepeatAccumulate(9)]


def recover(way, bits, n):
  """The n bits that were protected, where all that is read is equally sure."""
  odds = jnp.where(jnp.asarray(bits) == 0, 2, -2).astype(jnp.float32)
  return (way.decode(odds, n) < 0).astype(np.uint8)


def _random_bits(n, seed=0):
  return np.random.default_rng(seed).integers(0, 2, n, np.uint8)


@pytest.mark.parametrize("way", _WAYS, ids=lambda way: way.name)
@settings(max_examples=15, deadline=None)
@given(bits=st.lists(st.integers(0, 1), max_size=100), repeats=st.sampled_from([1, 1, 50]))
def test_round_trip(way, bits, repeats):
  bits = np.tile(np.array(bits, np.uint8), repeats)
  coded = way.protect(bits)
  assert (coded.dtype, coded.shape) == (np.uint8, (way.coded_length(len(bits)),))
  recovered = recover(way, coded, len(bits))
  assert recovered.dtype == np.uint8
  np.testing.assert_array_equal(recovered, bits)


@pytest.mark.parametrize("way", _ALL_WAYS, ids=lambda way: way.name)
def test_names_are_read_back(way):
  made = redundancy_of(*read_redundancy("--redundancy", way.name))
  assert made == way
  assert hash(made) == hash(way)


@pytest.mark.parametrize("way", _ALL_WAYS, ids=lambda way: way.name)
def test_another_number_of_bits_is_refused(way):
  with pytest.raises(ValueError, match=f"{way.name} makes {way.coded_length(16)} of 16 bits"):
    recover(way, np.zeros(way.coded_length(16) + 1, np.uint8), 16)


@pytest.mark.parametrize("copies", [3, 5, 9])
def test_repeat_corrects_a_minority_of_copies(copies):
  way, n = Repeat(copies), 200
  bits = _random_bits(n)
  rng = np.random.default_rng(1)
  # Of every bit, other copies.
  order = rng.permuted(np.tile(np.arange(copies)[:, None], (1, n)), axis=0)
  coded = way.protect(bits).reshape(copies, n)
  turned = np.stack([np.roll(copy, -k) for k, copy in enumerate(order)])  # as the copies are
  minority = (coded ^ (turned < copies // 2)).reshape(-1)
  majority = (coded ^ (turned < copies // 2 + 1)).reshape(-1)
  np.testing.assert_array_equal(recover(way, minority, n), bits)
  np.testing.assert_array_equal(recover(way, majority, n), 1 - bits)


def test_a_bit_stands_in_another_plane_in_every_copy():
  """Eight planes of which four are random: a bit whose copies all stood in one of these would be lost."""
  way, bits = Repeat(3), _random_bits(8000)
  coded = way.protect(bits)
  lost = np.arange(len(coded)) % 8 < 4
  coded[lost] = _random_bits(int(lost.sum()), seed=1)
  assert (np.asarray(recover(way, coded, 8000)) != bits).mean() < 0.2


def test_repeat_survives_a_burst_of_one_copy():
  way, bits = Repeat(3), _random_bits(100)
  coded = way.protect(bits)
  coded[60:158] ^= 1  # neighbouring copies are turned by one bit
  np.testing.assert_array_equal(recover(way, coded, 100), bits)


@pytest.mark.parametrize("way", _WAYS, ids=lambda way: way.name)
def test_on_device_means_jitted_and_vmapped(way):
  n = 50
  coded = np.stack([_random_bits(way.coded_length(n), seed) for seed in range(4)])
  together = jax.jit(jax.vmap(functools.partial(recover, way, n=n)))(coded)
  for one, all_at_once in zip(coded, together, strict=True):
    np.testing.assert_array_equal(jax.jit(recover, static_argnums=(0, 2))(way, one, n), all_at_once)
    if isinstance(way, Repeat):
      copies = [np.roll(copy, k) for k, copy in enumerate(one.reshape(-1, n))]
      votes = [np.bincount(of_bit, minlength=2).argmax() for of_bit in np.transpose(copies)]
      np.testing.assert_array_equal(all_at_once, votes)


@pytest.mark.parametrize(
  ("text", "why"),
  [
    ("repeat-4", "the number of copies must be odd and at least 3, not 4"),
    ("ra-1", "2 to 16 bits can be sent for each, not 1"),
    ("ra-17", "2 to 16 bits can be sent for each, not 17"),
    ("repeat-1", "the number of copies must be odd and at least 3, not 1"),
    *((text, "not known") for text in ("", "ra", "ra-", "ra-x", "ra--4", "ra-04", "ra-4 ", "RA-4", "repeat3", "rs-8")),
    ("ra-" + 5000 * "9", "not known"),
    ("ra-\N{ARABIC-INDIC DIGIT FOUR}", "not known"),
    ("none\n", "not known"),
  ],
)
def test_what_cannot_be_read(text, why):
  with pytest.raises(UserError) as caught:
    read_redundancy("--redundancy", text)
  allowed = "allowed: none, repeat-K (odd K from 3), ra-Q (Q from 2 to 16)"
  # A text that is close to a right one gets a hint, in between; a long one is shortened.
  printed = re.sub(r"did you mean [a-z]+(-[0-9]+)?\? ", "", str(caught.value))
  assert printed == f"--redundancy {shown(text)}: {why}; {allowed}"


def test_the_nearest_right_form_is_told():
  with pytest.raises(UserError, match=r"--redundancy RA-4: not known; did you mean ra-4\? allowed: "):
    read_redundancy("--redundancy", "RA-4")


@pytest.mark.parametrize("way", _ALL_WAYS, ids=lambda way: way.name)
@settings(max_examples=15, deadline=None)
@given(n=st.integers(1, 300), seed=st.integers(0, 99))
def test_bits_stand_in_the_protected_stream_where_places_puts_them(way, n, seed):
  bits = _random_bits(n, seed)
  positions = np.random.default_rng(seed).integers(0, n, 7)
  places = way.places(positions, n)
  assert places.ndim == 2
  for copy in places:
    np.testing.assert_array_equal(way.protect(bits)[copy], bits[positions])


@pytest.mark.parametrize("way", [*_WAYS, RepeatAccumulate(3)], ids=lambda way: way.name)
def test_extrinsic_information_leaves_out_the_bit_itself(way):
  n = 40
  odds = np.random.default_rng(0).normal(0, 1, way.coded_length(n)).astype(np.float32)
  extrinsic = np.asarray(way.extrinsic(odds, n))
  assert extrinsic.shape == odds.shape
  if isinstance(way, Repeat):
    assert extrinsic.any() == (way.copies > 1)
    for copy in way.places(np.arange(n), n):
      np.testing.assert_allclose(extrinsic[copy] + odds[copy], np.asarray(way.decode(odds, n)), atol=1e-5)
  else:
    np.testing.assert_allclose(extrinsic[:n] + odds[:n], np.asarray(way.decode(odds, n)), atol=1e-5)


def test_copies_that_are_known_to_be_bad_are_not_asked():
  """Two of three copies at .4 outvote the good one; weighed, they do not."""
  way, n, rates = Repeat(3), 20_000, np.array([0.05, 0.4, 0.4])
  bits = _random_bits(n)
  rng = np.random.default_rng(1)
  coded = way.protect(bits).reshape(3, n)
  read = coded ^ (rng.random(coded.shape) < rates[:, None])
  odds = np.where(read == 0, 1, -1) * np.log((1 - rates) / rates)[:, None]
  weighed = (np.asarray(way.decode(odds.astype(np.float32).reshape(-1), n)) < 0) != bits
  majority = np.asarray(recover(way, read.reshape(-1), n)) != bits
  assert weighed.mean() == pytest.approx(0.05, abs=0.01)
  assert majority.mean() > 0.15
