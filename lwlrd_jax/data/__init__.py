"""Data sets by name. All reach the rest of the package as one type, `Dataset`."""

from pathlib import Path

from lwlrd_jax.data.dataset import Dataset, Split
from lwlrd_jax.data.medmnist.info import MEDMNIST
from lwlrd_jax.data.medmnist.load import load_medmnist
from lwlrd_jax.data.mimic.choices import Choices
from lwlrd_jax.data.npz import load_npz
from lwlrd_jax.data.phantom import phantom
from lwlrd_jax.errors import UserError, did_you_mean, nearest

__all__ = ["Dataset", "Split", "dataset_names", "load_dataset"]


def dataset_names() -> tuple[str, ...]:
  """Names of the data sets that `load_dataset` loads.

  >>> dataset_names()[:3], dataset_names()[-1], len(dataset_names())
  (('phantom', 'pathmnist', 'chestmnist'), 'npz', 15)
  """
  return ("phantom", *MEDMNIST, "mimic-cxr", "npz")


def load_dataset(
  name: str,
  *,
  npz: Path | None = None,
  data_dir: Path | None = None,
  image_size: int | None = None,
  labels: str = "auto",
  seed: int = 0,
  mimic: Choices | None = None,
) -> Dataset:
  """Loads, or draws, a data set.

  Args:
    name: One of `dataset_names()`.
    npz: The file, if and only if the name is npz.
    data_dir: Where official MedMNIST files are kept, or the prepared MIMIC-CXR-JPG. Default: a folder in the cache.
    image_size: Side in pixels. Default: 28, or that of the images in the npz file.
    labels: What 0/1 columns of an npz file are: `classes`, `findings`, or `auto`, by the rows.
    seed: Of the generated set; others do not use it.
    mimic: Where the user's copy of MIMIC-CXR-JPG is, if and only if the name is mimic-cxr, and what is chosen of it.

  Raises:
    UserError: One line that names the setting, what was given and what is allowed.

  >>> load_dataset("phantom").image_shape
  (28, 28, 3)
  """
  if name not in dataset_names():
    hint = did_you_mean(nearest(name, dataset_names()))
    raise UserError(f"`dataset` {name}: there is no such data set; {hint}allowed: {', '.join(dataset_names())}")
  if name == "npz":
    if npz is None:
      raise UserError("`dataset` npz: needs `npz` FILE, a file in MedMNIST's form")
    return load_npz(npz, image_size=image_size, labels=labels)
  if npz is not None:
    raise UserError(f"`npz` {npz}: goes with `dataset` npz only, not with `dataset` {name}")
  size = 28 if image_size is None else image_size
  if name == "mimic-cxr":
    from lwlrd_jax.data.mimic.load import load_mimic  # pandas, which the others need not  # noqa: PLC0415

    return load_mimic(mimic or Choices(), image_size=size, data_dir=data_dir)
  if mimic is not None and mimic.folder is not None:
    raise UserError(f"`mimic_dir` {mimic.folder}: goes with `dataset` mimic-cxr only, not with `dataset` {name}")
  if name in MEDMNIST:
    return load_medmnist(name, image_size=size, data_dir=data_dir)
  return phantom(image_size=size, seed=seed)
