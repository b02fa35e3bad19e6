import pytest
from medmnist.info import INFO

from lwlrd_jax.data.medmnist.info import MEDMNIST, SIZES


def test_all_two_dimensional_sets():
  assert list(MEDMNIST) == [flag for flag in INFO if not flag.endswith("3d")]


@pytest.mark.parametrize("flag", MEDMNIST)
def test_equals_the_official_table(flag):
  ours, theirs = MEDMNIST[flag], INFO[flag]
  assert ours.flag == flag
  assert ours.task == theirs["task"]
  assert ours.label_names == tuple(theirs["label"][str(number)] for number in range(len(theirs["label"])))
  assert ours.channels == theirs["n_channels"]
  assert dict(zip(("train", "val", "test"), ours.samples, strict=True)) == theirs["n_samples"]
  assert ours.license == theirs["license"]
  assert ours.multi_label == (flag == "chestmnist")
  for size in SIZES:
    suffix = "" if size == 28 else f"_{size}"
    assert ours.md5[size] == theirs["MD5" + suffix]
    assert ours.url(size) == theirs["url" + suffix]
