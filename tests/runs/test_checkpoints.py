import numpy as np
import pytest

from lwlrd_jax.runs import checkpoints
from lwlrd_jax.runs.cache import cached_tree
from lwlrd_jax.runs.checkpoints import load_tree, save_tree

TREE = {"params": {"dense0": {"kernel": np.arange(6, dtype=np.float32).reshape(2, 3)}}, "n": np.int32(3)}


def assert_same(a, b):
  assert a.keys() == b.keys()
  np.testing.assert_array_equal(a["params"]["dense0"]["kernel"], b["params"]["dense0"]["kernel"])


def test_round_trip_and_replacing(tmp_path):
  save_tree(tmp_path / "c", TREE)
  assert_same(load_tree(tmp_path / "c"), TREE)
  save_tree(tmp_path / "c", {"params": {"dense0": {"kernel": np.zeros(2, np.float32)}}})
  assert load_tree(tmp_path / "c")["params"]["dense0"]["kernel"].tolist() == [0, 0]


def test_missing(tmp_path):
  with pytest.raises(FileNotFoundError, match="no checkpoint there"):
    load_tree(tmp_path / "c")


def test_unknown_schema_is_refused(tmp_path, monkeypatch):
  monkeypatch.setattr(checkpoints, "SCHEMA", 99)
  save_tree(tmp_path / "c", TREE)
  monkeypatch.undo()
  with pytest.raises(ValueError, match="schema 99, this version reads 1"):
    load_tree(tmp_path / "c")


def test_cache_makes_once_for_each_recipe(tmp_path, monkeypatch):
  monkeypatch.setenv("LWLRD_JAX_CACHE", str(tmp_path))
  made = []

  def make():
    made.append(1)
    return TREE

  first, found = cached_tree({"a": 1}, make)
  assert not found
  second, found = cached_tree({"a": 1}, make)
  assert found
  assert len(made) == 1
  assert_same(first, second)
  assert not cached_tree({"a": 2}, make)[1]
  assert (tmp_path / "models").stat().st_mode & 0o777 == 0o700
