"""Members one after another, side by side, and a few at a time."""

import jax.numpy as jnp
import numpy as np
import pytest

from lwlrd_jax.engine.mapping import advance_members, map_members, side_by_side


@pytest.mark.parametrize("strategy", ["loop", "vmap", 1, 2, 3, 5, 8])
def test_every_member_is_mapped_once_and_in_order(strategy):
  trees = ({"a": jnp.arange(5.0)}, jnp.arange(10.0).reshape(5, 2))
  found = map_members(lambda tree, row: (tree["a"] + row.sum(), row), trees, strategy)
  np.testing.assert_allclose(found[0], [1, 6, 11, 16, 21])
  np.testing.assert_array_equal(found[1], trees[1])


def test_turns_are_even():
  for members in range(1, 40):
    for most in range(1, 45):
      together = side_by_side(most, members)
      turns = -(-members // most)
      assert together <= most
      assert -(-members // together) == turns
      assert turns * together - members < turns  # at most one place empty in each turn


@pytest.mark.parametrize("strategy", ["loop", "vmap", 1, 2, 3, 6])
def test_every_state_is_advanced_once_by_its_own_input(strategy):
  states, inputs = {"a": jnp.arange(6.0), "b": jnp.ones((6, 2))}, jnp.arange(12.0).reshape(6, 2)

  def of_member(state, given):
    return {"a": state["a"] + given.sum(), "b": state["b"] * given}, given[0]

  after, said = advance_members(of_member, states, inputs, strategy)
  np.testing.assert_allclose(after["a"], [1, 6, 11, 16, 21, 26])
  np.testing.assert_allclose(after["b"], inputs)
  np.testing.assert_allclose(said, [0, 2, 4, 6, 8, 10])


def test_turns_have_to_be_even():
  with pytest.raises(ValueError, match="5 members in turns of 3"):
    advance_members(lambda state, given: (state, given), jnp.ones(5), jnp.ones(5), 3)
