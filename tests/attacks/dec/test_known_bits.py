import jax.numpy as jnp
import numpy as np
import pytest

from lwlrd_jax.attacks.dec.known_bits import at_known, flip_rates, known_bits, of_codes, spreads
from lwlrd_jax.attacks.dec.payload import Layout, pack, to_bits

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


def test_rates_of_groups_are_found(bits):
  rng = np.random.default_rng(1)
  groups = rng.integers(0, 4, len(bits)).astype(np.int32)
  true = np.array([0.0, 0.1, 0.3, 0.5])
  read = bits ^ (rng.random(len(bits)) < true[groups])
  found = flip_rates(jnp.asarray(read), known_bits(LAYOUT, 1), jnp.asarray(groups), 4, LAYOUT)
  np.testing.assert_allclose(found, true, atol=0.03)
  off = spreads(jnp.asarray(read, jnp.float32), known_bits(LAYOUT, 1), jnp.asarray(groups), 4, LAYOUT)
  np.testing.assert_allclose(jnp.square(off), true, atol=0.03)


def test_a_group_without_known_bits_is_like_the_others(bits):
  groups = jnp.zeros(len(bits), jnp.int32)
  found = flip_rates(jnp.asarray(bits ^ 1), known_bits(LAYOUT, 1), groups, 2, LAYOUT)
  np.testing.assert_allclose(found, [0.5, 0.5])  # more than a half wrong says no more than a half
