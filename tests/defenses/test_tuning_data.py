import jax
import numpy as np
import pytest

from lwlrd_jax.defenses.tuning_data import choose_share

STOLEN = np.arange(0, 200, 2)


@pytest.mark.parametrize(("share", "count"), [(0.01, 2), (0.05, 10), (0.25, 50), (0.5, 100), (0.001, 1)])
@pytest.mark.parametrize("overlap", ["any", "none", "all"])
def test_as_many_as_asked_for_once_each(share, count, overlap):
  found = np.asarray(choose_share(200, share, overlap, STOLEN, jax.random.key(0)))
  assert len(found) == len(set(found)) == count
  assert found.min() >= 0
  assert found.max() < 200
  stolen = np.isin(found, STOLEN).sum()
  assert stolen == {"none": 0, "all": min(count, len(STOLEN)), "any": stolen}[overlap]


def test_any_is_a_fair_draw():
  shares = [
    np.isin(np.asarray(choose_share(200, 0.25, "any", STOLEN, jax.random.key(seed))), STOLEN).mean()
    for seed in range(20)
  ]
  assert np.mean(shares) == pytest.approx(0.5, abs=0.05)


def test_stolen_images_come_first_and_none_leaves_fewer():
  found = np.asarray(choose_share(200, 0.9, "all", STOLEN, jax.random.key(0)))
  assert set(STOLEN) <= set(found)
  assert len(choose_share(200, 0.9, "none", STOLEN, jax.random.key(0))) == 100
