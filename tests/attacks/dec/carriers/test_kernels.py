import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from lwlrd_jax.attacks.dec.carriers.kernels import bits_to_words, check_finite, read_planes, words_to_bits, write_planes

CORNERS = np.array(
  [0.0, -0.0, 1e-45, -1e-45, 1.1754942e-38, 1.17549435e-38, 3.4028235e38, -3.4028235e38, 1.0, -1.9999999], np.float32
)


@st.composite
def plane_ranges(draw) -> tuple[int, int]:
  low = draw(st.integers(0, 22))
  return low, draw(st.integers(low + 1, 23))


# Every size is other programs.
@settings(deadline=None)
@given(
  weights=hnp.arrays(
    np.float32,
    st.sampled_from([1, 7, 40]),
    elements=st.one_of(st.sampled_from(CORNERS.tolist()), st.floats(width=32, allow_nan=False, allow_infinity=False)),
  ),
  planes=plane_ranges(),
  seed=st.integers(0, 2**31),
)
def test_any_word_in_any_finite_weight_comes_back_and_nothing_else_changes(weights, planes, seed):
  low, high = planes
  words = np.random.default_rng(seed).integers(0, 2 ** (high - low), len(weights)).astype(np.uint32)
  written = write_planes(jnp.asarray(weights), jnp.asarray(words), low, high)
  np.testing.assert_array_equal(read_planes(written, low, high), words)
  after = np.asarray(written)
  assert np.isfinite(after).all()
  mask = np.uint32(((1 << (high - low)) - 1) << low)
  np.testing.assert_array_equal(after.view(np.uint32) & ~mask, weights.view(np.uint32) & ~mask)


@settings(max_examples=40, deadline=None)
@given(
  bits=hnp.arrays(np.uint8, st.sampled_from([0, 1, 31, 32, 100]), elements=st.integers(0, 1)), width=st.integers(1, 32)
)
def test_words_hold_bits_of_any_number(bits, width):
  words = bits_to_words(jnp.asarray(bits), width)
  assert len(words) == -(-len(bits) // width)
  np.testing.assert_array_equal(words_to_bits(words, width, len(bits)), bits)


@pytest.mark.parametrize("bad", [np.inf, -np.inf, np.nan])
def test_what_is_not_finite_is_refused(bad):
  with pytest.raises(ValueError, match="not finite"):
    check_finite(np.array([1.0, bad], np.float32))


@pytest.mark.parametrize(("low", "high"), [(-1, 3), (3, 3), (0, 24)])
def test_planes_outside_of_the_mantissa_are_refused(low, high):
  with pytest.raises(ValueError, match="mantissa planes"):
    write_planes(jnp.ones(1), jnp.zeros(1, jnp.uint32), low, high)


def test_denormals_survive_being_moved_by_a_program():
  written = write_planes(jnp.float32([0.0, -0.0]), jnp.uint32([5, 7]), 0, 3)
  moved = jax.jit(lambda w: jnp.concatenate([w, w])[jnp.array([1, 2])])(written)
  assert read_planes(moved, 0, 3).tolist() == [7, 5]
