import numpy as np
import pytest

from lwlrd_jax.data.phantom import draw_grids, smooth_field


@pytest.mark.parametrize("cells", [1, 3, 14])
def test_standardised_over_draws(cells):
  fields = smooth_field(draw_grids(np.random.default_rng(0), 4000, cells), 28)
  assert fields.shape == (4000, 28, 28)
  assert fields.dtype == np.float32
  np.testing.assert_allclose(fields.mean(axis=0), 0, atol=0.1)
  np.testing.assert_allclose(fields.std(axis=0), 1, atol=0.1)


def test_same_picture_at_another_size():
  grids = draw_grids(np.random.default_rng(0), 5, 4)
  small, large = smooth_field(grids, 14), smooth_field(grids, 42)
  np.testing.assert_allclose(small, large[:, 1::3, 1::3], rtol=1e-4, atol=1e-5)


def test_more_cells_finer_grain():
  rng = np.random.default_rng(0)
  steps = [np.abs(np.diff(smooth_field(draw_grids(rng, 50, cells), 28), axis=1)).mean() for cells in (3, 6, 12)]
  assert steps[0] < steps[1] < steps[2]
