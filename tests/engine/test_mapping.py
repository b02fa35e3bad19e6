"""Members one after another, side by side, and a few at a time."""

import jax.numpy as jnp
import numpy as np
import pytest

from lwlrd_jax.engine.mapping import map_members, side_by_side


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
