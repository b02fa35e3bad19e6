import numpy as np
import pytest

from lwlrd_jax.disk.results import COLUMNS, results_table

# The contract's columns, in its order; ours stand between them.
CONTRACT = [
  *("attack", "model", "dataset", "seed", "defense", "decay", "lr_max", "epochs", "shape", "finish", "status"),
  *("accuracy", "balanced_accuracy", "auc", "ssim_naive", "ssim", "psnr", "mse", "reid", "ber"),
  *("surviving_bytes", "surviving_mantissa", "surviving_exponent", "surviving_sign", "seconds"),
]


def test_contract():
  assert [name for name in COLUMNS if name in CONTRACT] == CONTRACT


def test_types_and_empty_cells(tmp_path):
  table = results_table([{"member": "a", "seed": 1, "auc": np.float32(0.5)}, {"member": "b", "seed": 0}])
  assert table.auc.tolist()[0] == 0.5
  assert np.isnan(table.auc[1])
  assert table.shape == (2, len(COLUMNS))
  table.to_parquet(tmp_path / "t.parquet")
  assert results_table([]).shape == (0, len(COLUMNS))


def test_unknown_column():
  with pytest.raises(KeyError, match="aucc"):
    results_table([{"member": "a", "aucc": 1}])
