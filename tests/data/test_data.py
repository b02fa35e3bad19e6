import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from lwlrd_jax.data import dataset_names, load_dataset
from lwlrd_jax.errors import UserError


def refused(*args, **kwargs) -> str:
  with pytest.raises(UserError) as caught:
    load_dataset(*args, **kwargs)
  assert "\n" not in str(caught.value)
  return str(caught.value)


def test_names():
  names = dataset_names()
  assert names[0] == "phantom"
  assert {"dermamnist", "chestmnist", "mimic-cxr", "npz"} < set(names)
  assert len(names) == 15


def test_generated_sets_take_size_and_seed():
  data = load_dataset("phantom", image_size=32, seed=3)
  assert data.name == "phantom"
  assert data.image_shape == (32, 32, 3)
  assert (data.val.images != load_dataset("phantom", image_size=32).val.images).any()


def test_npz(tmp_path):
  arrays: dict[str, Any] = {}
  for split in ("train", "val", "test"):
    arrays[f"{split}_images"] = np.zeros((4, 16, 16), np.uint8)
    arrays[f"{split}_labels"] = np.arange(4) % 2
  np.savez(tmp_path / "own.npz", **arrays)
  assert load_dataset("npz", npz=tmp_path / "own.npz").image_shape == (16, 16, 1)


@pytest.mark.parametrize(
  ("name", "hint"),
  [("fantom", "did you mean phantom? "), ("DermaMNIST", "did you mean dermamnist? "), ("?", ""), ("", "")],
)
def test_unknown_name(name, hint):
  message = refused(name)
  assert message.startswith(f"`dataset` {name}: there is no such data set; {hint}allowed: phantom, ")


def test_npz_goes_with_its_dataset(tmp_path):
  assert refused("phantom", npz=tmp_path / "own.npz").startswith("`npz` ")
  assert refused("dermamnist", npz=tmp_path / "own.npz").startswith("`npz` ")
  assert refused("npz").startswith("`dataset` npz: needs `npz` ")


@pytest.mark.parametrize("name", ["phantom", "dermamnist"])
@pytest.mark.parametrize("size", [0, 27, 1000])
def test_size_that_does_not_exist(name, size):
  assert refused(name, image_size=size).startswith(f"`image_size` {size}: ")


def test_import_is_light():
  """Only who asks for MedMNIST pays for TFDS, and nobody gets TensorFlow or torch."""
  code = (
    "import sys, lwlrd_jax.data as data; data.load_dataset('phantom');"
    "print([name for name in ('tensorflow_datasets', 'tensorflow', 'torch', 'requests') if name in sys.modules])"
  )
  done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
  assert done.stdout == "[]\n"
